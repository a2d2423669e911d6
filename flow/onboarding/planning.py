"""What `flow init` has to do, found out by looking alone: one step for each thing that differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from github.Repository import Repository

from components import naming
from flow import backends, run_environments
from flow.backups import bucket
from flow.errors import FlowError
from flow.onboarding import answers, files, hetzner, plans, pull_login
from flow.onboarding.answers import Answers
from flow.onboarding.hub import STACKS, Hub
from flow.project import Project
from flow.run_environments import Contents

STAGES = tuple(naming.STAGE_BRANCHES)
PROJECT_OF = {"dev": "nonprod", "staging": "nonprod", "prod": "prod"}
_BACKUP_KEY = frozenset({bucket.ACCESS_KEY, bucket.SECRET_KEY})
# The variable that names a place, and the secrets that open it.
_OPENING: Mapping[str, frozenset[str]] = {
    backends.URL: frozenset(
        {"PULUMI_CONFIG_PASSPHRASE", "STATE_ACCESS_KEY_ID", "STATE_SECRET_ACCESS_KEY"}
    ),
    bucket.BUCKET: _BACKUP_KEY,
    bucket.ENDPOINT: _BACKUP_KEY,
}


@dataclass(frozen=True)
class Step:
    """One thing to do: what a person reads, and the doing."""

    what: str
    do: Callable[[], object] = field(repr=False)


@dataclass(frozen=True)
class Access:
    """What was seen of Hetzner and GitHub when every token was checked."""

    zones: Mapping[str, tuple[str, ...]]
    """Of each Hetzner project."""
    users: Mapping[str, int]
    teams: Mapping[str, int]


def check(told: Answers, endpoint: str, hub: Hub, deployment: Hub) -> Access:
    """Every token, before anything is made. Raises FlowError with all that is wrong."""
    tokens = {name: told.secrets[name] for name in ("prod", "nonprod", "demo")}
    problems: list[str] = []
    with ThreadPoolExecutor(len(tokens)) as pool:
        found = dict(
            zip(tokens, pool.map(lambda t: hetzner.ask(t, endpoint), tokens.values()), strict=True)
        )
    for name, each in found.items():
        if not each.valid:
            problems.append(f"Hetzner does not know the token of {name}")
        elif not each.writable:
            problems.append(f"the Hetzner token of {name} may only read: it needs Read & Write")
    if not answers.distinct(list(tokens.values())):
        problems.append("the three Hetzner tokens are not of three projects: two are the same")
    if wrong := pull_login.problem(told.images, told.secrets["registry"]):
        problems.append(f"REGISTRY_PASSWORD: {wrong}")
    users: dict[str, int] = {}
    teams: dict[str, int] = {}
    try:
        hub.facts()
        problems += [f"the GitHub token lacks {each}" for each in hub.lacking()]
        if wrong := plans.lacking(hub):
            problems.append(wrong)
        deployment.facts()
        _reviewers(hub, told.reviewers, users, teams, problems)
    except FlowError as error:
        problems.append(error.problem)
    if told.secrets["stacks"]:
        with Hub(told.repository, told.secrets["stacks"], hub.api) as runs:
            problems += [f"FLOW_GITHUB_TOKEN lacks {each}" for each in runs.lacking(STACKS)]
    if problems:
        listed = "\n".join(f"  - {each}" for each in problems)
        raise FlowError(
            f"nothing was made:\n{listed}", "docs/tutorial.md says what each token has to permit"
        )
    return Access({name: each.zones for name, each in found.items()}, users, teams)


def _reviewers(
    hub: Hub,
    wanted: tuple[str, ...],
    users: dict[str, int],
    teams: dict[str, int],
    problems: list[str],
) -> None:
    for each in wanted:
        owner, slash, slug = each.partition("/")
        found = hub.look(f"/orgs/{owner}/teams/{slug}" if slash else f"/users/{each}")
        if found is None:
            problems.append(f"GitHub knows no reviewer {each}")
        elif not slash and not _may_read(hub, each):
            problems.append(f"{each} may not read {hub.repository}: GitHub would not ask them")
        else:
            (teams if slash else users)[each] = int(found["id"])


def _may_read(hub: Hub, login: str) -> bool:
    found = hub.get(f"/collaborators/{login}/permission") or {}
    return str(found.get("permission", "none")) != "none"


def settings(told: Answers, access: Access) -> dict[str, dict[str, str]]:
    """The team's values: of Pulumi.yaml under "", and of each stage."""
    wanted = {
        "": {
            "images": told.images,
            "composeFile": told.compose_file,
            "acmeEmail": told.email,
            "zone": zone(access.zones["demo"], "demo", told.domain),
        }
    }
    if told.secrets["stacks"]:
        wanted[""]["githubRepository"] = told.repository
    for stage in STAGES:
        where = PROJECT_OF[stage]
        held = zone(access.zones[where], where, told.domain)
        # In a zone a stage's name is made of the zone's own, but where the domain is a part of it.
        is_part = told.domain != held and naming.is_in_zone(told.domain, held)
        name = "" if held and not is_part else f"{naming.HOST_LABELS[stage]}.{told.domain}"
        wanted[stage] = {"zone": held, "hostname": name, "acmeEmail": told.email}
    return wanted


