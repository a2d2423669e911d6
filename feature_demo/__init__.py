"""feature-demo.sh: a demo on a bare Debian 13 server, from one file, logged in as root.

`python -m feature_demo > feature-demo.sh` assembles it. The file carries this package, what
a stack's deploy gives a server (remote/server) and what renders a release (components), as
text that can be read before it is run. All but `script` runs on the server: Python's standard
library, and PyYAML from Debian once the server has it.
"""
