"""Pull requests: opened, listed, shown, changed, reviewers asked."""

from typing import Any

from sandbox.github import (
    access,
    commit_shapes,
    issue_records,
    lengths,
    mergeability,
    merging,
    pull_records,
    pull_shapes,
)
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, refused
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/pulls"
_ONE = _MANY + "/{pull_number}"


@routes.post(_MANY, permission="pull_requests:write", role="read")
def create(call: Call) -> Answer:
    """A new pull request, by who may write to its head's repository.

    The answer does not know yet whether it can be merged: ask again, as at GitHub.
    """
    head_name, base = (str(value) for value in call.need("PullRequest", "head", "base"))
    lengths.check("PullRequest", "title", call.body.get("title"), lengths.TITLE)
    lengths.check("PullRequest", "body", call.body.get("body"))
    may_open(call)
    head = _head(call, head_name)
    if not issue_records.may(call.hub, call.caller, head[0], "write"):
        raise GithubError(403, "Must have write access to the head branch.")
    git = call.hub.git(call.repository)
    head_sha = call.hub.git(head[0]).resolve(f"refs/heads/{head[1]}")
    base_sha = git.resolve(f"refs/heads/{base}")
    if head_sha is None:
        raise invalid("PullRequest", "head")
    if base_sha is None:
        raise invalid("PullRequest", "base")
    _refuse_second(call, head, base)
    if call.body.get("issue"):
        issue = issue_records.find(call.hub, call.full_name, call.body["issue"])
    else:
        (title,) = call.need("PullRequest", "title")
        issue = issue_records.create(
            call.hub, call.repository, call.caller.login, str(title), call.body.get("body"),
            pull=True,
        )  # fmt: skip
    pull = pull_records.create(
        call.hub, call.repository, issue, head, base, draft=bool(call.body.get("draft"))
    )
    try:
        _refuse_empty(call, pull)
    except GithubError:
        for ref in ("head", "merge"):
            git.delete(f"refs/pull/{pull['number']}/{ref}")
        raise
    call.events.append(pull_shapes.event(call.hub, call.repository, pull, call.caller, "opened"))
    return Answer(
        pull_shapes.full(call.hub, call.repository, {**pull, "mergeable": None}, "unknown"), 201
    )


@routes.get(_MANY, permission="pull_requests:read")
def list_all(call: Call) -> Answer:
    """By state (open, closed, all), head (`owner:branch`), base; sort and direction."""
    state = call.asked("state", "open")
    head, base = call.asked("head"), call.asked("base")
    found: list[tuple[Record, Record]] = []
    issues = {issue["number"]: issue for issue in call.store.all("issue", call.full_name)}
    for pull in call.store.all("pull", call.full_name):
        issue = issues[pull["number"]]
        if state not in ("all", issue["state"]) or base not in ("", pull["base_ref"]):
            continue
        if ":" in head and head != f"{pull['head_owner']}:{pull['head_ref']}":
            continue  # without an owner GitHub ignores it
        found.append((pull, issue))
    key = "updated_at" if call.asked("sort") == "updated" else "created_at"
    newest_first = call.asked(
        "direction", "desc" if call.asked("sort") in ("", "created") else "asc"
    )
    found.sort(key=lambda pair: (pair[1][key], pair[1]["number"]), reverse=newest_first == "desc")
    return page(call, found, lambda pair: pull_shapes.simple(call.hub, call.repository, pair[0]))


@routes.get("/repos/{owner}/{repo}/commits/{commit_sha}/pulls", permission="pull_requests:read")
def list_of_commit(call: Call) -> Answer:
    """Those that brought a commit, or would."""
    git = call.hub.git(call.repository)
    sha = git.resolve(call.params["commit_sha"])
    if sha is None:
        raise refused(f"No commit found for SHA: {call.params['commit_sha']}")
    found = [
        pull
        for pull in call.store.all("pull", call.full_name)
        if sha == pull["merge_commit_sha"]
        or sha in git.run("rev-list", f"{pull['base_sha']}..{pull['head_sha']}").split()
    ]
    return page(call, found, lambda pull: pull_shapes.simple(call.hub, call.repository, pull))