def zone(zones: tuple[str, ...], project: str, domain: str) -> str:
    """The zone a project's stages are named in; empty where DNS is kept elsewhere.

    Hetzner keeps a domain's zone in one project, and none for a subdomain: what is not production
    has a domain of its own, and is named in that.
    """
    for each in zones:
        if naming.is_in_zone(domain, each):
            return each
    return zones[0] if len(zones) == 1 and project != "prod" else ""


def settings_steps(
    project: Project, wanted: Mapping[str, Mapping[str, str]]
) -> tuple[list[Step], list[files.Change]]:
    """Files to write, and every value that changes."""
    steps: list[Step] = []
    all_changes: list[files.Change] = []
    for stage, values in wanted.items():
        file = project.folder / (f"Pulumi.{stage}.yaml" if stage else "Pulumi.yaml")
        text = file.read_text() if file.exists() else "config:\n"
        new, changes = (
            files.stage(file.name, text, project.name, values)
            if stage
            else files.project(text, project.name, values)
        )
        if changes:
            steps.append(Step("\n".join(map(str, changes)), _writer(file, new)))
            all_changes += changes
    return steps, all_changes


def _writer(file: Path, text: str) -> Callable[[], object]:
    return lambda: file.write_text(text)


def stack_steps(project: Project, told: Answers) -> tuple[list[Step], set[str]]:
    """Stacks and their Hetzner tokens; and the Hetzner projects whose token changes."""
    steps: list[Step] = []
    changed: set[str] = set()
    to_make: list[Path] = []
    asked: list[str] = []
    for group, state in told.states.items():
        parts = urlsplit(state.url)
        folder = Path(parts.path)
        if parts.scheme != "file" or folder.is_dir():
            asked.append(group)
        elif folder not in to_make:
            to_make.append(folder)
    steps += [Step(f"the state's folder {each}", _folder(each)) for each in to_make]
    had = project.stacks.names(asked) if asked else []
    _check_moved(project, asked)
    for stage in STAGES:
        if stage not in had:
            steps.append(Step(f"the stack {stage}", _creator(project, stage)))
        token = told.secrets[PROJECT_OF[stage]]
        before = project.stacks.settings(stage).get("hcloud:token") if stage in had else None
        if before != token:
            steps.append(Step(f"{stage}: hcloud:token, encrypted", _secret(project, stage, token)))
            if before:
                changed.add(PROJECT_OF[stage])
    if steps:
        steps.append(Step("no stack selected", lambda: project.stacks.unselect()))
    return steps, changed


def _check_moved(project: Project, groups: list[str]) -> None:
    """Raises FlowError for stages in a state they no longer belong to: they would be made twice."""
    if len(groups) < 2:
        return
    left = [each for each in project.stacks.astray() if each in STAGES]
    if left:
        raise FlowError(
            f"nothing was made: {', '.join(left)} would be made anew, and lies in another's state",
            "take it to its own first: docs/real-accounts.md, Three states",
        )


