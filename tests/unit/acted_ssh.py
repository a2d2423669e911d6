"""An `ssh` on PATH that acts out what servers do, and a request to hand over to it."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from remote import deploying, provisioning

ROOT = Path(__file__).parents[2]
HOST_KEY = "203.0.113.9 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHxx"
DEPLOY_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHyy flow"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END-----\n"
CONNECTION: dict[str, object] = {
    "host": "203.0.113.9",
    "user": "flow",
    "key": PRIVATE,
    "known_hosts": HOST_KEY,
}
RELEASE: dict[str, object] = {
    "connection": CONNECTION,
    "bundle": {"id": "abcdef", "version": "1.0.0"},
    "secrets": {"TOKEN": "hunter2222"},
    "registry": {"server": "ghcr.io", "username": "u", "password": "registry-pass"},
    "auth": {"password": "demo-pass"},
}
OK: dict[str, object] = {
    "ok": True,
    "release": "abcdef-1",
    "version": "1.0.0",
    "url": "https://a",
    "changed": True,
}


HELLO = "say({'hello': 'deployment-flow', 'protocol': 1})\n"


class FakeSsh:
    """An `ssh` on PATH: notes how it was called, then runs a script of ours."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def acts(self, body: str) -> None:
        path = self.folder / "ssh"
        path.write_text(
            f"#!{sys.executable}\n"
            "import json, os, sys, time, pathlib\n"
            f"here = pathlib.Path({str(self.folder)!r})\n"
            "with open(here / 'calls', 'a') as f: f.write(json.dumps(sys.argv) + '\\n')\n"
            "opts = dict(a.split('=', 1) for a in sys.argv if '=' in a)\n"
            "def say(m): print(m if isinstance(m, str) else json.dumps(m), flush=True)\n"
            "def die(text, code=255): print(text, file=sys.stderr); sys.exit(code)\n"
            "def take():\n"
            "    line = sys.stdin.readline()\n"
            "    (here / 'taken').write_text(line)\n"
            "    return json.loads(line)\n"
            "tries = len((here / 'calls').read_text().splitlines())\n" + body
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def taken(self) -> str:
        path = self.folder / "taken"
        return path.read_text() if path.exists() else ""


def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    """Put it first on PATH, and shorten the pauses between tries."""
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(provisioning, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(deploying, "PAUSE_SECONDS", 0.05)
    return FakeSsh(folder)
