"""What a stack's settings may say: types, limits, what contradicts what, and the remedies.

Shapes only; settings.py reads the values and reports the mistakes.
"""

import datetime
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

from components import naming, ssh_keys

_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_IMAGES: Final = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SSH_KEY: Final = re.compile(
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)"
    r"@openssh\.com) [A-Za-z0-9+/]{60,}={0,3}( [^\n]*)?"
)
# An owner and a repository; a reviewer is a person, or a team of the owner's.
_REPOSITORY: Final = r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9_.-]+$"
_REVIEWER: Final = r"^[A-Za-z0-9][A-Za-z0-9-]*(/[a-z0-9][a-z0-9_-]*)?$"
REVIEWERS_AT_MOST: Final = 6  # GitHub's own limit of an environment
NETWORKS_AT_MOST: Final = 100  # Hetzner's own limit of a firewall's rule
HETZNER_API: Final = "https://api.hetzner.cloud/v1"
_ARM_TYPES: Final = "cax"
_Value = TypeVar("_Value")
_OWN_VARIABLES: Final = frozenset({"VERSION", "IMAGES", "PUBLIC_URL"})

# Every key, with what to do about a wrong value. The schema in Pulumi.yaml says the same to
# the engine; a test holds the two together.
REMEDIES: Final[dict[str, str]] = {
    "application": "Give the application's folder, relative to the project",
    "composeFile": "Give the Compose file's name in the application's folder",
    "images": "Give the registry and path images are under, as ghcr.io/example-org/fieldwork",
    "branch": "Give the git branch whose newest image is deployed",
    "version": "Give an image tag or version, as 1.4.0",
    "digests": 'Give image names and digests, as {"ghcr.io/example-org/web": "sha256:…"}',
    "rollback": "Give the id or the version of a release that flow rollback --list names",
    "zone": "Give a DNS zone of the Hetzner project, as example.org, or nothing for DNS elsewhere",
    "hostname": "Give a host name, in the zone where one is set, as staging.example.org",
    "addressDomain": "Give a domain that answers names with the address in them, as sslip.io",
    "serverType": "Give a Hetzner server type, as cx23",
    "locations": 'Give Hetzner locations in order of preference, as ["fsn1", "nbg1"]',
    "image": "Give a Hetzner system image, as debian-13",
    "volumeSize": "Give the data volume's size in GB, 10 to 10240, or 0 for none",
    "acmeServer": "Give the https address of an ACME directory, or nothing for Let's Encrypt",
    "acmeRoot": "Give the PEM text of the certificate authority's root",
    "acmeEmail": "Give the address the certificate authority may write to",
    "registryUsername": "Give the registry's user and password both, or neither",
    "registryPassword": "pulumi config set --secret registryPassword",
    "adminKeys": "Give a list of OpenSSH public keys, as ssh-ed25519 AAAA… name",
    "sshFrom": 'Give networks that may open SSH, as ["198.51.100.0/24"], or [] for any',
    "host": "Give the IP address of a machine that exists, or nothing to have a server made",
    "hostPort": "Give the machine's SSH port, 1 to 65535",
    "hostUser": "Give the user to log in as: root, or one who may sudo without a password",
    "hostKey": "Give the machine's host key, from its /etc/ssh/ssh_host_ed25519_key.pub",
    "hostSshKey": "pulumi config set --secret hostSshKey < the private key of hostUser",
    "environment": "Give variables for the application, as {LOG_LEVEL: info}",
    "secrets": "pulumi config set --secret --path secrets.NAME",
    "protected": "Give true or false",
    "confirm": "Give the word the refusal named, as replace-server-42",
    "ttlDays": "Give the days a demo lives after its last new release, 1 to 365",
    "until": "Give a demo's last day, as 2031-05-31",
    "asleep": "Give true or false; better: flow demo sleep, flow demo wake",
    "hsts": "Give true or false",
    "bootDeadline": "Give seconds a server may take to boot, 10 to 900",
    "cloudDeadline": "Give seconds Hetzner may take for a server or a record set, 10 to 3600",
    "githubRepository": "Give the application's repository, as example-org/fieldwork, or nothing",
    "githubReviewers": "Give up to 6 of GitHub's people or teams, as ada or example-org/release",
    "githubReviews": "Give the approvals a pull request to the stage's branch needs, 0 to 10",
    "githubChecks": 'Give names of checks that have to pass, as ["test"]',
}
SECRETS: Final = frozenset({"registryPassword", "hostSshKey", "secrets"})
LISTS: Final = frozenset({"locations", "adminKeys", "sshFrom", "githubReviewers", "githubChecks"})
OBJECTS: Final = frozenset({"digests", "environment", "secrets"})


