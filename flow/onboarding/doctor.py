"""What `flow doctor` looks at: this machine, the state, and Hetzner."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from components import naming
from flow import backends
from flow.errors import FlowError
from flow.onboarding import files, hetzner, pull_login
from flow.onboarding.checking import Check, Look, missing, ok, warning
from flow.pricing import HETZNER_API
from flow.project import Project, engine

STAGES = tuple(naming.STAGE_BRANCHES)
PLUGINS = ("hcloud", "command", "github")
_DEMO = "demo"
_ENGINE_SECONDS = 20
# Which stages may have servers in the Hetzner project of a token.
_TOGETHER: Mapping[str, frozenset[str]] = {
    "dev": frozenset({"dev", "staging"}),
    "staging": frozenset({"dev", "staging"}),
    "prod": frozenset({"prod"}),
    _DEMO: frozenset({_DEMO}),
}


@dataclass
class Here:
    """The team's project as this shell sees it; each stack's settings are read once."""

    project: Project
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _locks: dict[str, threading.Lock] = field(
        default_factory=lambda: {each: threading.Lock() for each in STAGES}, repr=False
    )
    _known: dict[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    _listing: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _listed: dict[tuple[str, ...], list[str] | FlowError] = field(default_factory=dict, repr=False)

    @property
    def places(self) -> list[tuple[str, ...]]:
        """The groups of stacks that are in one place, place by place."""
        return [tuple(groups) for groups in backends.places(self.environment).values()]

    def names(self, groups: tuple[str, ...]) -> list[str]:
        """Stacks of groups that are in one place. Raises FlowError where it cannot be asked."""
        with self._listing:
            if groups not in self._listed:
                try:
                    self._listed[groups] = self.project.stacks.names(groups)
                except FlowError as error:  # kept: it is asked once, whoever wants to know
                    self._listed[groups] = error
            found = self._listed[groups]
        if isinstance(found, FlowError):
            raise found
        return found

    def has(self, stack: str) -> bool:
        """Whether there is a stack of that name; False where nobody can tell, which is told."""
        with contextlib.suppress(FlowError):
            return stack in self.names(self._place_of(stack))
        return False

    def can_be_asked(self, stack: str) -> bool:
        """Whether the state the stack is in can be; `backend` says why not."""
        with contextlib.suppress(FlowError):
            self.names(self._place_of(stack))
            return True
        return False

    def _place_of(self, stack: str) -> tuple[str, ...]:
        return next(each for each in self.places if backends.group_of(stack) in each)

    def settings(self, stack: str) -> Mapping[str, str]:
        """All of a stack's, secrets in clear. Raises FlowError."""
        with self._locks[stack]:
            if stack not in self._known:
                self._known[stack] = self.project.stacks.settings(stack)
            return self._known[stack]

    def value(self, settings: Mapping[str, str], key: str) -> str:
        """One setting of the project's own; empty where it is not set."""
        return settings.get(f"{self.project.name}:{key}", "")

    def plain(self, stack: str, key: str) -> str:
        """One that is no secret, from the files alone."""
        return str(self.project.settings(stack).get(key) or "")


def looks(here: Here) -> list[tuple[str, Look]]:
    """All of it but GitHub."""
    return [
        ("engine", lambda: machine(here)),
        *((f"state of {' and '.join(each)}", _of_place(here, each)) for each in here.places),
        ("states", lambda: apart(here)),
        ("stacks elsewhere", lambda: astray(here)),
        *((f"stack {each}", _of_stack(here, each)) for each in STAGES),
        ("Hetzner projects", lambda: projects(here)),
        ("registry", lambda: registry(here)),
    ]


def _of_place(here: Here, groups: tuple[str, ...]) -> Callable[[], Sequence[Check]]:
    return lambda: backend(here, groups)


def _of_stack(here: Here, stack: str) -> Callable[[], Sequence[Check]]:
    return lambda: stack_checks(here, stack)


def machine(here: Here) -> list[Check]:
    """The engine and its plugins."""
    pulumi = engine(here.project.root)
    if not pulumi.exists():
        return [missing("engine", f"no Pulumi engine at {pulumi}", "make setup")]
    environment = {**os.environ, **here.project.environment}
    said = subprocess.run(
        [str(pulumi), "version"],
        capture_output=True,
        text=True,
        timeout=_ENGINE_SECONDS,
        check=False,
        env=environment,
    )
    if said.returncode:
        return [missing("engine", f"{pulumi} does not run", "make setup")]
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    had = {each.name.split("-")[1] for each in home.glob("plugins/resource-*") if each.is_dir()}
    checks = [ok("engine", f"pulumi {said.stdout.strip()}")]
    if lacking := [each for each in PLUGINS if each not in had]:
        seen = f"not there yet: {', '.join(lacking)}"
        checks.append(warning("plugins", seen, "make setup, or the first `up` downloads them"))
    else:
        checks.append(ok("plugins", ", ".join(PLUGINS)))
    return checks


