"""Writes feature-demo.sh to stdout: `python -m feature_demo > feature-demo.sh`."""

import sys

from feature_demo import script

if __name__ == "__main__":
    sys.stdout.write(script.render())