def _dns_name(value: str) -> str:
    if not _DNS_NAME.fullmatch(value):
        raise ValueError("is no lower-case DNS name")
    return value


def _ssh_key(value: str) -> str:
    if not _SSH_KEY.fullmatch(value.strip()):
        raise ValueError("is no OpenSSH public key")
    return value.strip()


def _admin_key(value: str) -> str:
    ssh_keys.check_public(value)
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        raise ValueError(f"is no network ({error})") from None


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("is no IP address") from None


def _https(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/]+(/\S*)?", value):
        raise ValueError("is no https address")
    return value


def _pem(value: str) -> str:
    if "-----BEGIN CERTIFICATE-----" not in value:
        raise ValueError("is no PEM certificate")
    return value


def _private_key(value: SecretStr) -> SecretStr:
    if "PRIVATE KEY-----" not in value.get_secret_value():
        raise ValueError("is no private key")
    # sshd's client refuses a key file without its last line end.
    text = value.get_secret_value().strip() + "\n"
    ssh_keys.check_private(text)
    return SecretStr(text)


def _variables(values: dict[str, _Value]) -> dict[str, _Value]:
    for name in values:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a variable")
        if name in _OWN_VARIABLES:
            raise ValueError(f"{name} is set by the deployment itself")
    return values


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("is empty")
    if len(set(values)) != len(values):
        raise ValueError("names one twice")
    return values


