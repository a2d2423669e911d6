"""The demo of this server: what a person asked for, kept for updates. Root only: it has secrets."""

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from feature_demo.words import NAME, DemoError
from remote.server.agent.machine import Machine
from remote.server.agent.releases import write_private

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN: Final = frozenset({"VERSION", "IMAGES", "PUBLIC_URL"})
USER: Final = "demo"
"""Of the password every demo is behind, as on a stack's demo."""
BUILT: Final = "feature-demo"
"""What images built here are named under; no registry."""


@dataclass(frozen=True)
class Demo:
    """One demo. Fields are as a person gives them; empty means: not given."""

    source: str
    """A git URL, or the absolute path of a folder of this server."""
    branch: str
    domain: str
    folder: str = ""
    """The application's folder within the source."""
    compose_file: str = "compose.yaml"
    images: str = ""
    """Registry and path the images are pulled from; empty: they are built here."""
    version: str = ""
    """A tag at the registry instead of the branch's."""
    address: str = ""
    """The server's public address, where it does not have it itself."""
    public: bool = False
    """Without a password, and for search engines."""
    acme_server: str = ""
    acme_root: str = ""
    acme_email: str = ""
    registry_server: str = ""
    """Whose user it is, where that is not where the images are: of base images for building."""
    registry_user: str = ""
    registry_password: str = field(default="", repr=False)
    git_user: str = ""
    git_token: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    settings: dict[str, str] = field(default_factory=dict, repr=False)
    """Variables of the application; all of them count as secret."""

    @property
    def is_git(self) -> bool:
        """Whether the source is fetched."""
        return not self.source.startswith("/")

    @property
    def registry(self) -> dict[str, str] | None:
        """The registry's credential as the agent takes it; None for public images."""
        if not self.registry_user:
            return None
        first = (self.images or "").partition("/")[0]
        server = self.registry_server or (first if "." in first or ":" in first else "docker.io")
        return {
            "server": server,
            "username": self.registry_user,
            "password": self.registry_password,
        }

    @property
    def secrets(self) -> list[str]:
        """Every value that must not be printed."""
        own = [self.registry_password, self.git_token, *self.settings.values()]
        return [value for value in own if value]


def kept_folder(machine: Machine) -> Path:
    """Where the script keeps what it has to know; below the agent's own state."""
    return machine.state / "feature-demo"


def load(machine: Machine) -> Demo | None:
    """The demo of this server, or None."""
    path = kept_folder(machine) / "demo.json"
    if not path.exists():
        return None
    loaded: dict[str, Any] = json.loads(path.read_text())
    known = {each.name for each in dataclasses.fields(Demo)}
    return Demo(**{name: value for name, value in loaded.items() if name in known})


def save(machine: Machine, demo: Demo) -> None:
    """Keep it, readable by root only."""
    write_private(kept_folder(machine) / "demo.json", json.dumps(dataclasses.asdict(demo)))


def read_settings(path: str) -> dict[str, str]:
    """A file of lines NAME=value, as Compose's .env. Raises DemoError naming the line."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(
            f"the settings {path} cannot be read ({error})", "give another file as --settings"
        ) from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or not _VARIABLE.fullmatch(name.strip()):
            raise DemoError(
                f"{path}, line {number}: is not NAME=value",
                f"correct the line and run {NAME} again",
            )
        if name.strip() in _OWN:
            raise DemoError(
                f"{path}, line {number}: {name.strip()} is set by the deployment itself",
                f"remove the line and run {NAME} again",
            )
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    # As in Compose: a comment after an unquoted value begins with a blank before it.
    return re.split(r"\s#", value, maxsplit=1)[0].rstrip()


def read_secret(path: str, what: str) -> str:
    """The first line of a file with a password in it. Raises DemoError."""
    try:
        lines = Path("/dev/stdin" if path == "-" else path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(
            f"the {what} cannot be read from {path} ({error})", "give a file that root can read"
        ) from None
    if not lines or not lines[0]:
        raise DemoError(f"the {what} in {path} is empty", "put it on the file's first line")
    return lines[0]


def read_pem(path: str) -> str:
    """A certificate authority's root. Raises DemoError."""
    try:
        text = Path(path).read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DemoError(
            f"{path} cannot be read ({error})", "give a PEM file as --acme-root"
        ) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise DemoError(f"{path} holds no PEM certificate", "give a PEM file as --acme-root")
    return text
