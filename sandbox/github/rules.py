"""Rulesets in force: what a ref may do, at a push, through the API and at a merge.

A `ruleset` record (project = the repository's full name) holds name, target (branch or tag),
enforcement, conditions, bypass_actors and rules, as resources/rulesets.py takes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.github import access, checks, patterns
from sandbox.github.access import Caller
from sandbox.github.errors import GithubError
from sandbox.github.git import NONE, Git
from sandbox.github.hub import Hub
from sandbox.store import Record

FORCED = "Cannot force-push to this branch"
MERGES = "This branch must not contain merge commits."
BY_PULL_REQUEST = "Changes must be made through a pull request."
# The numbers of the roles a ruleset may name as those that bypass it.
_ROLE_NUMBERS = {1: "read", 2: "maintain", 3: "triage", 4: "write", 5: "admin"}
METHODS = ("merge", "squash", "rebase")


@dataclass(frozen=True)
class Requirements:
    """What a branch's rules ask of a pull request before it is merged.

    approvals    how many; None: no rule asks for a pull request at all
    checks       names of the checks that have to be successful on the head commit
    strict       the head has to hold the base's newest commit
    methods      of merging, that are allowed
    locked       nobody updates the branch but who bypasses its rules
    """

    approvals: int | None = None
    dismiss_stale: bool = False
    code_owners: bool = False
    last_push_approval: bool = False
    threads_resolved: bool = False
    checks: tuple[str, ...] = ()
    strict: bool = False
    methods: tuple[str, ...] = METHODS
    linear: bool = False
    locked: bool = False


def in_force(hub: Hub, repository: Record, ref: str) -> list[Record]:
    """The active rulesets that mean a ref."""
    return [
        ruleset
        for ruleset in hub.store.all("ruleset", repository["full_name"])
        if ruleset["enforcement"] == "active" and _means(ruleset, repository, ref)
    ]


def _means(ruleset: Record, repository: Record, ref: str) -> bool:
    kind = {"refs/heads/": "branch", "refs/tags/": "tag"}.get("/".join(ref.split("/")[:2]) + "/")
    if ruleset["target"] != kind:
        return False
    named = (ruleset["conditions"] or {}).get("ref_name") or {}

    def listed(wanted: Sequence[str]) -> bool:
        default = f"refs/heads/{repository['default_branch']}"
        return any(
            pattern == "~ALL"
            or (pattern == "~DEFAULT_BRANCH" and ref == default)
            or patterns.matches(pattern, ref)
            for pattern in wanted
        )

    return listed(named.get("include", [])) and not listed(named.get("exclude", []))


def bypasses(
    hub: Hub, repository: Record, caller: Caller, ruleset: Mapping[str, Any], *, merging: bool
) -> bool:
    """Whether the caller need not keep to a ruleset; some may do so in pull requests alone."""
    for actor in ruleset["bypass_actors"]:
        if actor.get("bypass_mode", "always") == "pull_request" and not merging:
            continue
        if _is(hub, repository, caller, actor):
            return True
    return False


def _is(hub: Hub, repository: Record, caller: Caller, actor: Mapping[str, Any]) -> bool:
    kind, number = actor["actor_type"], actor.get("actor_id")
    if kind == "Integration":
        if caller.is_workflow:
            return bool(number == checks.ACTIONS_APP)
        app = hub.store.get("app", number or 0)
        return caller.kind == "installation" and app is not None and app["bot"] == caller.login
    if caller.kind in ("workflow", "installation") or not caller.login:
        return False
    if kind == "OrganizationAdmin":
        organisation = hub.store.all("organization")
        owner = next((o for o in organisation if o["login"] == repository["owner"]), None)
        return owner is not None and owner["members"].get(caller.login) == "admin"
    if kind == "RepositoryRole":
        wanted = _ROLE_NUMBERS.get(int(number or 0), "")
        has = access.role(hub.store, caller, repository)
        # `maintain` and `admin` are named one by one: a higher role is not the lower.
        return has == wanted
    if kind == "Team":
        team = hub.store.get("team", number or 0)
        return team is not None and caller.login in team["members"]
    person = hub.store.get("user", number or 0)
    return kind == "User" and person is not None and person["login"] == caller.login


def applying(
    hub: Hub, repository: Record, caller: Caller, ref: str, *, merging: bool = False
) -> list[Record]:
    """The rules ({"type", "parameters"}) the caller has to keep to, of every ruleset in force."""
    return [
        rule
        for ruleset in in_force(hub, repository, ref)
        if not bypasses(hub, repository, caller, ruleset, merging=merging)
        for rule in ruleset["rules"]
    ]


def violations(
    hub: Hub,
    repository: Record,
    rules: Sequence[Mapping[str, Any]],
    update: tuple[str, str, str],
) -> list[str]:
    """What speaks against a ref's (ref, old, new), as far as it is known before git has it."""
    ref, old, new = update
    what = "branch" if ref.startswith("refs/heads/") else "tag"
    found = []
    for rule in rules:
        kind, parameters = rule["type"], rule.get("parameters") or {}
        if kind == "deletion" and new == NONE:
            found.append(f"Cannot delete this {what}")
        elif kind == "creation" and old == NONE:
            found.append("Cannot create ref due to creations being restricted.")
        elif new == NONE:
            continue
        elif kind == "update" and old != NONE:
            found.append("Cannot update this protected ref.")
        elif kind == "pull_request" and old != NONE:
            found.append(BY_PULL_REQUEST)
        elif kind == "required_status_checks" and (
            old != NONE or not parameters.get("do_not_enforce_on_create")
        ):
            found += _missing_checks(hub, repository, parameters, new)
    return list(dict.fromkeys(found))