@routes.get(_ONE, permission="pull_requests:read")
def get(call: Call) -> Answer:
    """One, with whether it can be merged."""
    # In one piece: a merge between two looks would show it closed, and not merged.
    with call.store.transaction():
        return Answer(shown(call, found(call)))


@routes.patch(_ONE, permission="pull_requests:write", role="read")
def change(call: Call) -> Answer:
    """Change title, body, state or base; by its author, or who may write."""
    pull = found(call)
    issue = pull_records.issue_of(call.hub, pull)
    if call.caller.login != issue["user"]:
        require(call, "write")
    lengths.check("PullRequest", "title", call.body.get("title"), lengths.TITLE)
    lengths.check("PullRequest", "body", call.body.get("body"))
    names = ("title", "body")
    changes: dict[str, Any] = {key: call.body[key] for key in names if key in call.body}
    base = call.body.get("base")
    state = call.body.get("state", issue["state"])
    if state not in ("open", "closed"):
        raise invalid("PullRequest", "state")
    if base and base != pull["base_ref"]:
        if call.hub.git(call.repository).resolve(f"refs/heads/{base}") is None:
            raise invalid("PullRequest", "base")
        changed_pull = call.store.change("pull", pull["id"], base_ref=base) or pull
        pull = pull_records.refresh(call.hub, changed_pull)
    if "maintainer_can_modify" in call.body:
        modify = bool(call.body["maintainer_can_modify"])
        pull = call.store.change("pull", pull["id"], maintainer_can_modify=modify) or pull
    action = "edited" if changes or base else ""
    if state != issue["state"]:
        pull = _set_state(call, pull, state)
        action = "closed" if state == "closed" else "reopened"
        changes |= {"state": state, "closed_by": call.caller.login if state == "closed" else None}
    if changes:
        issue_records.change(call.hub, issue, **changes)
    if action:
        call.events.append(pull_shapes.event(call.hub, call.repository, pull, call.caller, action))
    return Answer(shown(call, pull))


@routes.get(_ONE + "/commits", permission="pull_requests:read")
def commits(call: Call) -> Answer:
    """What it brings, oldest first; at most 250."""
    pull = found(call)
    git = call.hub.git(call.repository)
    listed = merging.commits(git, pull["base_sha"], pull["head_sha"])
    return page(call, listed, lambda one: commit_shapes.commit(call.hub, call.repository, one))


@routes.get(_ONE + "/files", permission="pull_requests:read")
def files(call: Call) -> Answer:
    """What it changes, file by file."""
    pull = found(call)
    git = call.hub.git(call.repository)
    base = merging.merge_base(git, pull["base_sha"], pull["head_sha"]) or pull["base_sha"]
    return page(call, commit_shapes.files(call.hub, call.repository, base, pull["head_sha"]))


@routes.get(_ONE + "/requested_reviewers", permission="pull_requests:read")
def requested(call: Call) -> Answer:
    """Who is asked and has not answered."""
    shaped = pull_shapes.simple(call.hub, call.repository, found(call))
    return Answer({"users": shaped["requested_reviewers"], "teams": shaped["requested_teams"]})


@routes.post(_ONE + "/requested_reviewers", permission="pull_requests:write")
def request_review(call: Call) -> Answer:
    """Ask people for a review; the author cannot be asked."""
    pull = found(call)
    asked = [str(login) for login in call.body.get("reviewers") or []]
    author = pull_records.issue_of(call.hub, pull)["user"]
    if author in asked:
        raise refused("Review cannot be requested from pull request author.")
    for login in asked:
        if access.role(call.store, access.Caller(login, "classic"), call.repository) == "none" or (
            issue_records.association(call.hub, call.repository, login) == "NONE"
        ):
            raise refused(
                "Reviews may only be requested from collaborators. One or more of the users or "
                f"teams you specified is not a collaborator of the {call.full_name} repository."
            )
    names = list(dict.fromkeys([*pull["requested_reviewers"], *asked]))
    pull = call.store.change("pull", pull["id"], requested_reviewers=names) or pull
    call.events.append(
        pull_shapes.event(call.hub, call.repository, pull, call.caller, "review_requested")
    )
    return Answer(pull_shapes.simple(call.hub, call.repository, pull), 201)


