"""A stack's settings: the only reader of Pulumi's configuration and of the environment.

Everything is checked before anything is registered, and every mistake is reported at once,
with its key, its value and what to do. Secrets are `SecretStr` until they become secret
outputs: they print as stars, whatever prints them.
"""

import datetime
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.runtime import config as runtime_config
from pydantic import SecretStr, ValidationError

from components import given_hosts, naming
from settings_model import (
    HETZNER_API,
    LISTS,
    OBJECTS,
    REMEDIES,
    SECRETS,
    Github,
    GivenHost,
    Settings,
    Values,
)

ROOT: Final = Path(__file__).parent
GITHUB_API: Final = "https://api.github.com"
SECONDS_A_DAY: Final = 86400
# One pull credential serves every stack, demos made on the spot included, and a default in
# Pulumi.yaml may not be secret. Both or neither: a stack's own user never gets another's password.
FROM_ENVIRONMENT: Final = {
    "registryUsername": "REGISTRY_USERNAME",
    "registryPassword": "REGISTRY_PASSWORD",
}

__all__ = ["HETZNER_API", "Settings", "SettingsError", "load", "parse", "recall"]


class SettingsError(pulumi.RunError):
    """Every mistake of a stack's settings, as text for a person; nothing was changed yet."""

    def __init__(self, stack: str, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "\n".join(f"  - {each}" for each in mistakes)
        super().__init__(
            f"The settings of stack {stack} have {count}. Nothing was changed.\n{lines}"
        )


def load(now: float) -> Settings:
    """The settings of the stack this program runs for; `now` in seconds since 1970.

    Raises SettingsError with every mistake.
    """
    project, stack = pulumi.get_project(), pulumi.get_stack()
    prefix = f"{project}:"
    # pulumi.Config answers for keys one knows; a misspelt key shows only in the whole.
    everything = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    names = {key.removeprefix(prefix) for key in everything if key.startswith(prefix)}
    config, provider, github = pulumi.Config(), pulumi.Config("hcloud"), pulumi.Config("github")
    values = {name: value for name in names if (value := config.get(name)) is not None}
    secret_names = {name for name in names if runtime_config.is_config_secret(prefix + name)}
    if not any(values.get(name) for name in FROM_ENVIRONMENT):
        from_environment = {
            name: os.environ[variable]
            for name, variable in FROM_ENVIRONMENT.items()
            if os.environ.get(variable)
        }
        values |= from_environment
        secret_names |= set(from_environment)
    if naming.stage_of_stack(stack) == "demo" and not values.get("host"):
        values |= (given := _given_host(stack))
        secret_names |= set(given)
    return parse(
        project=project,
        stack=stack,
        values=values,
        secret_names=secret_names,
        tokens_in_plain=[
            key
            for key in ("hcloud:token", "github:token")
            if pulumi.Config(key.partition(":")[0]).get("token")
            and not runtime_config.is_config_secret(key)
        ],
        hcloud_token=provider.get("token") or os.environ.get("HCLOUD_TOKEN") or None,
        hcloud_endpoint=provider.get("endpoint")
        or os.environ.get("HCLOUD_ENDPOINT")
        or HETZNER_API,
        github_token=github.get("token") or os.environ.get("GITHUB_TOKEN") or None,
        github_token_configured=bool(github.get("token")),
        # The second is what a workflow's run is told of the GitHub it runs on.
        github_url=github.get("baseUrl")
        or os.environ.get("GITHUB_BASE_URL")
        or os.environ.get("GITHUB_API_URL")
        or GITHUB_API,
        now=now,
    )


def _given_host(stack: str) -> dict[str, str]:
    """A demo's machine where the environment names one; that of no other demo, and of no stage."""
    try:
        found = given_hosts.settings_of(os.environ.get(given_hosts.VARIABLE, ""), stack)
    except ValueError as error:
        raise SettingsError(stack, [f"{error}. Next: correct that variable (flow-demo)"]) from None
    if not found:
        return {}
    if not (key := os.environ.get(given_hosts.KEY)):
        mistake = (
            f"{given_hosts.VARIABLE} names {found['host']} for this demo, and {given_hosts.KEY} is "
            "not set. Next: make the private key that opens it a secret of the environment "
            f"flow-demo (gh secret set {given_hosts.KEY} --env flow-demo < key)"
        )
        raise SettingsError(stack, [mistake])
    return {**found, "hostSshKey": key}


def parse(
    *,
    project: str,
    stack: str,
    values: Mapping[str, str],
    secret_names: set[str],
    hcloud_token: str | None,
    hcloud_endpoint: str,
    now: float,
    tokens_in_plain: Sequence[str] = (),
    github_token: str | None = None,
    github_token_configured: bool = False,
    github_url: str = GITHUB_API,
    root: Path = ROOT,
) -> Settings:
    """Settings from Pulumi's strings (lists and objects as JSON); pure but for `root`'s files.

    Raises SettingsError with every mistake.
    """
    stage = naming.stage_of_stack(stack)
    if stage is None:
        instead = naming.stack_of_branch(naming.DEMO_BRANCH + stack)
        mistake = (
            f"{stack} is no stage: a stack is dev, staging, prod or feature-demo-<name>. "
            f"Next: pulumi stack init {instead}"
        )
        raise SettingsError(stack, [mistake])
    mistakes = [*_unknown(project, values), *_unkept_secrets(project, values, secret_names)]
    found: dict[str, Any] = {}
    for name, text in values.items():
        if name not in REMEDIES or text == "":
            continue  # an empty default is a setting nobody made
        try:
            found[name] = json.loads(text) if name in LISTS | OBJECTS else text
        except json.JSONDecodeError as error:
            kind = "list" if name in LISTS else "object"
            mistakes.append(_mistake(project, name, text, f"is no {kind} ({error.msg})"))
    try:
        checked = Values.model_validate(found)
    except ValidationError as error:
        mistakes += _invalid(project, found, error)
        # The rest can still contradict itself, and a person wants to hear it all at once.
        wrong = {str(each["loc"][0]) for each in error.errors()}
        checked = Values.model_validate({k: v for k, v in found.items() if k not in wrong})
    mistakes += [
        _mistake(project, name, values.get(name, ""), why)
        for name, why in checked.contradictions(stage, _day(now))
        if not any(each.startswith(f"{project}:{name}") for each in mistakes)
    ]
    if not (root / checked.application / checked.compose_file).is_file():
        where = f"{checked.application}/{checked.compose_file}"
        mistakes.append(_mistake(project, "application", where, "is no file"))
    mistakes += [
        f"{key} is in the stack's file in plain text. Revoke it, make a new one, then: "
        f"pulumi config set --secret {key} -s {stack}"
        for key in tokens_in_plain
    ]
    if not hcloud_token and (not checked.host or checked.zone):
        mistakes.append(
            "there is no Hetzner token. Make one with read and write access in the project of "
            f"this stage, then: pulumi config set --secret hcloud:token -s {stack} "
            '(or export HCLOUD_TOKEN; in the sandbox: eval "$(flow sandbox env)")'
        )
    # A demo has a part at GitHub only where its own settings have a token for it: that takes an
    # administrator's, and whoever may push a demo's branch has what its run is given.
    if stage == "demo" and not github_token_configured:
        github_token = None
    if checked.github_repository and not github_token and stage != "demo":
        mistakes.append(
            f"there is no GitHub token, and githubRepository is {checked.github_repository}. "
            "Export GITHUB_TOKEN, in a workflow the secret FLOW_GITHUB_TOKEN "
            "(docs/settings.md says what it has to permit), or leave githubRepository empty"
        )
    if mistakes:
        raise SettingsError(stack, mistakes)
    github = _github(checked, github_token, github_token_configured, github_url)
    return _settings(checked, project, stack, stage, hcloud_token, hcloud_endpoint, github, root)


def _github(values: Values, token: str | None, configured: bool, url: str) -> Github | None:
    if not values.github_repository or not token:
        return None
    owner, _, repository = values.github_repository.partition("/")
    return Github(
        owner=owner,
        repository=repository,
        reviewers=values.github_reviewers,
        reviews=values.github_reviews,
        checks=values.github_checks,
        url=url.rstrip("/"),
        token=SecretStr(token),
        configured_token=configured,
    )


def _settings(
    values: Values,
    project: str,
    stack: str,
    stage: naming.Stage,
    hcloud_token: str | None,
    hcloud_endpoint: str,
    github: Github | None,
    root: Path,
) -> Settings:
    branch = values.branch or naming.branch_of_stack(stack) or stack
    label = naming.host_label(stack)
    given = None
    if values.host and values.host_key and values.host_ssh_key:
        given = GivenHost(
            address=values.host,
            port=values.host_port,
            user=values.host_user,
            host_key=values.host_key,
            ssh_key=values.host_ssh_key,
        )
    return Settings(
        **values.model_dump(exclude={"branch", "hostname", "protected", "until", "application"}),
        project=project,
        stack=stack,
        stage=stage,
        branch=branch,
        application=root / values.application,
        hostname=values.hostname or (f"{label}.{values.zone}" if values.zone else None),
        label=label,
        protected=values.protected and stage != "demo",
        until=None if values.until is None else _end_of(values.until),
        given_host=given,
        hcloud_token=None if hcloud_token is None else SecretStr(hcloud_token),
        hcloud_endpoint=hcloud_endpoint,
        github=github,
    )


def recall(settings: Settings, outputs: Mapping[str, Any], now: float) -> Settings:
    """`settings` with what an earlier run of a demo was told and this one was not.

    A later push comes from a fresh checkout, which has no file of the demo's stack: its last day
    and a branch that its stack's name does not tell are kept in its outputs. Pure.
    """
    if settings.stage != "demo":
        return settings
    kept: dict[str, Any] = {}
    until, branch = outputs.get("until"), outputs.get("branch")
    if settings.until is None and isinstance(until, int | float) and until > now:
        kept["until"] = int(until)
    if branch and settings.branch == naming.branch_of_stack(settings.stack):
        kept["branch"] = str(branch)
    return settings.model_copy(update=kept) if kept else settings


def expiry(
    settings: Settings, *, now: float, recorded: int | None, same_release: bool
) -> int | None:
    """When a demo ends, in seconds since 1970; None for a stage that stays.

    `until` decides where it is set. Else a demo lives ttlDays from its last new release: an
    `up` that changes nothing must not move its end. One that has passed starts anew, because
    who brings a demo up wants it up.
    """
    if settings.stage != "demo":
        return None
    if settings.until is not None:
        return settings.until
    if recorded is not None and recorded > now and same_release:
        return recorded
    return int(now) + settings.ttl_days * SECONDS_A_DAY


def _day(now: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).date()


def _end_of(day: datetime.date) -> int:
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return int(midnight.timestamp()) + SECONDS_A_DAY - 1


def _unknown(project: str, values: Mapping[str, str]) -> list[str]:
    mistakes = []
    for name in sorted(set(values) - set(REMEDIES)):
        close = difflib.get_close_matches(name, REMEDIES, n=1)
        meant = f"Did you mean {close[0]}?" if close else "Pulumi.yaml lists every key."
        mistakes.append(f"{project}:{name} is no setting. {meant}")
    return mistakes


def _unkept_secrets(project: str, values: Mapping[str, str], secret_names: set[str]) -> list[str]:
    return [
        f"{project}:{name} is in the stack's file in plain text. Treat it as known to others, "
        f"make a new one, then: pulumi config set --secret {name}"
        for name in sorted(SECRETS & set(values) - secret_names)
        if values[name] not in ("", "{}")
    ]


def _invalid(project: str, found: Mapping[str, Any], error: ValidationError) -> list[str]:
    mistakes = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        name = str(each["loc"][0])
        value: Any = found.get(name, "")
        where = each["loc"][1:]
        for step in where:
            try:
                value = value[step]
            except (LookupError, TypeError):
                break
        inner = "".join(f"[{step}]" for step in where)
        why = each["msg"].removeprefix("Value error, ")
        mistakes.append(_mistake(project, name, value, why, inner))
    return mistakes


def _mistake(project: str, name: str, value: Any, why: str, inner: str = "") -> str:
    shown = "(secret)" if name in SECRETS else json.dumps(value, ensure_ascii=False)
    return f"{project}:{name}{inner} = {shown}: {why}. {REMEDIES[name]}"
