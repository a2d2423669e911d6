"""The nightly backups at GitHub: what `flow init` sets up for their runs, and `flow doctor` sees.

Staging's run is given its bucket in `flow-nonprod`, and seals with the passphrase it has there.
Production's is in `flow-backup`, which asks nobody: it takes a public key, as nothing that is there
may open what it makes, and a ticket, which there is only once production runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from github.Repository import Repository

from flow import run_environments, saving
from flow.backups import bucket, sealing, ticket
from flow.onboarding.backups import Backups
from flow.onboarding.checking import Check, ok, warning
from flow.onboarding.hub import Hub
from flow.onboarding.planning import Step, environment_step
from flow.run_environments import BACKUP, DEVELOPMENT, Contents

STAGING = "flow-nonprod"
_KEY = (bucket.ACCESS_KEY, bucket.SECRET_KEY)
_EXPORT = f"export {bucket.BUCKET}, {', '.join(_KEY)} (docs/backups.md)"
_INIT = f"{_EXPORT}, then flow init"
_INIT_PROD = f"{_EXPORT} and {saving.RECIPIENT}=age1…, then flow init"


# -- what `flow init` does ---------------------------------------------------------


def added(contents: Contents, backups: Backups) -> Contents:
    """What an environment of runs holds, with the bucket for its data."""
    return replace(
        contents,
        secrets={**contents.secrets, **backups.secrets},
        variables={**contents.variables, **backups.variables},
    )


def steps(
    hub: Hub, repository: Repository, backups: Backups | None, *, renew: bool, kept: str
) -> tuple[list[Step], list[str]]:
    """What production's backups lack, and notes for a person on those of both.

    renew  secrets are set again though they are there
    kept   the default branch, where that stays what it is; else empty
    """
    variables = hub.names(f"/environments/{STAGING}/variables", "variables")
    if backups is None:
        if bucket.BUCKET in variables:
            return [], []
        for_prod = f"{saving.RECIPIENT}, too, for production's"
        return [], [f"no nightly backups are set up: {_INIT} again ({for_prod})"]
    notes: list[str] = []
    if kept not in ("", DEVELOPMENT):
        notes.append(
            f"no backups are made: the nightly run is one of the default branch {kept}, which "
            f"{STAGING} does not admit. Run flow init without --keep-default-branch"
        )
    if _is_undrilled(hub.names(f"/environments/{STAGING}/secrets", "secrets"), variables):
        seen = f"{saving.RECIPIENT} seals staging's, and its private key is not in {STAGING}"
        notes.append(f"the drill of a month's first day opens no backup: {seen}. {_drilling(hub)}")
    if not backups.recipient and not _is_there(hub, backups):
        notes.append(
            f"production has no nightly backups: export {saving.RECIPIENT}=age1… (age-keygen makes "
            "one), then run flow init again"
        )
        return [], notes
    wanted = added(Contents({}, {saving.RECIPIENT: backups.recipient}), backups)
    again = frozenset(backups.secrets) if renew else frozenset()
    step = environment_step(hub, repository, BACKUP, wanted, again)
    if ticket.VARIABLE not in hub.names(f"/environments/{BACKUP}/secrets", "secrets"):
        command = ticket.setting("prod", hub.repository)
        notes.append(f"production's nightly backup waits for it to run, and then for: {command}")
    return [step] if step else [], notes


def _is_there(hub: Hub, backups: Backups) -> bool:
    """Whether production's backups go to that bucket already, and so follow what it is told."""
    had = hub.names(f"/environments/{BACKUP}/variables", "variables")
    return saving.RECIPIENT in had and _value(had, bucket.BUCKET) == backups.place.bucket


def _is_undrilled(secrets: Collection[str], variables: Collection[str]) -> bool:
    """Whether a public key, which somebody gave staging, seals what no drill there can open."""
    return saving.RECIPIENT in variables and sealing.IDENTITY not in secrets


def _drilling(hub: Hub) -> str:
    """The command that brings the key of drills, and what it costs."""
    return (
        f"gh secret set {sealing.IDENTITY} --env {STAGING} --repo {hub.repository}: whoever may "
        "push to development or staging then opens every backup sealed to it"
    )


# -- what `flow doctor` sees -------------------------------------------------------
#
# All of it warnings: a deploy goes through without, and a team may have no backups by choice.