def backend(here: Here, groups: tuple[str, ...] = backends.GROUPS) -> list[Check]:
    """The place of a state, and whether what is secret in it is encrypted."""
    whose = "" if groups == backends.GROUPS else f" of {' and '.join(groups)}"
    url = backends.place(groups[0], here.environment)[0]
    try:
        names = here.names(groups)
    except FlowError:
        if backends.lacks_region(url):
            seen = f"{url} names no region, and the bucket cannot be asked without"
            return [missing(f"state{whose}", seen, backends.with_region(url))]
        raise
    where = url.partition("?")[0] or "as `pulumi login` left it"
    checks = [ok(f"state{whose}", f"{where}: {len(names)} stacks")]
    if not url.startswith(("file:", "s3:", "gs:", "azblob:")):
        return checks
    name = f"encryption{whose}"
    if all(backends.passphrase(each, here.environment) for each in groups):
        return [*checks, ok(name, "by a passphrase")]
    seen = "no passphrase: what is secret in the state is as good as plain"
    variable = backends.PASSPHRASE_FILE
    named = backends.of_group(variable, groups[0]) if whose else variable
    return [*checks, missing(name, seen, f"export {named}=…")]


def astray(here: Here) -> list[Check]:
    """Stacks in a state of another group's, as one for all leaves them that becomes three."""
    if len(here.places) == 1:
        return []
    found = here.project.stacks.astray()
    mend = "take each to its own, or end it: docs/real-accounts.md, Three states"
    return [
        missing(
            f"stack {name}", f"is in the state of {group}, where flow does not look for it", mend
        )
        for name, group in found.items()
    ]


def apart(here: Here) -> list[Check]:
    """Whether what opens one group's state opens no other's, as far as this shell knows."""
    together = [each for each in here.places if len(each) > 1]
    told = [f"{' and '.join(each)} are in one place" for each in together]
    words: dict[str, list[str]] = {}
    for group in backends.GROUPS:
        if word := backends.passphrase(group, here.environment):
            words.setdefault(word, []).append(group)
    told += [f"{' and '.join(each)} have one passphrase" for each in words.values() if each[1:]]
    if not told:
        return [ok("states", "each has a place and a passphrase of its own")]
    seen = f"{'; '.join(told)}: who may push a demo's branch opens whatever shares with it"
    return [warning("states", seen, "one for each: docs/real-accounts.md, Three states")]


def stack_checks(here: Here, stack: str) -> list[Check]:
    """One stage's stack: there, readable with our passphrase, with what it needs."""
    name = f"stack {stack}"
    if not here.can_be_asked(stack):
        return [missing(name, "not looked at: the state cannot be read", "")]
    if not here.has(stack):
        return [missing(name, "is not on the backend", "flow init")]
    try:
        settings = here.settings(stack)
    except FlowError as error:
        if "passphrase" in error.problem:
            named = backends.of_group(backends.PASSPHRASE_FILE, backends.group_of(stack))
            mend = f"export {backends.PASSPHRASE_FILE}=… (or {named}) with the one it was made with"
            return [missing(name, "the passphrase is not this stack's", mend)]
        raise
    checks = [ok(name, "there, and the passphrase is right")]
    images = here.value(settings, "images")
    zone, hostname = here.value(settings, "zone"), here.value(settings, "hostname")
    if not images:
        mend = backends.command(stack, "config set images REGISTRY/PATH")
        checks.append(missing(f"{name}: images", "not set", mend))
    if not zone and not hostname:
        mend = backends.command(stack, "config set zone ZONE")
        checks.append(missing(f"{name}: name", "no zone and no hostname", mend))
    for key in ("images", "zone", "hostname", "acmeEmail"):
        value = here.value(settings, key)
        if files.is_placeholder(value):
            checks.append(missing(f"{name}: {key}", f"{value}, as in the template", "flow init"))
    token = settings.get("hcloud:token") or here.environment.get("HCLOUD_TOKEN", "")
    if not token:
        mend = backends.set_token(stack)
        return [*checks, missing(f"{name}: Hetzner token", "not set", mend)]
    return checks + token_checks(stack, token, endpoint(here, settings), zone, hostname)


