"""Which state a stack is in, and what opens it. Pure, but for a passphrase that is in a file.

Production, the stages before it and demos can have a state, a passphrase and keys each, as they
have a Hetzner project each: PULUMI_BACKEND_URL_PROD is production's, PULUMI_BACKEND_URL that of
every group that has none of its own. A workflow's run is given one group's, without the ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from components import naming
from flow.errors import FlowError

NONPROD, PROD, DEMO = GROUPS = ("nonprod", "prod", "demo")
URL = "PULUMI_BACKEND_URL"
PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105  # nosec B105
PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105  # nosec B105
KEY = "AWS_ACCESS_KEY_ID"
KEY_SECRET = "AWS_SECRET_ACCESS_KEY"  # noqa: S105  # nosec B105
_OWN = (URL, PASSPHRASE, KEY, KEY_SECRET)
_DRILL = f"{naming.DEMO_STACK}drill--"
_GROUP_OF_STAGE = {"dev": NONPROD, "staging": NONPROD, "prod": PROD, "demo": DEMO}


def drills_of(environment: str) -> str:
    """What the stacks of an environment's drills begin with; a drill adds a word without hyphens.

    No branch is deployed to such a stack: where one has two hyphens in a row, its stack has a hash.
    So nobody's push gets a demo into production's state.
    """
    return f"{_DRILL}{naming.slug(environment, 24)}-"


def group_of(stack: str) -> str:
    """The group a stack belongs to; a stack of no stage is where dev and staging are.

    A drill is where the environment is whose data it holds.
    """
    stage = str(naming.stage_of_stack(stack))
    if stack.startswith(_DRILL):
        stage = stack.removeprefix(_DRILL).rpartition("-")[0]
        return _GROUP_OF_STAGE.get(stage, DEMO)
    return _GROUP_OF_STAGE.get(stage, NONPROD)


def of_group(variable: str, group: str) -> str:
    """A variable's name with a group's ending: PULUMI_BACKEND_URL_PROD."""
    return f"{variable}_{group.upper()}"


# Every name that a group's ending can have.
ENDED = frozenset(
    of_group(variable, group) for variable in (*_OWN, PASSPHRASE_FILE) for group in GROUPS
)


def credentials(group: str, environment: Mapping[str, str]) -> dict[str, str]:
    """What the engine gets for a group's stacks on top of `environment`. Raises FlowError.

    The group's own, under the names the engine knows; and no other group's.
    """
    own = {name: value for name in _OWN if (value := environment.get(of_group(name, group), ""))}
    named = environment.get(of_group(PASSPHRASE_FILE, group), "")
    if named and PASSPHRASE not in own:
        own[PASSPHRASE] = _read(of_group(PASSPHRASE_FILE, group), named)
    # The program of one group's stack has no use for what opens another's.
    return {**{name: "" for name in ENDED if environment.get(name)}, **own}


def opening(stack: str, environment: Mapping[str, str]) -> dict[str, str]:
    """All of `environment`, for plain `pulumi` on one stack: what opens its state, no other's.

    Raises FlowError.
    """
    whole = {**environment, **credentials(group_of(stack), environment)}
    return {name: value for name, value in whole.items() if name not in ENDED}


def command(stack: str, told: str) -> str:
    """What to type for `pulumi TOLD` on a stack, wherever its state is: also not the shell's own.

    told  as `config rm version`; `stack init NAME` takes no `-s`
    """
    named = "" if told.startswith("stack init ") else f" -s {stack}"
    return f"flow exec {stack} -- pulumi {told}{named}"


def set_token(stack: str) -> str:
    """The command that sets a stack's Hetzner token; it asks for the token."""
    return command(stack, "config set --secret hcloud:token")


# The program tells who runs plain `pulumi` what to type, in the state that is open already.
_PLAIN = re.compile(
    r"(?<!-- )\bpulumi (stack init ([a-z0-9-]+)"
    r"|(?:config|destroy|preview|refresh|stack|up)\b(?:(?!pulumi )[^\n&;`])*? -s ([a-z0-9-]+))"
)


def as_commands(text: str) -> str:
    """The program's words for who runs `flow`: each `pulumi … -s STACK` in them as `command`."""
    return _PLAIN.sub(lambda each: f"flow exec {each[2] or each[3]} -- {each[0]}", text)


def place(group: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Where a group's state is and whose key opens it; equal for groups that share one."""
    own = credentials(group, environment)
    return tuple(own.get(name) or environment.get(name, "") for name in (URL, KEY))  # type: ignore[return-value]


def places(
    environment: Mapping[str, str], groups: Iterable[str] = GROUPS
) -> dict[tuple[str, str], list[str]]:
    """The groups in each place, in order."""
    found: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        found.setdefault(place(group, environment), []).append(group)
    return found


def lacks_region(url: str) -> bool:
    """Whether a bucket's address names no region: the engine asks no bucket without one.

    Nothing but the address tells a workflow's run of it.
    """
    return url.startswith("s3:") and "region" not in parse_qs(urlsplit(url).query)


def with_region(url: str) -> str:
    """What to say in its place; the region is where the bucket was made."""
    return f"{url}{'&' if '?' in url else '?'}region=…, as fsn1 at Hetzner"


def passphrase(group: str, environment: Mapping[str, str]) -> str:
    """What a group's secrets are encrypted with; empty where nothing says. Raises FlowError."""
    own = credentials(group, environment)
    if given := own.get(PASSPHRASE) or environment.get(PASSPHRASE, ""):
        return given
    named = environment.get(PASSPHRASE_FILE, "")
    return _read(PASSPHRASE_FILE, named) if named else ""


def _read(variable: str, named: str) -> str:
    file = Path(named).expanduser()
    try:
        return file.read_text().strip()
    except OSError as error:
        raise FlowError(
            f"{variable} names {named}, which cannot be read", "correct the variable"
        ) from error