def of_staging(hub: Hub) -> list[Check]:
    """Whether staging is saved every night."""
    title = "GitHub: backups of staging"
    path = f"/environments/{STAGING}"
    secrets = hub.names(f"{path}/secrets", "secrets")
    variables = hub.names(f"{path}/variables", "variables")
    if bucket.BUCKET not in variables:
        seen = f"there are none: {STAGING} has no {bucket.BUCKET}"
        return [warning(title, seen, _INIT)]
    checks: list[Check] = []
    if lacking := [each for each in _KEY if each not in secrets]:
        checks.append(warning(title, f"{STAGING} lacks the secret {', '.join(lacking)}", _INIT))
    if _is_undrilled(secrets, variables):
        seen = (
            f"{STAGING} lacks the secret {sealing.IDENTITY}: the drill of a month's first day fails"
        )
        checks.append(warning(title, seen, _drilling(hub)))
    policies = hub.names(f"{path}/deployment-branch-policies", "branch_policies")
    checks += _let_in(hub, title, STAGING, policies, "flow init")
    return checks or [ok(title, f"every night, into {_value(variables, bucket.BUCKET)}")]


def of_prod(hub: Hub) -> list[Check]:
    """Whether production is saved every night, and who reaches what does it."""
    title = "GitHub: backups of prod"
    path = f"/environments/{BACKUP}"
    found: Mapping[str, Any] | None = hub.get(path)
    if found is None:
        seen = f"there are none: there is no environment {BACKUP}"
        return [warning(title, seen, _INIT_PROD)]
    secrets = hub.names(f"{path}/secrets", "secrets")
    variables = hub.names(f"{path}/variables", "variables")
    checks: list[Check] = []
    for kind, had, names in (
        ("secret", secrets, _KEY),
        ("variable", variables, (bucket.BUCKET, saving.RECIPIENT)),
    ):
        if lacking := [each for each in names if each not in had]:
            seen = f"{BACKUP} lacks the {kind} {', '.join(lacking)}"
            checks.append(warning(title, seen, _INIT_PROD))
    if ticket.VARIABLE not in secrets:
        seen = f"{BACKUP} lacks the secret {ticket.VARIABLE}: nothing is saved"
        checks.append(warning(title, seen, ticket.setting("prod", hub.repository)))
    checks += _admission(hub, title, found)
    if asked := run_environments.reviewers(found):
        seen = f"{BACKUP} asks {', '.join(asked)} before every run, and nobody is awake"
        checks.append(warning(title, seen, "take the reviewers out: Settings → Environments"))
    return checks or [ok(title, f"every night, into {_value(variables, bucket.BUCKET)}")]


def _admission(hub: Hub, title: str, found: Mapping[str, Any]) -> list[Check]:
    """Whether `flow-backup` is as shut as it has to be: production's deploy key is in it."""
    rule = found.get("deployment_branch_policy") or {}
    if not rule.get("custom_branch_policies"):
        seen = f"{BACKUP} admits more than {DEVELOPMENT}: runs of any such branch reach production"
        mend = f"Settings → Environments → {BACKUP}: selected branches, {DEVELOPMENT} alone"
        return [warning(title, seen, mend)]
    policies = hub.names(f"/environments/{BACKUP}/deployment-branch-policies", "branch_policies")
    checks = _let_in(hub, title, BACKUP, policies, _INIT_PROD)
    if extra := sorted(set(policies) - {DEVELOPMENT}):
        seen = f"{BACKUP} admits {', '.join(extra)}, too: runs of these reach production"
        checks.append(warning(title, seen, "take it out: Settings → Environments"))
    return checks


def _let_in(hub: Hub, title: str, name: str, policies: Collection[str], mend: str) -> list[Check]:
    """Whether the nightly run, which is one of the default branch, is let in."""
    default = str(hub.facts()["default_branch"])
    if default in policies:
        return []
    if default != DEVELOPMENT:
        mend = f"flow init, which makes {DEVELOPMENT} the default branch"
    seen = f"{name} does not admit {default}, the default branch: the nightly run is one of it"
    return [warning(title, seen, mend)]


def _value(variables: Mapping[str, Any], name: str) -> str:
    return str((variables.get(name) or {}).get("value", ""))
