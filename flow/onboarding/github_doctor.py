"""What `flow doctor` looks at on GitHub: the application's repository, and what runs find there."""

from __future__ import annotations

import base64
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence

from github import GithubException

from components import naming
from flow import backends, caller, run_environments
from flow.errors import FlowError
from flow.onboarding import kept_branches, merges, nightly, plans, release_tags
from flow.onboarding.checking import Check, Look, missing, ok, warning
from flow.onboarding.hub import Hub
from flow.promotion import steps, team

BRANCHES = tuple(naming.STAGE_BRANCHES.values())
# What each of a run's environments has to have; without STATE_… where the state needs no keys.
SECRETS = ("HCLOUD_TOKEN", "PULUMI_CONFIG_PASSPHRASE")
VARIABLES = ("PULUMI_BACKEND_URL",)
_INIT = "flow init"


def looks(
    repository: str, configured: bool, environment: Mapping[str, str]
) -> list[tuple[str, Look]]:
    """Everything of `repository`; `configured` when the settings give stacks a part at GitHub."""
    token = environment.get("GITHUB_TOKEN") or environment.get("FLOW_GITHUB_TOKEN", "")
    if not repository:
        seen, mend = "no setting names it", "export GITHUB_REPOSITORY=OWNER/NAME"
        return [("GitHub", lambda: [missing("GitHub: repository", seen, mend)])]
    if not token:
        mend = "export GITHUB_TOKEN=… (docs/tutorial.md says what it has to permit)"
        return [("GitHub", lambda: [missing("GitHub: token", "there is none", mend)])]

    lock = threading.Lock()

    @functools.cache
    def reached() -> FlowError | None:
        with Hub(repository, token, environment.get("GITHUB_API_URL", "")) as hub:
            try:
                hub.facts()
            except FlowError as error:
                return error
            return None

    def asked(look: Callable[[Hub], Sequence[Check]], *, first: bool = False) -> Look:
        def ask() -> Sequence[Check]:
            with lock:
                error = reached()
            if error is not None:  # told once, by the first
                return [missing("GitHub: token", error.problem, error.remedy)] if first else []
            with Hub(repository, token, environment.get("GITHUB_API_URL", "")) as hub:
                return look(hub)

        return ask

    # A run's own token is made for the run; what only an administrator sees is not asked of it.
    parts: list[tuple[str, Look]] = [
        ("GitHub: token", asked(access, first=True)),
        ("GitHub: branches", asked(branches)),
        ("GitHub: workflow", asked(workflow)),
        *(
            (f"GitHub: {each}", asked(_environment(each, configured)))
            for each in run_environments.GROUPS
        ),
        ("GitHub: states", asked(states)),
        ("GitHub: backups of staging", asked(nightly.of_staging)),
        ("GitHub: backups of prod", asked(nightly.of_prod)),
        ("GitHub: merges", asked(merges.look)),
        ("GitHub: branches that stay", asked(kept_branches.look)),
        ("GitHub: tags", asked(tags)),
        ("GitHub: runs", asked(runs)),
        ("GitHub: what came back", asked(lambda _: below(repository, environment))),
    ]
    return parts


def access(hub: Hub) -> list[Check]:
    """The token: known, reaches the repository, may all that onboarding asks of it."""
    if lacking := hub.lacking():
        mend = "edit the token (docs/tutorial.md): " + ", ".join(lacking)
        return [missing("GitHub: token", f"lacks {', '.join(lacking)}", mend)]
    return [ok("GitHub: token", f"reaches {hub.repository}, with every permission")]


def branches(hub: Hub) -> list[Check]:
    """The three that stages follow."""
    lacking = [each for each in BRANCHES if hub.get(f"/branches/{each}") is None]
    if lacking:
        return [missing("GitHub: branches", f"there is no {', '.join(lacking)}", _INIT)]
    return [ok("GitHub: branches", ", ".join(BRANCHES))]