def _folder(folder: Path) -> Callable[[], object]:
    return lambda: folder.mkdir(mode=0o700, parents=True)


def _creator(project: Project, stage: str) -> Callable[[], object]:
    return lambda: project.stacks.create(stage)


def _secret(project: Project, stage: str, token: str) -> Callable[[], object]:
    return lambda: project.stacks.set_secret(stage, "hcloud:token", token)


def contents(told: Answers, access: Access, name: str, endpoint: str) -> Contents:
    """What one environment of runs holds."""
    is_prod = name == "flow-prod"
    group = run_environments.GROUPS[name]
    state = told.states[group]
    with_token = name not in run_environments.WITHOUT_TOKEN
    return Contents(
        secrets={
            "HCLOUD_TOKEN": told.secrets[group],
            "PULUMI_CONFIG_PASSPHRASE": state.passphrase,
            "REGISTRY_PASSWORD": told.secrets["registry"],
            run_environments.STACKS_TOKEN: told.secrets["stacks"] if with_token else "",
            "STATE_ACCESS_KEY_ID": state.key,
            "STATE_SECRET_ACCESS_KEY": state.key_secret,
        },
        variables={
            "PULUMI_BACKEND_URL": state.url,
            "REGISTRY_USERNAME": told.registry_user,
            "HCLOUD_ENDPOINT": endpoint,
        },
        reviewers=list(access.users.values()) if is_prod else [],
        teams=list(access.teams.values()) if is_prod else [],
    )


def environment_step(
    hub: Hub, repository: Repository, name: str, wanted: Contents, renew: frozenset[str]
) -> Step | None:
    """What an environment of runs lacks; None where it has all. Secrets cannot be read back.

    renew  secrets that are set again though they are there
    """
    path = f"/environments/{name}"
    found: Mapping[str, Any] | None = hub.get(path)
    secrets = hub.names(f"{path}/secrets", "secrets") if found else {}
    variables = hub.names(f"{path}/variables", "variables") if found else {}
    policies = hub.names(f"{path}/deployment-branch-policies", "branch_policies") if found else {}
    told: list[str] = []
    for variable, opening in _OPENING.items():
        place, now = variables.get(variable), wanted.variables.get(variable)
        if place is not None and now and place["value"] != now:
            # What opened the old place does not open the new one.
            renew |= opening
    setting = {
        key: value
        for key, value in wanted.secrets.items()
        if value and (key not in secrets or key in renew)
    }
    told += [f"secret {each}" for each in setting]
    told += [
        f"variable {key} = {value}"
        for key, value in wanted.variables.items()
        if value and (key not in variables or variables[key]["value"] != value)
    ]
    if name in run_environments.WITHOUT_TOKEN and run_environments.STACKS_TOKEN in secrets:
        told.append(f"without the secret {run_environments.STACKS_TOKEN}")
    admitted = run_environments.admitted(name, wanted.default_branch)
    told += [f"admits {each}" for each, _kind in admitted if each not in policies]
    asked = _asked(found) if found is not None else None
    if found is not None and asked is not None:
        users, teams = asked
        if not (set(wanted.reviewers) <= users and set(wanted.teams) <= teams):
            told.append("its reviewers")
        # Who is asked already stays: GitHub takes the list as a whole.
        wanted = replace(
            wanted,
            reviewers=sorted(users | set(wanted.reviewers)),
            teams=sorted(teams | set(wanted.teams)),
        )
    elif wanted.reviewers or wanted.teams:
        told.append("its reviewers")
    if found is not None and not told:
        return None
    made = replace(wanted, secrets=setting)
    what = f"GitHub: environment {name}: {', '.join(told)}"
    return Step(what, lambda: run_environments.ensure(repository, name, made))


def _asked(environment: Mapping[str, Any]) -> tuple[set[int], set[int]]:
    if not run_environments.reviewers(environment):
        return set(), set()
    users: set[int] = set()
    teams: set[int] = set()
    for rule in environment["protection_rules"]:
        for each in rule.get("reviewers") or []:
            (users if each["type"] == "User" else teams).add(int(each["reviewer"]["id"]))
    return users, teams
