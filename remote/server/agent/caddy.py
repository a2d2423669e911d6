"""Caddy's configuration: rendered elsewhere, completed, checked and loaded here."""

from __future__ import annotations

import shutil
from pathlib import Path

from .commands import Commands
from .errors import DeployError
from .releases import Release

CANDIDATE = "Caddyfile.candidate"
HASH_PLACE = "@PASSWORD_HASH@"
"""Where a release's Caddyfile wants the bcrypt hash of its password."""


class Caddy:
    """The web server in front of every service."""

    def __init__(self, commands: Commands, folder: Path) -> None:
        self._commands = commands
        self._folder = folder

    def complete(self, text: str, password: str) -> str:
        """Put the password's hash where the text asks for it; the password is read from stdin."""
        if HASH_PLACE not in text:
            return text
        if not password:
            raise DeployError(
                "the release asks for a password and none was handed over",
                "run `pulumi up` of the whole stack: it makes one",
            )
        ended = self._commands.run(["caddy", "hash-password"], seconds=60, stdin=password + "\n")
        hashed = ended.last()
        if not ended.ok or not hashed.startswith("$2"):
            raise DeployError("caddy could not hash the password", "look at `caddy version` there")
        return text.replace(HASH_PLACE, hashed)

    def check(self, release: Release) -> None:
        """Raise DeployError when Caddy would not take the release's configuration."""
        self._install_root(release)
        # As Caddy's own user: a made-up file must not make root read another file aloud.
        self._install(release.folder / "Caddyfile", CANDIDATE)
        ended = self._commands.run(
            ["runuser", "-u", "caddy", "--", "caddy", "validate", "--adapter", "caddyfile",
             "--config", str(self._folder / CANDIDATE)],
            seconds=60,
            environment={"HOME": "/var/lib/caddy"},
        )  # fmt: skip
        (self._folder / CANDIDATE).unlink(missing_ok=True)
        if not ended.ok:
            raise DeployError(
                f"caddy refuses the configuration: {ended.last()[:400]}",
                "correct the labels deployment-flow.path and .health, or the host name",
            )

    def is_loaded(self, release: Release) -> bool:
        """Whether the release's configuration is the one in place."""
        target = self._folder / "Caddyfile"
        return (
            target.exists() and target.read_bytes() == (release.folder / "Caddyfile").read_bytes()
        )

    def load(self, release: Release) -> None:
        """Put a release's configuration in place; connections that are open stay open."""
        self._install_root(release)
        self._install(release.folder / "Caddyfile", "Caddyfile")
        ended = self._commands.run(["systemctl", "reload-or-restart", "caddy"], seconds=60)
        if not ended.ok:
            raise DeployError(
                f"caddy did not take its new configuration: {ended.last()[:400]}",
                "look at `journalctl -u caddy` on the server",
            )

    def _install_root(self, release: Release) -> None:
        if (release.path / "acme-root.pem").exists():
            self._install(release.path / "acme-root.pem", "acme-root.pem")

    def _install(self, source: Path, name: str) -> None:
        """Readable by root and the caddy group only: it holds a password's hash."""
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f".{name}.new"
        shutil.copyfile(source, new)
        new.chmod(0o640)
        try:
            shutil.chown(new, group="caddy")
        except LookupError:
            new.chmod(0o644)
        new.rename(self._folder / name)
