"""`flow init`, from answers to a list of steps: all is looked at and checked before any is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from flow import backends, run_environments
from flow.errors import FlowError
from flow.onboarding import (
    application,
    backups,
    files,
    kept_branches,
    merges,
    nightly,
    planning,
    plans,
)
from flow.onboarding.answers import Answers, Given
from flow.onboarding.checkout import Checkout
from flow.onboarding.hub import Hub
from flow.onboarding.planning import STAGES, Step
from flow.project import Project
from flow.promotion import team

FILES = ("Pulumi.yaml", *(f"Pulumi.{each}.yaml" for each in STAGES))
_WITH_TOKEN = frozenset({"HCLOUD_TOKEN"})


@dataclass(frozen=True)
class Wishes:
    """How it is to be done."""

    push: bool = False
    """By commits instead of a pull request, where the branch is unprotected."""
    renew: bool = False
    """Set every secret on GitHub again: what is there cannot be read, and so not compared."""
    keep_default: bool = False


@dataclass(frozen=True)
class Plan:
    """Steps in order; `overwrites` are values of somebody's own that would go."""

    steps: tuple[Step, ...]
    overwrites: tuple[files.Change, ...]
    notes: tuple[str, ...]


def with_state(project: Project, told: Answers) -> Project:
    """The project with the states that were told, and what opens them."""
    own = {
        backends.of_group(variable, group): value
        for group, state in told.states.items()
        for variable, value in (
            (backends.URL, state.url),
            (backends.PASSPHRASE, state.passphrase),
            (backends.KEY, state.key),
            (backends.KEY_SECRET, state.key_secret),
        )
        if value
    }
    return replace(project, environment={**project.environment, **own})


def encrypted(project: Project) -> set[str]:
    """Groups whose secrets have a passphrase already, as far as the stages' files say so."""
    files_of = {each: project.folder / f"Pulumi.{each}.yaml" for each in STAGES}
    found = {
        backends.group_of(stage)
        for stage, file in files_of.items()
        if file.exists() and "encryptionsalt:" in file.read_text()
    }
    # A demo has no file that stays: where the stages are set up, it is, too.
    return found | {backends.DEMO} if found else found


def known(project: Project) -> Given:
    """What the settings say already of what is asked; nothing of the template's."""
    settings = project.settings("dev")

    def own(key: str) -> str:
        value = str(settings.get(key) or "")
        return "" if files.is_placeholder(value) else value

    return Given(images=own("images"), compose_file=own("composeFile"), email=own("acmeEmail"))


def plan(
    project: Project,
    told: Answers,
    environment: Mapping[str, str],
    endpoint: str,
    wishes: Wishes,
) -> Plan:
    """Check every token, then find out what is to do. Changes nothing. Raises FlowError."""
    api = environment.get("GITHUB_API_URL", "")
    token = told.secrets["github"]
    notes: list[str] = []
    if not api and any(each.url.startswith("file:") for each in told.states.values()):
        notes.append("a run at GitHub does not reach a state in a folder: give a bucket as --state")
    if apart := plans.of_two_owners(told.repository, told.deployment):
        notes.append(apart)
    with Hub(told.repository, token, api) as hub, Hub(told.deployment, token, api) as deployment:
        access = planning.check(told, endpoint, hub, deployment)
        if told.backups is not None:
            backups.check_private(told.backups, project.name)
        project = with_state(project, told)
        steps, changes = planning.settings_steps(project, planning.settings(told, access))
        stack_steps, moved = planning.stack_steps(project, told)
        steps += stack_steps
        repository = team.repository(
            told.repository, {"GITHUB_TOKEN": token, "GITHUB_API_URL": api}
        )
        site = urlsplit(str(deployment.facts()["html_url"]))
        checkout = Checkout(project.folder, token, f"{site.scheme}://{site.netloc}")
        is_own = checkout.exists and checkout.origin == told.deployment
        moves = is_own and bool(
            steps or checkout.changed(FILES) or not _pushed(deployment, checkout.head)
        )
        if moves:
            what = f"commit {', '.join(FILES)}, and push {checkout.branch} to {told.deployment}"
            steps.append(Step(what, lambda: checkout.publish(FILES)))
        elif not is_own and steps:
            notes.append(
                f"runs use the settings that are in {told.deployment}: commit and push "
                f"{', '.join(FILES)} there, then run flow init again, which pins that commit"
            )
        steps += application.branch_steps(hub, repository, keep_default=wishes.keep_default)
        for found in (merges.step(hub, repository), kept_branches.step(hub, repository)):
            steps += [found] if found else []
        notes += merges.notes(hub)
        tag_steps, told_of_tags = application.tag_steps(hub, repository)
        steps += tag_steps
        notes += told_of_tags
        names = {k: v for k, v in environment.items() if k == "HCLOUD_ENDPOINT"}
        kept = str(hub.facts()["default_branch"]) if wishes.keep_default else ""
        for name, where in run_environments.GROUPS.items():
            wanted = planning.contents(told, access, name, names.get("HCLOUD_ENDPOINT", ""))
            wanted = replace(wanted, default_branch=kept or wanted.default_branch)
            if name == nightly.STAGING and told.backups is not None:
                wanted = nightly.added(wanted, told.backups)
            again = frozenset(wanted.secrets) if wishes.renew else frozenset()
            step = planning.environment_step(
                hub, repository, name, wanted, again | (_WITH_TOKEN if where in moved else again)
            )
            steps += [step] if step else []
        nightly_steps, told_of_backups = nightly.steps(
            hub, repository, told.backups, renew=wishes.renew, kept=kept
        )
        steps += nightly_steps
        notes += told_of_backups
        if not told.reviewers and not _has_reviewers(hub):
            notes.append("nobody has to agree to a release: give --reviewer LOGIN")

        def commit() -> str:
            return checkout.head if is_own else _newest(told.deployment, token, api)

        workflow = application.workflow_step(
            hub, repository, told.deployment, commit, moves=moves, push=wishes.push
        )
        steps += [workflow.step] if workflow.step else []
        notes += [workflow.note] if workflow.note else []
    return Plan(tuple(steps), tuple(each for each in changes if each.overwrites), tuple(notes))


def _has_reviewers(hub: Hub) -> bool:
    found = hub.get("/environments/flow-prod") or {}
    rules = found.get("protection_rules") or []
    return any(each["type"] == "required_reviewers" for each in rules)


def _pushed(deployment: Hub, commit: str) -> bool:
    return deployment.request("GET", f"/commits/{commit}").is_success


def _newest(name: str, token: str, api: str) -> str:
    """The newest commit of the deployment repository's default branch."""
    with Hub(name, token, api) as deployment:
        default = str(deployment.facts()["default_branch"])
        found = deployment.get(f"/branches/{default}")
    if found is None:
        raise FlowError(
            f"{name} has no commit yet", "push the team's copy of this repository to it"
        )
    return str(found["commit"]["sha"])
