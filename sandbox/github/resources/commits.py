"""Commits, and what lies between two of them."""

from typing import Any

from sandbox.github import commit_shapes
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found
from sandbox.github.git import Commit, GitError
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes

routes = Routes()

_UNDER = "/repos/{owner}/{repo}"
_MOST = 5000
# The empty tree: what the first commit is compared with.
EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@routes.get(_UNDER + "/commits", permission="contents:read")
def list_commits(call: Call) -> Answer:
    """Of a branch or from a sha, newest first; of a path, an author, a time."""
    git = call.hub.git(call.repository)
    if not git.refs("refs/"):
        raise GithubError(409, "Git Repository is empty.")
    head = git.resolve(call.asked("sha") or call.repository["default_branch"])
    if head is None:
        raise not_found()
    options = [f"--{name}={call.asked(name)}" for name in ("since", "until") if call.asked(name)]
    path = ["--", call.asked("path")] if call.asked("path") else []
    found = git.log(head, *options, *path, limit=_MOST)
    author = call.asked("author")
    if author:
        emails = {r["email"] for r in call.store.all("user") if r["login"] == author} | {author}
        found = [commit for commit in found if commit.author.email in emails]
    return page(call, found, lambda c: commit_shapes.commit(call.hub, call.repository, c))


@routes.get(_UNDER + "/commits/{ref:path}", permission="contents:read")
def get(call: Call) -> Answer:
    """One, with the files it changes; `Accept: application/vnd.github.sha` its sha alone."""
    git = call.hub.git(call.repository)
    sha = git.resolve(call.params["ref"])
    if sha is None:
        raise GithubError(422, f"No commit found for SHA: {call.params['ref']}")
    if "github.sha" in call.accept:
        return Answer(sha.encode(), headers={"content-type": "application/vnd.github.sha"})
    found = git.commit(sha)
    parent = found.parents[0] if found.parents else EMPTY
    files = commit_shapes.files(call.hub, call.repository, parent, sha)
    added = sum(file["additions"] for file in files)
    deleted = sum(file["deletions"] for file in files)
    return Answer(
        {
            **commit_shapes.commit(call.hub, call.repository, found),
            "stats": {"additions": added, "deletions": deleted, "total": added + deleted},
            "files": files,
        }
    )


@routes.get(_UNDER + "/compare/{basehead:path}", permission="contents:read")
def compare(call: Call) -> Answer:
    """`main...staging`: what the second has that the first has not, and the other way round."""
    base_name, dots, head_name = call.params["basehead"].partition("...")
    base, head = _side(call, base_name), _side(call, head_name)
    if not dots or base is None or head is None:
        raise not_found()
    git = call.hub.git(call.repository)
    merge_base = git.run("merge-base", base, head, check=False)
    if not merge_base:
        raise GithubError(404, f"No common ancestor between {base_name} and {head_name}.")
    behind, ahead = _counted(git.run("rev-list", "--left-right", "--count", f"{base}...{head}"))
    commits = git.log("--reverse", f"{base}..{head}", limit=_MOST)
    status = "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else ""
    part = page(call, commits, lambda c: commit_shapes.commit(call.hub, call.repository, c))
    html = f"{call.hub.url}/{call.full_name}/compare/{base_name}...{head_name}"

    def shaped(commit: Commit) -> dict[str, Any]:
        return commit_shapes.commit(call.hub, call.repository, commit)

    told = {
        "url": call.url(call.path),
        "html_url": html,
        "permalink_url": f"{call.hub.url}/{call.full_name}/compare/{base[:7]}...{head[:7]}",
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": shaped(git.commit(base)),
        "merge_base_commit": shaped(git.commit(merge_base)),
        "status": status or "identical",
        "ahead_by": ahead,
        "behind_by": behind,
        "total_commits": len(commits),
        # Unlike other lists this one comes whole unless a page of it is asked for.
        "commits": part.body if call.asked("per_page") else [shaped(c) for c in commits[:250]],
        "files": commit_shapes.files(call.hub, call.repository, merge_base, head),
    }
    return Answer(told, headers=part.headers if call.asked("per_page") else {})


@routes.get(_UNDER + "/commits/{commit_sha}/branches-where-head", permission="contents:read")
def branches_where_head(call: Call) -> Answer:
    """The branches that stand at a commit."""
    sha = call.params["commit_sha"]
    found = [
        {
            "name": ref.removeprefix("refs/heads/"),
            "commit": {"sha": at, "url": call.url(f"/repos/{call.full_name}/commits/{at}")},
            "protected": False,
        }
        for ref, at in call.hub.git(call.repository).refs("refs/heads/").items()
        if at == sha
    ]
    return Answer(found)


def _side(call: Call, name: str) -> str | None:
    # `owner:branch`, as pull requests name their heads.
    owner, colon, branch = name.partition(":")
    if colon and owner == call.repository["owner"]:
        name = branch
    try:
        return call.hub.git(call.repository).resolve(name) if name else None
    except GitError:
        return None


def _counted(text: str) -> tuple[int, int]:
    left, right = text.split()
    return int(left), int(right)