@routes.delete(_ONE + "/requested_reviewers", permission="pull_requests:write")
def withdraw_request(call: Call) -> Answer:
    """Ask them no more."""
    pull = found(call)
    names = [n for n in pull["requested_reviewers"] if n not in call.body.get("reviewers", [])]
    pull = call.store.change("pull", pull["id"], requested_reviewers=names) or pull
    return Answer(pull_shapes.simple(call.hub, call.repository, pull))


def found(call: Call) -> Record:
    """The pull request the path names. Raises 404."""
    pull = pull_records.find(call.hub, call.full_name, call.params["pull_number"])
    return pull_records.current(call.hub, pull)


def shown(call: Call, pull: Record) -> dict[str, Any]:
    """It in full, as it stands."""
    state = mergeability.state(call.hub, call.repository, pull)
    return pull_shapes.full(call.hub, call.repository, pull, state)


def require(call: Call, role: str) -> None:
    """Raise 403 unless the caller's role is at least this."""
    if not issue_records.may(call.hub, call.caller, call.repository, role):
        raise GithubError(403, f"Must have {role} access to Repository.")


def may_open(call: Call) -> None:
    """Raise 403 for a workflow's token where the repository does not let workflows do this."""
    if call.caller.is_workflow and not call.repository.get("actions_may_approve"):
        raise GithubError(
            403, "GitHub Actions is not permitted to create or approve pull requests."
        )


def _head(call: Call, name: str) -> tuple[Record, str]:
    """Repository and branch of `branch`, or of `owner:branch` in a fork. Raises 422."""
    owner, colon, branch = name.partition(":")
    if not colon:
        return call.repository, name
    wanted = call.body.get("head_repo")
    for record in call.store.all("repository"):
        in_network = call.repository["id"] in (record["id"], record.get("fork_of"))
        parent = record["id"] == call.repository.get("fork_of")
        theirs = record["owner"].lower() == owner.lower() and (in_network or parent)
        if theirs and wanted in (None, record["name"], record["full_name"]):
            return record, branch
    raise invalid("PullRequest", "head")


def _custom(message: str) -> GithubError:
    told = {"resource": "PullRequest", "code": "custom", "message": message}
    return GithubError(422, "Validation Failed", [told])


def _refuse_second(call: Call, head: tuple[Record, str], base: str) -> None:
    for pull in call.store.all("pull", call.full_name):
        same = (pull["head_repository"], pull["head_ref"]) == (head[0]["id"], head[1])
        if same and pull["base_ref"] == base and pull_records.is_open(call.hub, pull):
            raise _custom(f"A pull request already exists for {head[0]['owner']}:{head[1]}.")


def _refuse_empty(call: Call, pull: Record) -> None:
    git = call.hub.git(call.repository)
    if merging.merge_base(git, pull["base_sha"], pull["head_sha"]) is None:
        raise _custom(
            f"The {pull['head_ref']} branch has no history in common with {pull['base_ref']}"
        )
    if git.is_ancestor(pull["head_sha"], pull["base_sha"]):
        raise _custom(f"No commits between {pull['base_ref']} and {pull['head_ref']}")


def _set_state(call: Call, pull: Record, state: str) -> Record:
    """Check that it can be opened again, and take up where its branches are."""
    if state == "closed":
        return pull
    source = pull_records.head_repository(call.hub, pull)
    branch = f"refs/heads/{pull['head_ref']}"
    if pull["merged"] or source is None or call.hub.git(source).resolve(branch) is None:
        raise invalid("PullRequest", "state", "invalid", "state cannot be changed.")
    head = (source, pull["head_ref"])
    _refuse_second(call, head, pull["base_ref"])
    return pull_records.refresh(call.hub, pull)
