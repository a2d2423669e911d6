"""What `flow init` is told: by flags, by the environment, or asked for; secrets without echo."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from flow.errors import FlowError
from flow.onboarding import backups, states
from flow.onboarding.backups import Backups
from flow.onboarding.states import Ask, State

# One question: its name, the variable that answers it, what it asks, whether it may stay empty.
_SECRET_QUESTIONS = (
    ("prod", "HCLOUD_TOKEN_PROD", "Hetzner token of production's project", False),
    ("nonprod", "HCLOUD_TOKEN_NONPROD", "Hetzner token of the project of dev and staging", False),
    ("demo", "HCLOUD_TOKEN_DEMO", "Hetzner token of the demos' project", False),
    ("github", "GITHUB_TOKEN", "GitHub token that sets all of this up", False),
    (
        "stacks",
        "FLOW_GITHUB_TOKEN",
        "GitHub token for runs of stages (empty: stages have no part there)",
        True,
    ),
    ("registry", "REGISTRY_PASSWORD", "Password servers pull images with (empty: public)", True),
)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]+")


@dataclass(frozen=True)
class Answers:
    """All that is known once everything is asked."""

    repository: str
    deployment: str
    images: str
    compose_file: str
    domain: str
    email: str
    states: Mapping[str, State]
    """By group."""
    reviewers: tuple[str, ...]
    registry_user: str
    secrets: Mapping[str, str] = field(repr=False)
    """By the names of the questions."""
    one_state: bool = False
    backups: Backups | None = field(default=None, repr=False)
    """None: nothing was said of any."""


@dataclass(frozen=True)
class Given:
    """What flags and the environment say; empty: not given."""

    repository: str = ""
    deployment: str = ""
    images: str = ""
    compose_file: str = ""
    domain: str = ""
    email: str = ""
    states: Mapping[str, str] = field(default_factory=dict)
    """Addresses by group; that of dev and staging is all groups' where there is one state."""
    one_state: bool = False
    reviewers: tuple[str, ...] = ()


_DEFAULT_COMPOSE = "compose.yaml"


def collect(
    given: Given,
    environment: Mapping[str, str],
    ask: Ask | None,
    *,
    encrypted: Collection[str],
    known: Given | None = None,
) -> Answers:
    """Every answer; `ask` is None where nobody is there. Raises FlowError naming all that lacks.

    known      what the settings say already: it stays where nothing else is given
    encrypted  groups whose stacks are encrypted already: their passphrase has to be given
    """
    lacking: list[str] = []
    known = known or Given()

    def answer(value: str, question: str, how: str, default: str = "") -> str:
        if not value and ask is not None:
            value = ask(question, default, False).strip()
        value = value or default
        if not value:
            lacking.append(how)
        return value

    repository = answer(given.repository, "Application's repository (OWNER/NAME)", "--repository")
    deployment = answer(
        given.deployment, "The team's copy of this repository (OWNER/NAME)", "--deployment"
    )
    images = answer(
        given.images,
        "Registry and path of the images",
        "--images",
        known.images or (f"ghcr.io/{repository}".lower() if repository else ""),
    )
    compose = answer(
        given.compose_file, "Compose file", "--compose-file", known.compose_file or _DEFAULT_COMPOSE
    )
    domain = answer(given.domain, "Domain (staging.DOMAIN and so on)", "--domain")
    email = answer(given.email, "Address for the certificate authority", "--email", known.email)
    reviewers = given.reviewers
    if not reviewers and ask is not None:
        typed = ask("Who agrees to production's releases (logins, ORG/TEAM, by spaces)", "-", False)
        reviewers = tuple(each for each in typed.split() if each != "-")
    found: dict[str, str] = {}
    for name, variable, question, optional in _SECRET_QUESTIONS:
        value = environment.get(variable, "")
        if not value and ask is not None:
            value = ask(question, "", True).strip()
        if not value and not optional:
            lacking.append(variable)
        found[name] = value
    user = environment.get("REGISTRY_USERNAME", "")
    if found["registry"]:
        user = answer(user, "User servers pull images as", "REGISTRY_USERNAME")
    said = states.Known(given.states, environment, encrypted, given.one_state)
    places = states.collect(said, ask, lacking)
    of_backups = backups.collect(environment, ask, lacking)
    if lacking:
        raise FlowError(
            f"not given: {', '.join(lacking)}",
            "give them as flags and in the environment, or run it without --yes on a terminal",
            code=2,
        )
    _check(repository, deployment, domain)
    states.check(places, one=given.one_state)
    saved = backups.parse(of_backups)
    if saved is not None and not given.one_state:
        backups.check_key(saved, places)
    return Answers(
        repository=repository,
        deployment=deployment,
        images=images,
        compose_file=compose,
        domain=domain,
        email=email,
        states=places,
        reviewers=reviewers,
        registry_user=user if found["registry"] else "",
        secrets=found,
        one_state=given.one_state,
        backups=saved,
    )


def _check(repository: str, deployment: str, domain: str) -> None:
    for name, value in (("--repository", repository), ("--deployment", deployment)):
        if not _REPOSITORY.fullmatch(value):
            raise FlowError(f"{name}: {value!r} is no OWNER/NAME", "as ada/fieldwork", code=2)
    if not _DOMAIN.fullmatch(domain):
        raise FlowError(
            f"--domain: {domain!r} is no domain", "as example.com, in lower case", code=2
        )


def distinct(tokens: Sequence[str]) -> bool:
    """Whether no two are the same."""
    return len(set(tokens)) == len(tokens)
