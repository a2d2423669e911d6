"""Names: any branch → stack, host label, image tag, label value and resource name.

One idea carries all of them. A name that is already what the target wants is kept as it is;
any other is slugged and gets a hash of the original, so that `Foo` and `foo`, `a/b` and `a-b`
stay apart. A name that merely looks hashed is hashed again. So no two inputs share an output
(up to 40 bits of SHA-256), every output is safe in a shell, a DNS label and a file name, and a
person can read where it came from.

Pure and without dependencies: the `flow` command imports this module too.
"""

import hashlib
import re
import unicodedata
from typing import Final, Literal, get_args

Stage = Literal["dev", "staging", "prod", "demo"]
LongLivedStage = Literal["dev", "staging", "prod"]

STAGE_BRANCHES: Final[dict[LongLivedStage, str]] = {
    "dev": "development",
    "staging": "staging",
    "prod": "main",
}
DEMO_BRANCH: Final = "feature-demo/"
DEMO_STACK: Final = "feature-demo-"
HOST_LABELS: Final[dict[LongLivedStage, str]] = {"dev": "dev", "staging": "staging", "prod": "app"}

# Names a zone may already use; a demo of branch feature-demo/staging must not take the
# address of the staging server.
RESERVED_LABELS: Final = frozenset(
    {"app", "dev", "development", "localhost", "mail", "main", "prod", "production", "staging"}
    | {"api", "ns", "ns1", "ns2", "smtp", "www"}
)

DNS_LABEL_LENGTH: Final = 63
LABEL_VALUE_LENGTH: Final = 63
SLUG_LENGTH: Final = 63  # a label value; an image tag may be 128
STACK_LENGTH: Final = 53  # feature-demo- and 40 more; with the project's name it names servers
RESOURCE_LENGTH: Final = 57  # Hetzner server names are host names (63); room for "-data", "-ipv4"

_HASH_LENGTH: Final = 10
_PLAIN: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LOOKS_HASHED: Final = re.compile(rf"(.*-)?[0-9a-f]{{{_HASH_LENGTH}}}", re.DOTALL)
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def _hash(text: str) -> str:
    # surrogatepass: a branch name from git is bytes and may not be valid Unicode.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]


def _slug(text: str) -> str:
    """Lower-case ASCII letters, digits and single hyphens; may be empty."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")


def _hashed(text: str, length: int) -> str:
    kept = _slug(text)[: length - _HASH_LENGTH - 1].strip("-")
    return f"{kept}-{_hash(text)}" if kept else _hash(text)


def _is_plain(text: str, length: int) -> bool:
    return (
        len(text) <= length
        and _PLAIN.fullmatch(text) is not None
        and _LOOKS_HASHED.fullmatch(text) is None
    )


def slug(text: str, length: int = DNS_LABEL_LENGTH) -> str:
    """A DNS label of at most `length` characters; different for every text."""
    return text if _is_plain(text, length) else _hashed(text, length)


def stack_of_branch(branch: str) -> str:
    """The stack a branch is deployed to: `development` → `dev`, `feature-demo/x` →
    `feature-demo-x`, anything else → `feature-demo-<slug>-<hash>`.
    """
    for stage, stage_branch in STAGE_BRANCHES.items():
        if branch == stage_branch:
            return stage
    length = STACK_LENGTH - len(DEMO_STACK)
    rest = branch.removeprefix(DEMO_BRANCH)
    if rest != branch and _is_plain(rest, length):
        return DEMO_STACK + rest
    # The hash is over the whole branch: `feature-demo/Foo` and `Foo` are two branches.
    kept = _slug(rest)[: length - _HASH_LENGTH - 1].strip("-")
    return DEMO_STACK + (f"{kept}-{_hash(branch)}" if kept else _hash(branch))


def branch_of_stack(stack: str) -> str | None:
    """The branch a stack follows when its settings name none; None for a stack of no stage."""
    stage = stage_of_stack(stack)
    if stage is None:
        return None
    if stage == "demo":
        return DEMO_BRANCH + stack.removeprefix(DEMO_STACK)
    return STAGE_BRANCHES[stage]


def stage_of_stack(stack: str) -> Stage | None:
    """The stage a stack belongs to; None for a name that is neither a stage nor a demo."""
    for stage in get_args(LongLivedStage):
        if stack == stage:
            return stage  # type: ignore[no-any-return]
    return "demo" if len(stack) > len(DEMO_STACK) and stack.startswith(DEMO_STACK) else None


def host_label(stack: str) -> str:
    """The DNS label a stack answers under: `feature-demo-x` → `x`, `prod` → `app`."""
    stage = stage_of_stack(stack)
    if stage is None:
        return _hashed(stack, DNS_LABEL_LENGTH)
    if stage != "demo":
        return HOST_LABELS[stage]
    rest = stack.removeprefix(DEMO_STACK)
    if rest in RESERVED_LABELS:
        return _hashed(rest, DNS_LABEL_LENGTH)
    # A stack made from an odd branch carries its hash already.
    if len(rest) <= DNS_LABEL_LENGTH and _PLAIN.fullmatch(rest):
        return rest
    return _hashed(rest, DNS_LABEL_LENGTH)


def branch_slug(branch: str) -> str:
    """A branch as image tag and label value: `development`, `feature-demo-x`, else with hash."""
    rest = branch.removeprefix(DEMO_BRANCH)
    if rest != branch and _is_plain(rest, SLUG_LENGTH - len(DEMO_STACK)):
        return DEMO_STACK + rest
    if not branch.startswith(DEMO_STACK) and _is_plain(branch, SLUG_LENGTH):
        return branch
    return _hashed(branch, SLUG_LENGTH)


def label_value(text: str) -> str:
    """A Hetzner label value: at most 63 of A–Z a–z 0–9 _ . - with letters or digits at the ends."""
    if (
        len(text) <= LABEL_VALUE_LENGTH
        and (text == "" or _LABEL_VALUE.fullmatch(text))
        and not _LOOKS_HASHED.fullmatch(text)
    ):
        return text
    return _hashed(text, LABEL_VALUE_LENGTH)


def resource_name(project: str, stack: str) -> str:
    """The name a stack's server and the rest carry at Hetzner: `deployment-flow-staging`.

    A Hetzner project may serve several Pulumi projects, and names are unique in it.
    """
    name = f"{project}-{stack}"
    if len(name) <= RESOURCE_LENGTH and _PLAIN.fullmatch(name):
        return name
    return _hashed(name, RESOURCE_LENGTH)


def is_in_zone(hostname: str, zone: str) -> bool:
    """Whether a host name, or a domain, is the zone's own or below it."""
    return bool(zone) and f".{hostname}".endswith(f".{zone}")
