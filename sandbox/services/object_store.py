"""The object storage of the sandbox: Versity's S3 gateway over a folder, for this machine alone.

It listens on loopback: servers keep no backup and hold no key to any. A folder below `buckets/` is
a bucket, and private until somebody gives it a policy; what S3 knows beyond a file's content stands
in `about/`, so that no file system has to keep it. `users/` has the users that were made with the
gateway's own interface (`versitygw admin`); the sandbox itself makes none.
"""

import os
import shutil
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from sandbox.alone import Port
from sandbox.processes import Detached
from sandbox.services.authority import Authority

NAME = "objects"
ADDRESS = "127.0.0.1"
PORT = 7095
ENDPOINT = f"https://{ADDRESS}:{PORT}"
REGION = "eu-central"
BACKUPS = "backups"
STATES = "states"
_PROGRAM = "versitygw"
_DEADLINE = 15.0  # seconds until it answers


class ObjectStoreError(RuntimeError):
    """The S3 gateway is not installed, or does not start."""


class ObjectStore:
    """The gateway of the sandbox in `directory`, with the programs of the checkout at `root`."""

    def __init__(self, root: Path, directory: Path, authority: Authority, port: int = PORT) -> None:
        self._root = root
        self._port = port
        self.endpoint = f"https://{ADDRESS}:{port}"
        self._folder = directory / NAME
        self._authority = authority
        self._process = Detached(NAME, f"{self._folder}/buckets", directory)

    def program(self) -> Path:
        """Where the gateway is: in the checkout's toolchain, or on PATH."""
        own = self._root / ".toolchain" / "bin" / _PROGRAM
        found = own if own.exists() else shutil.which(_PROGRAM)
        if found is None:
            raise ObjectStoreError(
                "versitygw, the sandbox's object storage, is not installed. "
                "Run `python3 -m toolchain.install` in the checkout and try again."
            )
        return Path(found)

    def start(self, keys: Mapping[str, str]) -> None:
        """Serve the buckets, with two made that a team would have; `wait` says when it does."""
        if self.runs():
            return
        self._process.stop()  # it hangs, or shows a certificate of an authority that is gone
        certificate, key = self._authority.issue(f"{NAME}.sandbox.test", (ADDRESS,))
        buckets, about = self._folder / "buckets", self._folder / "about"
        users = self._folder / "users"
        for folder in (buckets / BACKUPS, buckets / STATES, about, users):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [
            str(self.program()), "--port", f"{ADDRESS}:{self._port}", "--region", REGION, "--quiet",
            "--cert", str(certificate), "--key", str(key), "--iam-dir", str(users),
            "posix", "--dir-perms", "0700", "--sidecar", str(about), str(buckets),
        ]  # fmt: skip
        self._process.start(command, _environment(keys), self._folder)

    def wait(self) -> None:
        """Until it answers. Raises `ObjectStoreError`."""
        give_up = time.monotonic() + _DEADLINE
        while time.monotonic() < give_up and self._process.pid() is not None:
            if self.runs():
                return
            time.sleep(0.1)
        raise ObjectStoreError(
            f"the object storage did not start. The end of {self._process.log}:\n"
            f"{self._process.last_words()}"
        )

    def runs(self) -> bool:
        """Whether it serves, and lets nobody in without a key."""
        if self._process.pid() is None or not self._authority.certificate.exists():
            return False
        context = ssl.create_default_context(cafile=str(self._authority.certificate))
        try:
            reply = httpx.get(
                f"{self.endpoint}/{BACKUPS}", verify=context, timeout=2.0, trust_env=False
            )
        except httpx.HTTPError:
            return False
        return reply.status_code == 403

    def stop(self) -> None:
        """Stop it; its buckets stay."""
        self._process.stop()

    def ports(self) -> list[Port]:
        """What it will listen on, where it does not run."""
        return [] if self._process.pid() else [(ADDRESS, self._port, socket.SOCK_STREAM)]

    def status(self) -> dict[str, Any]:
        """Whether it runs, and where."""
        return {"running": self.runs(), "url": self.endpoint}


def _environment(keys: Mapping[str, str]) -> dict[str, str]:
    """The gateway's keys, which no command line shows."""
    # Nothing of this shell's own settings of such a gateway counts.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("VGW_")}
    return {
        **mine,
        "ROOT_ACCESS_KEY": keys["access_key"],
        "ROOT_SECRET_KEY": keys["secret_key"],
    }
