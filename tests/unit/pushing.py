"""A person's git: clones and pushes over HTTP, the token by GIT_ASKPASS and in no argument."""

import os
import subprocess
from pathlib import Path

_ASK = '#!/bin/sh\ncase $1 in Username*) echo "$WHO" ;; *) echo "$TOKEN" ;; esac\n'


class Clone:
    """A working copy."""

    def __init__(self, folder: Path, url: str, who: str = "", token: str = "") -> None:
        self.folder = folder
        asking = folder.parent / f"ask-{folder.name}"
        asking.write_text(_ASK)
        asking.chmod(0o755)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            "GIT_ASKPASS": str(asking),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "WHO": who,
            "TOKEN": token,
            **{f"GIT_{role}_NAME": who or "nobody" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": f"{who}@example.org" for role in ("AUTHOR", "COMMITTER")},
        }
        self.clone = self._run(folder.parent, "clone", "--quiet", url, str(folder))

    def _run(self, where: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words], cwd=where, env=self._environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def git(self, *words: str) -> str:
        """A command's output. Raises AssertionError with git's words."""
        done = self._run(self.folder, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, *words: str) -> str:
        """What git says of a command that fails."""
        done = self._run(self.folder, *words)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def commit(self, path: str, text: str, message: str = "a change") -> str:
        """A new commit with a file; its sha."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git("add", path)
        self.git("commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")
