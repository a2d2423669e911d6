"""A bare server, and a person on it who has one file."""

import os
import pty
import re
import secrets
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from feature_demo import script
from sandbox.hosts.network import GATEWAY4
from tests.sandbox.deploys.conftest import Applications, Host, MakeHost
from tests.sandbox.deploys.conftest import applications as applications
from tests.sandbox.deploys.conftest import make_host as make_host
from tests.sandbox.deploys.conftest import monkeypatch_module as monkeypatch_module
from tests.sandbox.script.repository import TOKEN, Repository, served

SECONDS = 400
REGISTRY_USER = "pull"


@dataclass
class Ended:
    """One call's end."""

    code: int
    said: str
    answered: str = ""
    """Its stdout."""


@dataclass
class Person:
    """Somebody logged in as root on a bare server, with feature-demo.sh."""

    host: Host
    applications: Applications
    base: str
    canaries: list[str] = field(default_factory=list)

    @property
    def domain(self) -> str:
        return f"{self.host.server.name}.{self.applications.zone.name}"

    @property
    def authority(self) -> str:
        """Flags that have certificates made by the sandbox's authority."""
        return f"--acme-server {self.applications.acme['directory']} --acme-root /root/ca.pem"

    def copies(self) -> None:
        """The script, the settings and the passwords, as files of root's."""
        password = self.applications.pull["password"]
        self.canaries = [TOKEN, password, "canary-7f3b-secret"]
        for name, text in {
            "feature-demo.sh": script.render(),
            "ca.pem": self.applications.authority,
            "app.env": f"# settings\nTOKEN=canary-7f3b-secret\nBASE_IMAGE={self.base}\n",
            "git-token": TOKEN + "\n",
            "registry-password": password + "\n",
        }.items():
            done = self.host.ssh(f"umask 077; cat >/root/{name}", text=text)
            assert done.returncode == 0, done.stderr

    def calls(self, words: str, *, program: str = "sh feature-demo.sh") -> Ended:
        """The script, unattended. Nothing it prints may be a secret that was given to it."""
        done = subprocess.run(
            [*self.command(), f"cd /root && {program} {words}"],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SECONDS, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        print(said)
        assert [each for each in self.canaries if each in said] == []
        return Ended(done.returncode, said, done.stdout)

    def answers(self, words: str, dialogue: list[tuple[str, str]]) -> Ended:
        """The script on a terminal: each question (a pattern) is waited for, then answered."""
        command = [*self.command("-tt"), f"cd /root && sh feature-demo.sh {words}"]
        process, terminal = pty.fork()
        if process == 0:
            os.execvp(command[0], command)  # noqa: S606
        said, give_up, rest = "", time.monotonic() + SECONDS, dialogue[:]
        position = 0
        try:
            while time.monotonic() < give_up:
                ready, _, _ = select.select([terminal], [], [], 1)
                if ready:
                    try:
                        data = os.read(terminal, 65536)
                    except OSError:
                        break
                    if not data:
                        break
                    said += data.decode("utf-8", "replace")
                if rest and (found := re.search(rest[0][0], said[position:])):
                    position += found.end()
                    os.write(terminal, rest.pop(0)[1].encode() + b"\n")
        finally:
            os.close(terminal)
            _, status = os.waitpid(process, 0)
        print(said)
        assert rest == [], f"never asked: {rest}"
        return Ended(os.waitstatus_to_exitcode(status), said)

    def command(self, *options: str) -> list[str]:
        """What opens a shell on the server, its key pinned."""
        key, pins = self.host.folder / "login", self.host.folder / "pins"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(self.host.maintenance.private)
            pins.write_text(f"{self.host.address} {self.host.host_key.public}\n")
        return [
            "ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", *options,
            "-o", f"UserKnownHostsFile={pins}", "-i", str(key), f"root@{self.host.address}",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def person(make_host: MakeHost, applications: Applications, base_image: str) -> Person:
    host = make_host(f"script-{secrets.token_hex(2)}", image="debian-13-bare")
    host.wait()
    host.run("cloud-init status --wait >/dev/null || true")
    applications.point(str(host.server.name), host.address)
    applications.point("elsewhere", "203.0.113.250")
    made = Person(host, applications, base_image)
    made.copies()
    return made


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    folder: Path = tmp_path_factory.mktemp("git")
    with served(folder, GATEWAY4) as made:
        yield made
