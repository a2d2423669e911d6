"""What `flow init` is told of the states: a place, a passphrase and keys for each group of stacks.

Each environment of runs holds one group's alone, so that who may push a demo's branch opens
nothing of staging's or production's.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flow import backends
from flow.errors import FlowError

_OF = {
    backends.NONPROD: "dev and staging",
    backends.PROD: "production",
    backends.DEMO: "demos",
}
FLAGS = {backends.NONPROD: "--state", backends.PROD: "--state-prod", backends.DEMO: "--state-demo"}

Ask = Callable[[str, str, bool], str]
"""(question, default, whether it is secret) → what a person typed."""


@dataclass(frozen=True)
class State:
    """Where one group's state is, and what opens it."""

    url: str
    passphrase: str = field(repr=False)
    key: str = field(default="", repr=False)
    """Of its bucket; empty where it is in none."""
    key_secret: str = field(default="", repr=False)
    is_new: bool = False
    """The passphrase was made here."""

    @property
    def _place(self) -> tuple[str, str, str]:
        parts = urlsplit(self.url)
        return parts.scheme, parts.netloc, parts.path.strip("/")

    def shares(self, other: State) -> list[str]:
        """What opens both of two states, in words."""
        return [
            what
            for what, one, two in (
                ("place", self._place, other._place),
                ("key of a bucket", self.key, other.key),
                ("passphrase", self.passphrase, other.passphrase),
            )
            if one and one == two
        ]


@dataclass(frozen=True)
class Known:
    """What is known before anybody is asked. `urls` are by group; empty: not given."""

    urls: Mapping[str, str]
    environment: Mapping[str, str] = field(repr=False)
    encrypted: Collection[str] = ()
    """Groups whose stacks have a passphrase already: it has to be given, none is made."""
    one: bool = False
    """All are to be in one place, with one passphrase and key."""

    def of(self, variable: str, group: str) -> str:
        """A variable of a group's own, or the one for all where that is this group's."""
        own = self.environment.get(backends.of_group(variable, group), "")
        return own or (self.environment.get(variable, "") if self._has_default(group) else "")

    def url(self, group: str) -> str:
        """The place that was given for a group."""
        return self.urls.get(group, "") or (
            self.urls.get(backends.NONPROD, "") if self._has_default(group) else ""
        )

    def passphrase(self, group: str) -> str:
        """The one that was given for a group; empty where none was. Raises FlowError."""
        if self._has_default(group):
            return backends.passphrase(group, self.environment)
        return backends.credentials(group, self.environment).get(backends.PASSPHRASE, "")

    def _has_default(self, group: str) -> bool:
        return self.one or group == backends.NONPROD


def collect(known: Known, ask: Ask | None, lacking: list[str]) -> dict[str, State]:
    """Every group's; what nobody says is added to `lacking`. Raises FlowError for a bad file."""
    if known.one:
        state = _state(known, backends.NONPROD, ask, lacking)
        return dict.fromkeys(backends.GROUPS, state)
    return {group: _state(known, group, ask, lacking) for group in backends.GROUPS}


def check(states: Mapping[str, State], *, one: bool) -> None:
    """Raises FlowError for what is no address, and for what opens two groups' states."""
    for group, state in states.items():
        if "://" not in state.url:
            raise FlowError(
                f"{FLAGS[group]}: {state.url!r} is no address",
                "s3://bucket?endpoint=…&region=…, or file:///folder",
                code=2,
            )
        if backends.lacks_region(state.url):
            raise FlowError(
                f"{FLAGS[group]}: {state.url} names no region, and no run would reach the bucket",
                backends.with_region(state.url),
                code=2,
            )
    if one:
        return
    shared = [
        f"{_OF[first]}: the same {what} as {_OF[second]}"
        for first, second in itertools.combinations(states, 2)
        for what in states[first].shares(states[second])
    ]
    if shared:
        raise FlowError(
            f"the states are not kept apart: {'; '.join(shared)}",
            "give each its own (docs/tutorial.md); or, if whoever may push a demo's branch may "
            "have all that production has, --one-state",
            code=2,
        )


def _state(known: Known, group: str, ask: Ask | None, lacking: list[str]) -> State:
    def answer(value: str, question: str, how: str, *, secret: bool) -> str:
        if not value and ask is not None:
            value = ask(question, "", secret).strip()
        if not value:
            lacking.append(how)
        return value

    whose = "the stacks" if known.one else _OF[group]
    question = f"Where the state of {whose} is (s3://… or file://…)"
    url = answer(known.url(group), question, FLAGS[group], secret=False)
    keys = ["", ""]
    if url.startswith("s3:"):
        for number, (variable, what) in enumerate(
            ((backends.KEY, "Access key"), (backends.KEY_SECRET, "Secret key"))
        ):
            named = variable if known.one else backends.of_group(variable, group)
            question = f"{what} of the bucket with the state of {whose}"
            keys[number] = answer(known.of(variable, group), question, named, secret=True)
    passphrase, is_new = _passphrase(known, group, whose, ask, lacking)
    return State(url, passphrase, keys[0], keys[1], is_new)


def _passphrase(
    known: Known, group: str, whose: str, ask: Ask | None, lacking: list[str]
) -> tuple[str, bool]:
    """A group's passphrase, and whether it was made here."""
    if given := known.passphrase(group):
        return given, False
    if group in known.encrypted:
        typed = ask(f"Passphrase of the secrets of {whose}", "", True).strip() if ask else ""
        if not typed:
            named = (
                backends.PASSPHRASE if known.one else backends.of_group(backends.PASSPHRASE, group)
            )
            lacking.append(f"{named} (stacks are encrypted already)")
        return typed, False
    question = f"Passphrase for the secrets of {whose} (empty: one is made)"
    typed = ask(question, "", True).strip() if ask else ""
    return (typed, False) if typed else (secrets.token_urlsafe(32), True)
