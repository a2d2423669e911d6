"""What `flow init` is told: by flags, by the environment, or asked for; secrets without echo."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flow.errors import FlowError

# One question: its name, the variable that answers it, what it asks, whether it may stay empty.
_SECRET_QUESTIONS = (
    ("prod", "HCLOUD_TOKEN_PROD", "Hetzner token of production's project", False),
    ("nonprod", "HCLOUD_TOKEN_NONPROD", "Hetzner token of the project of dev and staging", False),
    ("demo", "HCLOUD_TOKEN_DEMO", "Hetzner token of the demos' project", False),
    ("github", "GITHUB_TOKEN", "GitHub token that sets all of this up", False),
    (
        "stacks",
        "FLOW_GITHUB_TOKEN",
        "GitHub token for runs (empty: stacks have no part there)",
        True,
    ),
    ("registry", "REGISTRY_PASSWORD", "Password servers pull images with (empty: public)", True),
)
_STATE_KEYS = (
    ("key", "AWS_ACCESS_KEY_ID", "Access key of the state's bucket", False),
    ("key_secret", "AWS_SECRET_ACCESS_KEY", "Its secret key", False),
)
_PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 (a variable's name)  # nosec B105
_PASSPHRASE_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"  # noqa: S105 (a variable's name)  # nosec B105
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
    state: str
    reviewers: tuple[str, ...]
    registry_user: str
    secrets: Mapping[str, str] = field(repr=False)
    """By the names of the questions, and `passphrase`."""
    passphrase_is_new: bool = False


@dataclass(frozen=True)
class Given:
    """What flags and the environment say; empty: not given."""

    repository: str = ""
    deployment: str = ""
    images: str = ""
    compose_file: str = ""
    domain: str = ""
    email: str = ""
    state: str = ""
    reviewers: tuple[str, ...] = ()


_DEFAULT_COMPOSE = "compose.yaml"


Ask = Callable[[str, str, bool], str]
"""(question, default, whether it is secret) → what a person typed."""


def collect(
    given: Given,
    environment: Mapping[str, str],
    ask: Ask | None,
    *,
    has_stacks: bool,
    known: Given | None = None,
) -> Answers:
    """Every answer; `ask` is None where nobody is there. Raises FlowError naming all that lacks.

    known       what the settings say already: it stays where nothing else is given
    has_stacks  stacks are encrypted already: their passphrase has to be given, none is made
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
    state = answer(given.state, "Where the state is (s3://… or file://…)", "--state")
    reviewers = given.reviewers
    if not reviewers and ask is not None:
        typed = ask("Who agrees to production's releases (logins, ORG/TEAM, by spaces)", "-", False)
        reviewers = tuple(each for each in typed.split() if each != "-")
    found: dict[str, str] = {}
    questions = _SECRET_QUESTIONS + (_STATE_KEYS if state.startswith("s3:") else ())
    for name, variable, question, optional in questions:
        value = environment.get(variable, "")
        if not value and ask is not None:
            value = ask(question, "", True).strip()
        if not value and not optional:
            lacking.append(variable)
        found[name] = value
    user = environment.get("REGISTRY_USERNAME", "")
    if found["registry"]:
        user = answer(user, "User servers pull images as", "REGISTRY_USERNAME")
    found["passphrase"], is_new = _passphrase(environment, ask, lacking, has_stacks=has_stacks)
    if lacking:
        raise FlowError(
            f"not given: {', '.join(lacking)}",
            "give them as flags and in the environment, or run it without --yes on a terminal",
            code=2,
        )
    _check(repository, deployment, domain, state)
    return Answers(
        repository=repository,
        deployment=deployment,
        images=images,
        compose_file=compose,
        domain=domain,
        email=email,
        state=state,
        reviewers=reviewers,
        registry_user=user if found["registry"] else "",
        secrets=found,
        passphrase_is_new=is_new,
    )


def _passphrase(
    environment: Mapping[str, str], ask: Ask | None, lacking: list[str], *, has_stacks: bool
) -> tuple[str, bool]:
    """The passphrase of the state, and whether it was made here."""
    if given := environment.get(_PASSPHRASE):
        return given, False
    if named := environment.get(_PASSPHRASE_FILE):
        file = Path(named).expanduser()
        if file.is_file():
            return file.read_text().strip(), False
        lacking.append(f"{_PASSPHRASE_FILE} ({named} is no file)")
        return "", False
    if has_stacks:
        typed = ask("Passphrase of the stacks' secrets", "", True).strip() if ask else ""
        if not typed:
            lacking.append(f"{_PASSPHRASE} (the stacks are encrypted already)")
        return typed, False
    typed = ask("Passphrase for the stacks' secrets (empty: one is made)", "", True) if ask else ""
    return (typed.strip(), False) if typed.strip() else (secrets.token_urlsafe(32), True)


def _check(repository: str, deployment: str, domain: str, state: str) -> None:
    for name, value in (("--repository", repository), ("--deployment", deployment)):
        if not _REPOSITORY.fullmatch(value):
            raise FlowError(f"{name}: {value!r} is no OWNER/NAME", "as ada/fieldwork", code=2)
    if not _DOMAIN.fullmatch(domain):
        raise FlowError(
            f"--domain: {domain!r} is no domain", "as example.com, in lower case", code=2
        )
    if "://" not in state:
        raise FlowError(
            f"--state: {state!r} is no address", "s3://bucket?endpoint=…, or file:///folder", code=2
        )


def distinct(tokens: Sequence[str]) -> bool:
    """Whether no two are the same."""
    return len(set(tokens)) == len(tokens)