def workflow(hub: Hub) -> list[Check]:
    """The ten lines on the default branch: there, switched on, and how new what they call is."""
    name = "GitHub: workflow"
    default = str(hub.facts()["default_branch"])
    file = hub.get(f"/contents/{caller.FILE}", ref=default)
    if file is None:
        seen = f"{caller.FILE} is not on the default branch {default}: no deletion, no schedule"
        return [missing(name, seen, f"{_INIT}, and merge its pull request")]
    called = caller.pinned(base64.b64decode(file["content"]).decode(errors="replace"))
    if called is None:
        return [missing(name, f"{caller.FILE} calls no flow pinned to a commit", _INIT)]
    repository, commit = called
    checks = [ok(name, f"on {default}, calls {repository} at {commit[:12]}")]
    listed = hub.get("/actions/workflows", per_page=100) or {}
    for each in listed.get("workflows") or []:
        if each["path"] == caller.FILE and each["state"] != "active":
            site = str(hub.facts()["html_url"])
            mend = f"gh workflow enable {each['name']}, or {site}/actions: Enable workflow"
            checks.append(warning("GitHub: schedules", f"GitHub says {each['state']}", mend))
    other = Hub(repository, hub.token, hub.api)
    with other:
        checks += [_newer(other, commit), *_callable(hub, other)]
    return checks


def _callable(hub: Hub, other: Hub) -> list[Check]:
    """Whether the application's runs may use a deployment repository that is private."""
    name = "GitHub: access to the deployment repository"
    try:
        facts = other.facts()
    except FlowError:
        return []  # told with its commits
    if hub.repository == other.repository:
        return []
    if not facts["private"]:
        return _inherited(hub, other)
    if not hub.facts()["private"]:
        seen = (
            f"{other.repository} is private, and a public repository's runs call public ones only"
        )
        return [missing(name, seen, f"make {other.repository} public: its secrets are encrypted")]
    if plans.of_two_owners(hub.repository, other.repository):
        seen = f"{other.repository} is private, and of another owner than {hub.repository}"
        return [missing(name, seen, "one owner for both, or make the deployment repository public")]
    level = "user" if facts["owner"]["type"] == "User" else "organization"
    mend = (
        f"gh api -X PUT repos/{other.repository}/actions/permissions/access -f "
        f"access_level={level} (Settings → Actions → General → Access)"
    )
    try:
        found = other.get("/actions/permissions/access") or {}
    except FlowError as error:
        return [warning(name, f"not seen: {error.problem}", f"look there; if it is shut: {mend}")]
    if found.get("access_level", "none") == "none":
        seen = f"{other.repository} lets no other repository's runs call its workflow"
        return [missing(name, seen, mend)]
    return [ok(name, f"{found['access_level']}: {other.repository} lets its owner's runs in")]


def _inherited(hub: Hub, other: Hub) -> list[Check]:
    """Whether a run's secrets reach the workflow of a public deployment repository."""
    seen = plans.of_two_owners(hub.repository, other.repository)
    if not seen:
        return []
    mend = f"a copy of it of the application's owner, then {_INIT} --deployment OWNER/NAME"
    return [warning("GitHub: secrets", seen, mend)]


def _newer(hub: Hub, commit: str) -> Check:
    """Whether the deployment repository has gone on since the commit."""
    name = "GitHub: deployment repository"
    try:
        default = str(hub.facts()["default_branch"])
        compared = hub.get(f"/compare/{commit}...{default}")
    except FlowError as error:
        return warning(name, error.problem, "give the token that repository, too: contents, read")
    if compared is None:
        seen = f"{hub.repository} does not have {commit[:12]}"
        return missing(name, seen, f"{_INIT}: it pins the newest")
    ahead = int(compared["ahead_by"])
    if ahead:
        seen = f"{hub.repository} has {ahead} newer commits, which runs do not use"
        return warning(name, seen, f"{_INIT}: its pull request pins the newest")
    return ok(name, f"{hub.repository}: the newest is pinned")


def _environment(name: str, configured: bool) -> Callable[[Hub], list[Check]]:
    return lambda hub: environment_checks(hub, name, configured)


