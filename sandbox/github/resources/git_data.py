"""git's own objects: blobs, trees, commits and tags, before any branch has them."""

import base64
import binascii
import datetime
from typing import Any

from sandbox.github import accounts, git_objects
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, not_found, refused
from sandbox.github.git import Commit, Git, GitError, Person
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_UNDER = "/repos/{owner}/{repo}/git"
_UNSIGNED = {
    "verified": False, "reason": "unsigned", "signature": None, "payload": None,
    "verified_at": None,
}  # fmt: skip


@routes.post(_UNDER + "/blobs", permission="contents:write")
def create_blob(call: Call) -> Answer:
    """A new blob: text, or base64."""
    content = str(call.body.get("content", ""))
    data = content.encode()
    if call.body.get("encoding", "utf-8") == "base64":
        try:
            data = base64.b64decode(content)
        except (binascii.Error, ValueError):
            raise invalid("Blob", "content") from None
    sha = git_objects.write_blob(call.hub.git(call.repository), data)
    return Answer({"sha": sha, "url": _address(call, "blobs", sha)}, 201)


@routes.get(_UNDER + "/blobs/{file_sha}", permission="contents:read")
def get_blob(call: Call) -> Answer:
    """A blob's content."""
    sha = call.params["file_sha"]
    git = _having(call, sha, "blob")
    data = git.exact("cat-file", "blob", sha)
    return Answer(
        {
            "sha": sha,
            "node_id": f"B_{sha}",
            "size": len(data),
            "url": _address(call, "blobs", sha),
            "content": base64.encodebytes(data).decode(),
            "encoding": "base64",
        }
    )


@routes.post(_UNDER + "/trees", permission="contents:write")
def create_tree(call: Call) -> Answer:
    """A new tree: `base_tree` with entries that hold a sha or content; a sha of null removes."""
    git = call.hub.git(call.repository)
    changes: list[tuple[str, str, str | None]] = []
    for entry in call.body.get("tree") or []:
        path, mode = str(entry.get("path", "")), str(entry.get("mode") or "100644")
        if not git_objects.is_path(path):
            raise refused("tree.path contains a malformed path component")
        sha = entry.get("sha")
        if "content" in entry:
            sha = git_objects.write_blob(git, str(entry["content"]).encode())
        elif sha is not None and git_objects.kind(git, str(sha)) is None:
            raise refused(f"tree.sha {sha} is not a valid blob")
        changes.append((path, mode, sha))
    base = call.body.get("base_tree") or None
    if not changes or (base and git_objects.kind(git, str(base)) not in ("tree", "commit")):
        raise refused("Invalid tree info")
    try:
        sha = git_objects.write_tree(git, base, changes)
    except GitError as error:
        raise refused(str(error)) from None
    return Answer(_tree(call, git, sha, recursive=False), 201)


@routes.get(_UNDER + "/trees/{tree_sha:path}", permission="contents:read")
def get_tree(call: Call) -> Answer:
    """A tree, of a branch's or tag's commit as well; `recursive` with all that is under it."""
    git = call.hub.git(call.repository)
    name = call.params["tree_sha"]
    sha = name if git_objects.kind(git, name) == "tree" else git.resolve(name)
    if sha is None:
        raise not_found()
    sha = git.run("rev-parse", f"{sha}^{{tree}}")
    return Answer(_tree(call, git, sha, recursive=bool(call.asked("recursive"))))


@routes.post(_UNDER + "/commits", permission="contents:write")
def create_commit(call: Call) -> Answer:
    """A new commit, on no branch yet."""
    message, tree = call.need("Commit", "message", "tree")
    git = _having(call, str(tree), "tree", refused("Tree SHA does not exist"))
    parents = [str(sha) for sha in call.body.get("parents") or []]
    for sha in parents:
        _having(call, sha, "commit", refused("Parent SHA does not exist or is not a commit object"))
    author, authored = _signature(call, call.body.get("author"))
    given = call.body.get("committer") or call.body.get("author")
    committer, committed = _signature(call, given)
    sha = git.write_commit(
        str(tree), parents, str(message), author, authored,
        committer=committer, committed=committed,
    )  # fmt: skip
    return Answer(commit_shape(call, git.commit(sha)), 201)


@routes.get(_UNDER + "/commits/{commit_sha}", permission="contents:read")
def get_commit(call: Call) -> Answer:
    """A commit by its sha."""
    sha = call.params["commit_sha"]
    return Answer(commit_shape(call, _having(call, sha, "commit").commit(sha)))


