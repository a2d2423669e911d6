"""Merging: of pull requests, of their base into them, and of one branch into another."""

from contextlib import suppress

from sandbox.github import (
    commit_shapes,
    mergeability,
    merging,
    pull_records,
    pushes,
    ref_changes,
    rules,
)
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.git import NONE, GitError
from sandbox.github.resources import pulls
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_ONE = "/repos/{owner}/{repo}/pulls/{pull_number}"
_SWITCH = {
    "merge": ("allow_merge_commit", "Merge commits are not allowed on this repository."),
    "squash": ("allow_squash_merge", "Squash merges are not allowed on this repository."),
    "rebase": ("allow_rebase_merge", "Rebase merges are not allowed on this repository."),
}


@routes.get(_ONE + "/merge", permission="pull_requests:read")
def is_merged(call: Call) -> Answer:
    """204 for one that is merged, 404 for one that is not."""
    if not pulls.found(call)["merged"]:
        raise not_found()
    return Answer(status=204)


@routes.put(_ONE + "/merge", permission="contents:write")
def merge(call: Call) -> Answer:
    """Merge it: `merge_method` merge, squash or rebase; with `sha` only that head."""
    pull = pulls.found(call)
    method = str(call.body.get("merge_method") or "merge")
    _check(call, pull, method)
    git = call.hub.git(call.repository)
    try:
        sha = _made(call, pull, method)
    except merging.ConflictError:
        raise GithubError(405, "Pull Request is not mergeable") from None
    try:
        git.update(f"refs/heads/{pull['base_ref']}", sha, pull["base_sha"])
    except GitError:
        raise GithubError(
            409, "Base branch was modified. Review and try the merge again."
        ) from None
    # First its own end: for the push that follows it is merged already.
    closed = pull_records.mark_merged(call.hub, pull, call.caller, sha)
    ref = f"refs/heads/{pull['base_ref']}"
    call.events += pushes.moved(call.hub, call.repository, call.caller, ref, pull["base_sha"], sha)
    call.events += closed
    _delete_head(call, pull)
    return Answer({"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


@routes.put(_ONE + "/update-branch", permission="pull_requests:write")
def update_branch(call: Call) -> Answer:
    """Merge the base into its head."""
    pull = pulls.found(call)
    expected = call.body.get("expected_head_sha")
    if expected not in (None, pull["head_sha"]):
        raise refused("expected head sha didn’t match current head ref.")
    source = pull_records.head_repository(call.hub, pull)
    if source is None:
        raise not_found()
    if not mergeability.is_behind(call.hub, call.repository, pull):
        raise refused("There are no new commits on the base branch.")
    git = call.hub.git(call.repository)
    message = f"Merge branch '{pull['base_ref']}' into {pull['head_ref']}"
    author = pull_records.person(call.hub, call.caller.login)
    try:
        sha = merging.merge(
            git, pull["head_sha"], pull["base_sha"], message, author, call.store.now()
        )
    except merging.ConflictError:
        raise refused("merge conflict between base and head") from None
    target, ref = call.hub.git(source), f"refs/heads/{pull['head_ref']}"
    if source["id"] != call.repository["id"]:
        target.run("fetch", "--quiet", "--no-tags", str(git.folder), sha)
    target.update(ref, sha, pull["head_sha"])
    call.events += pushes.moved(call.hub, source, call.caller, ref, pull["head_sha"], sha)
    address = call.url(f"/repos/{call.full_name}/pulls/{pull['number']}")
    return Answer({"message": "Updating pull request branch.", "url": address}, 202)


@routes.post("/repos/{owner}/{repo}/merges", permission="contents:write")
def merge_branch(call: Call) -> Answer:
    """Merge a branch or commit into a branch; 204 when there is nothing to merge."""
    base, head = (str(name) for name in call.need("Merge", "base", "head"))
    git = call.hub.git(call.repository)
    ref = f"refs/heads/{base}"
    into, merged = git.resolve(ref), git.resolve(head)
    if into is None or merged is None:
        raise GithubError(404, f"{'Base' if into is None else 'Head'} does not exist")
    if git.is_ancestor(merged, into):
        return Answer(status=204)
    message = str(call.body.get("commit_message") or f"Merge {head} into {base}")
    author = pull_records.person(call.hub, call.caller.login)
    try:
        sha = merging.merge(git, into, merged, message, author, call.store.now())
    except merging.ConflictError:
        raise GithubError(409, "Merge conflict") from None
    ref_changes.move(call, ref, into, sha)
    return Answer(commit_shapes.commit(call.hub, call.repository, git.commit(sha)), 201)


def _check(call: Call, pull: Record, method: str) -> None:
    if method not in merging.METHODS:
        raise refused("Invalid merge_method")
    if call.body.get("sha") not in (None, "", pull["head_sha"]):
        raise GithubError(409, "Head branch was modified. Review and try the merge again.")
    if pull["draft"]:
        raise GithubError(405, "Pull Request is still a draft")
    if not pull["mergeable"] or not pull_records.is_open(call.hub, pull):
        raise GithubError(405, "Pull Request is not mergeable")
    switch, message = _SWITCH[method]
    if not call.repository[switch]:
        raise GithubError(405, message)
    branch = pull["base_ref"]
    needed = rules.merge_requirements(call.hub, call.repository, branch, call.caller)
    problems = mergeability.unmet(call.hub, call.repository, pull, call.caller)
    if needed.strict and mergeability.is_behind(call.hub, call.repository, pull):
        problems.append("Head branch is out of date. Update it with its base first.")
    if method not in needed.methods:
        problems.append(f"Merge method {method} is not allowed by the rules of {branch}.")
    if problems:
        raise GithubError(
            405, "Repository rule violations found\n\n" + "\n\n".join(problems) + "\n\n"
        )


def _made(call: Call, pull: Record, method: str) -> str:
    """The commit the base is to stand at."""
    git, number = call.hub.git(call.repository), pull["number"]
    issue = pull_records.issue_of(call.hub, pull)
    base, head, when = pull["base_sha"], pull["head_sha"], call.store.now()
    merger = pull_records.person(call.hub, call.caller.login)
    if method == "rebase":
        return merging.rebase(git, base, head, merger, when)
    if method == "squash":
        title, body = merging.squash_message(
            number, issue["title"], merging.commits(git, base, head)
        )
    else:
        title, body = merging.merge_message(
            number, issue["title"], f"{pull['head_owner']}/{pull['head_ref']}"
        )
    title = call.body.get("commit_title") or title
    body = call.body.get("commit_message", body) or ""
    message = f"{title}\n\n{body}".strip() + "\n"
    if method == "squash":
        author = pull_records.person(call.hub, issue["user"])
        return merging.squash(git, base, head, message, author, when)
    return merging.merge(git, base, head, message, merger, when)


def _delete_head(call: Call, pull: Record) -> None:
    """Delete the merged branch where the repository says so, and the rules let it."""
    mine = pull["head_repository"] == call.repository["id"]
    default = pull["head_ref"] == call.repository["default_branch"]
    if not call.repository["delete_branch_on_merge"] or not mine or default:
        return
    git, ref = call.hub.git(call.repository), f"refs/heads/{pull['head_ref']}"
    if git.resolve(ref) != pull["head_sha"]:
        return
    # Where rules keep it from being deleted, it stays.
    with suppress(GithubError):
        ref_changes.move(call, ref, pull["head_sha"], NONE)