def environment_checks(hub: Hub, name: str, configured: bool) -> list[Check]:
    """One of the environments that runs start from: names in it, and who is let in."""
    title = f"GitHub: {name}"
    found = hub.get(f"/environments/{name}")
    if found is None:
        return [missing(title, "there is no such environment", _INIT)]
    path = f"/environments/{name}"
    secrets, variables = (
        hub.names(f"{path}/secrets", "secrets"),
        hub.names(f"{path}/variables", "variables"),
    )
    token = run_environments.STACKS_TOKEN
    is_without = name in run_environments.WITHOUT_TOKEN
    wanted = [*SECRETS, *([token] if configured and not is_without else [])]
    checks: list[Check] = []
    url = str((variables.get("PULUMI_BACKEND_URL") or {}).get("value", ""))
    if url.startswith("s3:"):
        wanted += ["STATE_ACCESS_KEY_ID", "STATE_SECRET_ACCESS_KEY"]
    if backends.lacks_region(url):
        seen = f"PULUMI_BACKEND_URL names no region: its runs reach no bucket with {url}"
        mend = f"flow init with the address as it has to be: {backends.with_region(url)}"
        checks.append(missing(title, seen, mend))
    if "REGISTRY_USERNAME" in variables:
        wanted.append("REGISTRY_PASSWORD")
    for kind, had, names in (("secret", secrets, wanted), ("variable", variables, VARIABLES)):
        if lacking := [each for each in names if each not in had]:
            checks.append(missing(title, f"lacks the {kind} {', '.join(lacking)}", _INIT))
    if is_without and token in secrets:
        seen = f"has {token}, an administrator's: who may push a demo's branch may have it"
        checks.append(warning(title, seen, f"{_INIT}, which takes it out"))
    policies = hub.names(f"{path}/deployment-branch-policies", "branch_policies")
    admitted = run_environments.admitted(name, str(hub.facts()["default_branch"]))
    expected = [pattern for pattern, _kind in admitted]
    if lacking := [each for each in expected if each not in policies]:
        checks.append(missing(title, f"does not admit {', '.join(lacking)}", _INIT))
    if extra := sorted(set(policies) - set(expected)):
        seen = f"admits {', '.join(extra)}, too: runs of these reach its secrets"
        checks.append(warning(title, seen, "take it out: Settings → Environments"))
    if name == "flow-prod" and not run_environments.reviewers(found):
        checks.append(_unasked(title, private=bool(hub.facts().get("private"))))
    held = f"{len(secrets)} secrets, {len(variables)} variables, admits {', '.join(policies)}"
    return checks or [ok(title, held)]


def _unasked(title: str, *, private: bool) -> Check:
    """What is said where nobody is asked before production: a private repository may have to do."""
    seen = "has no reviewers: a release goes to production unasked"
    mend = f"{_INIT} --reviewer LOGIN"
    if private:
        return warning(title, seen, f"{mend}, with GitHub Enterprise; {plans.OTHERWISE}")
    return missing(title, seen, mend)


def states(hub: Hub) -> list[Check]:
    """Whether each environment of runs has a state of its own, as far as variables tell."""
    title = "GitHub: states"
    groups_at: dict[str, list[str]] = {}
    for name in run_environments.GROUPS:
        variables = hub.names(f"/environments/{name}/variables", "variables")
        if url := str((variables.get("PULUMI_BACKEND_URL") or {}).get("value", "")):
            groups_at.setdefault(url.partition("?")[0].rstrip("/"), []).append(name)
    shared = [names for names in groups_at.values() if len(names) > 1]
    if shared:
        told = "; ".join(f"{' and '.join(names)} have one" for names in shared)
        seen = f"{told}: a run in one opens what the others' stacks hold"
        return [warning(title, seen, "a place for each (docs/real-accounts.md), then flow init")]
    return [ok(title, "each environment has its own")] if groups_at else []


def tags(hub: Hub) -> list[Check]:
    """Who may make a release's tag, which starts production's deploy."""
    name = f"GitHub: tags {run_environments.RELEASES}"
    try:
        open_ = release_tags.open_to(release_tags.of_tags(hub))
    except FlowError as error:
        mend = "a public repository, or a plan that has rulesets; else few with the write role"
        return [warning(name, f"{error.problem}: who may write may tag a release", mend)]
    if open_:
        seen = f"who may write may do this: {', '.join(open_)}. A tag starts a production release"
        return [missing(name, seen, _INIT)]
    return [ok(name, "made, moved and deleted by who publishes releases alone")]


def runs(hub: Hub) -> list[Check]:
    """Whether a run may open pull requests."""
    found = hub.get("/actions/permissions/workflow") or {}
    if found.get("can_approve_pull_request_reviews"):
        return [ok("GitHub: runs", "may open pull requests")]
    seen = "may open no pull requests: hotfixes and promotions do not come by themselves"
    return [missing("GitHub: runs", seen, _INIT)]


def below(repository: str, environment: Mapping[str, str] = os.environ) -> list[Check]:
    """Nothing in main or staging may be missing from the branches below."""
    name = "GitHub: what came back"
    try:
        found = steps.missing_below(team.repository(repository, environment))
    except GithubException as error:
        if error.status == 404:  # a branch is not there, which is told already
            return []
        raise team.explained(error) from error
    if found:
        told = "; ".join(f"{each}: {len(commits)} commits" for each, commits in found.items())
        # Nothing deploys the worse for it today: what was fixed comes undone with a later release.
        return [warning(name, f"missing below: {told}", "flow back-merge")]
    return [ok(name, "development has all of main and staging")]