def endpoint(here: Here, settings: Mapping[str, str]) -> str:
    """The address of Hetzner's API."""
    configured = settings.get("hcloud:endpoint")
    return configured or here.environment.get("HCLOUD_ENDPOINT") or HETZNER_API


def token_checks(stage: str, token: str, address: str, zone: str, hostname: str) -> list[Check]:
    """A stage's Hetzner token: known, may write, reaches the zone, and no other's servers."""
    name = f"{stage}: Hetzner token"
    mend = (
        backends.set_token(stage)
        if stage != _DEMO
        else "export HCLOUD_TOKEN=… of the demos' project"
    )
    access = hetzner.ask(token, address)
    if not access.valid:
        return [missing(name, "Hetzner does not know it", mend)]
    if not access.writable:
        return [missing(name, "may only read", f"make one with Read & Write, then: {mend}")]
    checks = [ok(name, "known, read and write")]
    foreign = access.stages - _TOGETHER[stage]
    if foreign:
        seen = f"its project has servers of {', '.join(sorted(foreign))}, too"
        checks.append(warning(f"{stage}: project", seen, f"a project of its own, then: {mend}"))
    if zone and zone not in access.zones:
        seen = f"zone {zone} is not in its project"
        mend = backends.command(stage, "config set hostname NAME")
        mend = f"make it there, or: {mend}, and zone empty"
        checks.append(missing(f"{stage}: zone", seen, mend))
    elif zone in access.secondary:
        seen = f"{zone} is a secondary zone: its records are kept at its primary name servers"
        mend = "make it a primary one, or leave zone empty and enter the records there"
        checks.append(missing(f"{stage}: zone", seen, mend))
    elif zone in access.astray:
        seen = f"{zone} is not delegated to Hetzner: its names are not found, no certificate comes"
        checks.append(missing(f"{stage}: zone", seen, access.astray[zone]))
    elif zone:
        checks.append(ok(f"{stage}: zone", zone))
    elif hostname:
        checks.append(ok(f"{stage}: zone", f"none: {hostname} is kept elsewhere"))
    return checks


def projects(here: Here) -> list[Check]:
    """Whether production, the stages before it and demos are kept apart."""
    tokens: dict[str, str] = {}
    for stage in STAGES:
        if here.has(stage):
            with contextlib.suppress(FlowError):  # told with the stack
                tokens[stage] = here.settings(stage).get("hcloud:token", "")
    demo = here.environment.get("HCLOUD_TOKEN", "")
    checks: list[Check] = []
    checks += [
        _shared("prod", other)
        for other in ("dev", "staging")
        if tokens.get("prod") and tokens.get("prod") == tokens.get(other)
    ]
    for one, token in tokens.items():
        if demo and token == demo:
            checks.append(_shared(one, _DEMO))
    if demo:
        zone = _default(here.project, "zone")
        settings = {"hcloud:endpoint": str(_default(here.project, "hcloud:endpoint") or "")}
        checks += token_checks(_DEMO, demo, endpoint(here, settings), zone, "")
    if len(tokens) < len(STAGES):
        return checks  # what is missing is told with the stacks
    return checks or [ok("Hetzner projects", "the stages' tokens differ")]


def _shared(one: str, other: str) -> Check:
    return missing(
        f"{one} and {other}: Hetzner project",
        "the same token: who has one stage's has the other's servers",
        "a project and a token for each, then flow init",
    )


def _default(project: Project, key: str) -> str:
    """A setting of stacks without a file: the project's default."""
    declared = yaml.safe_load((project.folder / "Pulumi.yaml").read_text()).get("config") or {}
    found = declared.get(key, declared.get(f"{project.name}:{key}"))
    if isinstance(found, dict):
        return str(found.get("default", found.get("value")) or "")
    return str(found or "")


def registry(here: Here) -> list[Check]:
    """What servers pull images with."""
    name = "registry"
    images = here.plain("dev", "images")
    user = here.environment.get("REGISTRY_USERNAME") or here.plain("dev", "registryUsername")
    if not user:
        seen = f"{images}: no user to pull with, which does for public images alone"
        return [warning(name, seen, "export REGISTRY_USERNAME=… REGISTRY_PASSWORD=…")]
    word = here.environment.get("REGISTRY_PASSWORD")
    if not word and here.has("dev"):
        with contextlib.suppress(FlowError):
            word = here.value(here.settings("dev"), "registryPassword")
    if not word:
        return [missing(name, f"{user} has no password", "export REGISTRY_PASSWORD=…")]
    if wrong := pull_login.problem(images, word):
        return [missing(name, wrong, "export REGISTRY_PASSWORD=… with it, then flow init --renew")]
    return [ok(name, f"{images}, pulled as {user}")]