def _missing_checks(
    hub: Hub, repository: Record, parameters: Mapping[str, Any], sha: str
) -> list[str]:
    wanted = [check["context"] for check in parameters["required_status_checks"]]
    has = checks.contexts(hub, repository["full_name"], sha)
    missing = [name for name in wanted if has.get(name) != "success"]
    if not missing:
        return []
    if len(wanted) == 1:
        return [f'Required status check "{missing[0]}" is expected.']
    return [f"{len(missing)} of {len(wanted)} required status checks are expected."]


def of_history(git: Git, rules: Sequence[Mapping[str, Any]], old: str, new: str) -> list[str]:
    """What speaks against the commits of an update that git has already."""
    kinds = {rule["type"] for rule in rules}
    found = []
    if NONE not in (old, new):
        if "non_fast_forward" in kinds and not git.is_ancestor(old, new):
            found.append(FORCED)
        if "required_linear_history" in kinds and git.run("rev-list", "--merges", f"{old}..{new}"):
            found.append(MERGES)
    return found


def check_update(
    hub: Hub,
    repository: Record,
    caller: Caller,
    ref: str,
    old: str,
    new: str,
    *,
    status: int = 422,
) -> None:
    """Raise what the rules have against moving a ref; `old` or `new` is git.NONE for none.

    A pull request's merge is no such move: what it needs is `merge_requirements`.

    status  422 for refs; GitHub answers 409 for contents
    """
    rules = applying(hub, repository, caller, ref)
    found = violations(hub, repository, rules, (ref, old, new))
    found += of_history(hub.git(repository), rules, old, new)
    if found:
        told = "\n".join(found)
        raise GithubError(status, f"Repository rule violations found\n\n{told}\n\n")


def merge_requirements(
    hub: Hub, repository: Record, branch: str, caller: Caller | None = None
) -> Requirements:
    """What a branch asks of pull requests; of a caller: less the rulesets that one bypasses."""
    ref = f"refs/heads/{branch}"
    if caller is None:
        rules = [rule for ruleset in in_force(hub, repository, ref) for rule in ruleset["rules"]]
    else:
        rules = applying(hub, repository, caller, ref, merging=True)
    asked = [r.get("parameters") or {} for r in rules if r["type"] == "pull_request"]
    tested = [r["parameters"] for r in rules if r["type"] == "required_status_checks"]
    linear = any(rule["type"] == "required_linear_history" for rule in rules)
    methods = [
        method
        for method in METHODS
        if all(method in (p.get("allowed_merge_methods") or METHODS) for p in asked)
        and not (linear and method == "merge")
    ]

    def any_asks(name: str) -> bool:
        return any(parameters.get(name) for parameters in asked)

    names = (check["context"] for p in tested for check in p["required_status_checks"])
    counts = [int(p.get("required_approving_review_count", 0)) for p in asked]
    return Requirements(
        approvals=max(counts) if counts else None,
        dismiss_stale=any_asks("dismiss_stale_reviews_on_push"),
        code_owners=any_asks("require_code_owner_review"),
        last_push_approval=any_asks("require_last_push_approval"),
        threads_resolved=any_asks("required_review_thread_resolution"),
        checks=tuple(dict.fromkeys(names)),
        strict=any(p.get("strict_required_status_checks_policy") for p in tested),
        methods=tuple(methods),
        linear=linear,
        locked=any(rule["type"] == "update" for rule in rules),
    )


def protected(hub: Hub, repository: Record, branch: str) -> bool:
    """Whether any ruleset is in force for a branch."""
    return bool(in_force(hub, repository, f"refs/heads/{branch}"))
