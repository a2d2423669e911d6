"""Caddy's configuration: rendered elsewhere, completed, checked and loaded here."""

from __future__ import annotations

import json
import secrets
import shutil
import string
from pathlib import Path

from .commands import DATA_LIMIT, Commands
from .errors import DeployError
from .releases import Release
from .slots import SLOTS

CANDIDATE = "Caddyfile.candidate"
SLOT_FILE = "deployment-flow.green"
"""Is there while slot green has the traffic."""
LOADING = "deployment-flow.loading"
"""Is there until the Caddyfile beside it is what Caddy runs."""
HASH_PLACE = "@PASSWORD_HASH@"
"""Where a release's Caddyfile wants the bcrypt hash of its password."""
HASH_COST = "08"
"""Of bcrypt. Caddy's own, 14, keeps a core busy for a second with each wrong password, and with
each of the first requests; passwords here are 144 random bits, which need no slow hash."""
_HASH = "chomp(my $password = <STDIN>); print crypt($password, $ARGV[0])"


class Caddy:
    """The web server in front of every service."""

    def __init__(self, commands: Commands, folder: Path) -> None:
        self._commands = commands
        self._folder = folder

    def hash_password(self, password: str) -> str:
        """Its bcrypt hash, with fresh salt; the password is read from stdin. Raises DeployError."""
        if not password:
            raise DeployError(
                "the release asks for a password and none was handed over",
                "run `pulumi up` of the whole stack: it makes one",
            )
        salt = "".join(secrets.choice(string.ascii_letters) for _ in range(22))
        # Perl is on every Debian, and reaches bcrypt of the C library; this Caddy takes no cost.
        ended = self._commands.run(
            ["perl", "-e", _HASH, f"$2b${HASH_COST}${salt}"], seconds=60, stdin=password + "\n"
        )
        hashed = ended.last()
        if not ended.ok or not hashed.startswith(f"$2b${HASH_COST}$"):
            raise DeployError(
                "the password could not be hashed",
                "look at what `perl -e 'print crypt(1, shift)' '$2b$08$abcdefghijklmnopqrstuu'` "
                "says there",
            )
        return hashed

    def check(self, release: Release) -> None:
        """Raise DeployError when Caddy would not take the release's configuration."""
        self._install_root(release)
        # As Caddy's own user: a made-up file must not make root read another file aloud.
        self._install(release.path / "Caddyfile", CANDIDATE)
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

    def refusal(self, hostname: str) -> str:
        """Why the last try for a name's certificate failed, as Caddy tells it; empty: unknown."""
        told = self._commands.run(
            ["journalctl", "--unit=caddy", "--output=cat", "--no-pager", "--since=-15min",
             "--lines=1000"],
            seconds=20,
            line_limit=DATA_LIMIT,
        )  # fmt: skip
        for line in reversed(told.lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if not isinstance(entry, dict) or entry.get("identifier") != hostname:
                continue
            if error := " ".join(str(entry.get("error") or "").split()):
                return error[:300]
        return ""

    def is_serving(self, release: Release) -> bool:
        """Whether the release's configuration is in place and its slot has the traffic."""
        return self.is_loaded(release) and (self._folder / SLOT_FILE).exists() == (
            release.slot != SLOTS[0]
        )

    def serve(self, release: Release) -> None:
        """Give a release's slot the traffic.

        From one version to the next with the same routes no connection is closed: Caddy looks at
        every request for the file that says which slot it is.
        """
        if not self.is_loaded(release):
            self._load(release)
        slot = self._folder / SLOT_FILE
        if release.slot == SLOTS[0]:
            slot.unlink(missing_ok=True)
        else:
            slot.touch()

    def is_loaded(self, release: Release) -> bool:
        """Whether the release's configuration is the one in force."""
        target = self._folder / "Caddyfile"
        if (self._folder / LOADING).exists() or not target.exists():
            return False
        return target.read_bytes() == (release.path / "Caddyfile").read_bytes()

    def ask_again(self) -> None:
        """Have a missing certificate asked for at once; where that fails Caddy asks later."""
        self._commands.run(["systemctl", "reload", "caddy"], seconds=60)

    def _load(self, release: Release) -> None:
        """Put a release's configuration in place; requests under way are answered."""
        self._install_root(release)
        # Where Caddy does not take it, or the agent ends here, the next deploy loads it again.
        (self._folder / LOADING).touch()
        self._install(release.path / "Caddyfile", "Caddyfile")
        ended = self._commands.run(["systemctl", "reload-or-restart", "caddy"], seconds=60)
        if not ended.ok:
            raise DeployError(
                f"caddy did not take its new configuration: {ended.last()[:400]}",
                "look at `journalctl -u caddy` on the server",
            )
        (self._folder / LOADING).unlink()

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