def _text(value: object) -> object:
    """YAML reads 1 and true where a variable's text is meant."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


DnsName = Annotated[str, AfterValidator(_dns_name)]
SshKey = Annotated[str, AfterValidator(_ssh_key)]
AdminKey = Annotated[SshKey, AfterValidator(_admin_key)]
Network = Annotated[str, AfterValidator(_network)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Text = Annotated[str, BeforeValidator(_text)]
SecretText = Annotated[SecretStr, BeforeValidator(_text)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


class Common(_Frozen):
    """Settings that mean the same read and checked."""

    compose_file: str = "compose.yaml"
    images: str = Field("", pattern=_IMAGES.pattern)
    version: str | None = Field(None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    digests: dict[str, Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]] = Field(
        default_factory=dict
    )
    rollback: str | None = Field(None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")
    zone: DnsName | None = None
    address_domain: DnsName = "sslip.io"
    server_type: Name = "cx23"
    locations: Annotated[tuple[Name, ...], AfterValidator(_distinct)] = ("fsn1", "nbg1", "hel1")
    image: Name = "debian-13"
    volume_size: int = 10
    acme_server: Annotated[str, AfterValidator(_https)] | None = None
    acme_root: Annotated[str, AfterValidator(_pem)] | None = None
    acme_email: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$")
    registry_username: str | None = None
    registry_password: SecretStr | None = None
    admin_keys: tuple[AdminKey, ...] = ()
    ssh_from: tuple[Network, ...] = Field((), max_length=NETWORKS_AT_MOST)
    environment: Annotated[dict[str, Text], AfterValidator(_variables)] = Field(
        default_factory=dict
    )
    secrets: Annotated[dict[str, SecretText], AfterValidator(_variables)] = Field(
        default_factory=dict
    )
    confirm: str | None = None
    ttl_days: int = Field(14, ge=1, le=365)
    asleep: bool = False
    hsts: bool = False
    boot_deadline: int = Field(300, ge=10, le=900)
    cloud_deadline: int = Field(600, ge=10, le=3600)


class Values(Common):
    """Settings as read: one field a key of Pulumi.yaml."""

    application: str = "example"
    branch: str | None = Field(None, max_length=255)
    hostname: DnsName | None = None
    host: Annotated[str, AfterValidator(_address)] | None = None
    host_port: int = Field(22, ge=1, le=65535)
    host_user: str = Field("root", pattern=r"^[a-z_][a-z0-9_-]*$")
    host_key: SshKey | None = None
    host_ssh_key: Annotated[SecretStr, AfterValidator(_private_key)] | None = None
    protected: bool = True
    until: datetime.date | None = None
    github_repository: str | None = Field(None, pattern=_REPOSITORY)
    github_reviewers: tuple[Annotated[str, Field(pattern=_REVIEWER)], ...] = Field(
        (), max_length=REVIEWERS_AT_MOST
    )
    github_reviews: int = Field(1, ge=0, le=10)
    github_checks: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()

    def contradictions(self, stage: naming.Stage, today: datetime.date) -> list[tuple[str, str]]:
        """What no single key shows: pairs of a key and why its value does not fit."""
        found: list[tuple[str, str]] = []
        if not self.images:
            found.append(("images", "is not set"))
        if self.version and self.rollback:
            found.append(("rollback", "and version are not for one run; leave one out"))
        if self.volume_size != 0 and not 10 <= self.volume_size <= 10240:
            found.append(("volumeSize", "is no size Hetzner sells"))
        if self.hostname and self.zone and not naming.is_in_zone(self.hostname, self.zone):
            found.append(("hostname", f"is not in zone {self.zone}"))
        if stage != "demo" and not self.hostname and not self.zone:
            found.append(("hostname", "is not set, and neither is a zone"))
        if (self.registry_username is None) != (self.registry_password is None):
            found.append(("registryUsername", "and registryPassword go together"))
        both = sorted(set(self.environment) & set(self.secrets))
        if both:
            found.append(("environment", f"has {', '.join(both)}, which secrets has, too"))
        found += self._host_contradictions()
        if self.until and stage != "demo":
            found.append(("until", f"is for demos; {stage} has no end"))
        if self.until and stage == "demo" and self.until < today:
            found.append(("until", "has passed"))
        if self.asleep and stage != "demo":
            found.append(("asleep", f"is for demos; {stage} stays awake"))
        if self.asleep and self.host:
            found.append(("asleep", "is for servers made here; a given machine stays on"))
        return found

    def _host_contradictions(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        if self.host and not self.host_key:
            found.append(("hostKey", "is not set, and an unknown host is never trusted"))
        if self.host and not self.host_ssh_key:
            found.append(("hostSshKey", "is not set"))
        if self.host and self.ssh_from:
            found.append(("sshFrom", "is for servers made here: the firewall is Hetzner's"))
        if not self.host and (self.host_key or self.host_ssh_key):
            found.append(("host", "is not set, though hostKey or hostSshKey is"))
        return found


class GivenHost(_Frozen):
    """A machine that exists and how to log in to it."""

    address: str
    port: int
    user: str
    host_key: str
    ssh_key: SecretStr


class Github(_Frozen):
    """The stage's part at GitHub: an environment, and rules for its branch."""

    owner: str
    repository: str
    """Without its owner."""
    reviewers: tuple[str, ...]
    """Who agrees to a deployment: logins, and teams as owner/slug."""
    reviews: int
    checks: tuple[str, ...]
    url: str
    """https://api.github.com, or the address of a server of one's own."""
    token: SecretStr
    configured_token: bool
    """Whether it is in the stack's settings; one of the environment never enters the state."""


class Settings(Common):
    """One stack's settings, checked and completed."""

    model_config = ConfigDict(extra="ignore")

    project: str
    stack: str
    stage: naming.Stage
    branch: str
    application: Path
    """Absolute path of the application's folder."""
    hostname: str | None
    """None where the name is made of the address."""
    label: str
    """The host name's first part."""
    protected: bool
    until: int | None
    """A demo's end in seconds since 1970, where a date was set."""
    given_host: GivenHost | None
    hcloud_token: SecretStr | None
    hcloud_endpoint: str
    github: Github | None = None
    """None where no repository is named."""

    @property
    def registry(self) -> str:
        """Host of the registry the application's images are in, as docker understands it."""
        first = self.images.partition("/")[0]
        return first if "." in first or ":" in first or first == "localhost" else "docker.io"

    @property
    def architecture(self) -> str | None:
        """The server's processor as images name it: amd64 or arm64; None where it is not known.

        That of a given machine is not, nor that of a sandbox's servers: it is their host's.
        """
        if self.given_host is not None or self.hcloud_endpoint.rstrip("/") != HETZNER_API:
            return None
        return "arm64" if self.server_type.startswith(_ARM_TYPES) else "amd64"

    @property
    def holds_data(self) -> bool:
        """Whether what the server keeps must outlive it."""
        return self.stage != "demo"