@routes.post(_UNDER + "/tags", permission="contents:write")
def create_tag(call: Call) -> Answer:
    """A new annotated tag's object; a ref makes it a tag."""
    name, message, target = call.need("Tag", "tag", "message", "object")
    kind = str(call.body.get("type", "commit"))
    git = _having(call, str(target), kind, refused("Object does not exist"))
    person, when = _signature(call, call.body.get("tagger"))
    text = (
        f"object {target}\ntype {kind}\ntag {name}\n"
        f"tagger {person.name} <{person.email}> {int(when)} +0000\n\n{message}\n"
    )
    try:
        sha = git.run("mktag", text=text)
    except GitError as error:
        raise refused(str(error)) from None
    return Answer(_tag(call, git, sha), 201)


@routes.get(_UNDER + "/tags/{tag_sha}", permission="contents:read")
def get_tag(call: Call) -> Answer:
    """An annotated tag's object."""
    sha = call.params["tag_sha"]
    return Answer(_tag(call, _having(call, sha, "tag"), sha))


def _having(call: Call, sha: str, kind: str, otherwise: GithubError | None = None) -> Git:
    """The repository's git, which has an object of that kind. Raises 404, or what is given."""
    git = call.hub.git(call.repository)
    if git_objects.kind(git, sha) != kind:
        raise otherwise or not_found()
    return git


def _signature(call: Call, given: Any) -> tuple[Person, float]:
    person, when = accounts.person(call.hub, call.caller.login), call.store.now()
    if isinstance(given, dict):
        if given.get("name") and given.get("email"):
            person = Person(given["name"], given["email"])
        if given.get("date"):
            try:
                when = datetime.datetime.fromisoformat(str(given["date"])).timestamp()
            except ValueError:
                raise invalid("Commit", "date") from None
    return person, when


def _address(call: Call, kind: str, sha: str) -> str:
    return call.url(f"/repos/{call.full_name}/git/{kind}/{sha}")


def _tree(call: Call, git: Git, sha: str, *, recursive: bool) -> dict[str, Any]:
    listed: list[Record] = []
    for entry in git_objects.entries(git, sha, recursive=recursive):
        told: Record = {
            "path": entry.path,
            "mode": entry.mode,
            "type": entry.kind,
            "sha": entry.sha,
        }
        if entry.kind == "blob":
            told["size"] = entry.size
        if entry.kind != "commit":
            told["url"] = _address(call, f"{entry.kind}s", entry.sha)
        listed.append(told)
    return {"sha": sha, "url": _address(call, "trees", sha), "tree": listed, "truncated": False}


def _tag(call: Call, git: Git, sha: str) -> dict[str, Any]:
    head, _, message = git.exact("cat-file", "tag", sha).decode().partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    name, _, rest = fields["tagger"].partition(" <")
    email, _, when = rest.partition("> ")
    date = datetime.datetime.fromtimestamp(int(when.split()[0]), datetime.UTC)
    return {
        "node_id": f"TA_{sha}",
        "tag": fields["tag"],
        "sha": sha,
        "url": _address(call, "tags", sha),
        "message": message.rstrip("\n"),
        "tagger": {"name": name, "email": email, "date": date.strftime("%Y-%m-%dT%H:%M:%SZ")},
        "object": {
            "sha": fields["object"],
            "type": fields["type"],
            "url": _address(call, f"{fields['type']}s", fields["object"]),
        },
        "verification": dict(_UNSIGNED),
    }


def commit_shape(call: Call, commit: Commit) -> dict[str, Any]:
    """A commit as git has it, without what GitHub knows of its author."""
    html = f"{call.hub.url}/{call.full_name}/commit"

    def signature(person: Person, date: str) -> dict[str, str]:
        return {"name": person.name, "email": person.email, "date": date}

    return {
        "sha": commit.sha,
        "node_id": f"C_{commit.sha}",
        "url": _address(call, "commits", commit.sha),
        "html_url": f"{html}/{commit.sha}",
        "author": signature(commit.author, commit.authored),
        "committer": signature(commit.committer, commit.committed),
        "message": commit.message,
        "tree": {"sha": commit.tree, "url": _address(call, "trees", commit.tree)},
        "parents": [
            {"sha": sha, "url": _address(call, "commits", sha), "html_url": f"{html}/{sha}"}
            for sha in commit.parents
        ],
        "verification": dict(_UNSIGNED),
    }
