"""Files and folders of a commit: read, and changed by commits of their own."""

import base64
import binascii
import textwrap
from typing import Any
from urllib.parse import quote

from sandbox.github import accounts, archives, git_objects, ref_changes
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.git import NONE, Git, Person
from sandbox.github.git_objects import Entry
from sandbox.github.resources.git_data import commit_shape
from sandbox.github.routing import Answer, Routes

routes = Routes()

_ROOT = "/repos/{owner}/{repo}/contents"
_PATH = _ROOT + "/{path:path}"


@routes.get(_ROOT, permission="contents:read")
@routes.get(_PATH, permission="contents:read")
def get(call: Call) -> Answer:
    """A file with its content, or what is in a folder; raw where the request asks for that."""
    git = call.hub.git(call.repository)
    asked = call.asked("ref") or call.repository["default_branch"]
    commit = git.resolve(asked)
    if commit is None:
        empty = not git.refs("refs/")
        raise GithubError(
            404, "This repository is empty." if empty else f"No commit found for the ref {asked}"
        )
    path = call.params.get("path", "").strip("/")
    entry = git_objects.at(git, commit, path)
    if entry is None:
        raise not_found()
    if entry.kind == "tree":
        under = f"{path}/" if path else ""
        found = git_objects.entries(git, entry.sha)
        return Answer([_shape(call, e, under + e.path, asked) for e in found])
    content = git.exact("cat-file", "blob", entry.sha) if entry.kind == "blob" else b""
    if "github.raw" in call.accept or "github.v3.raw" in call.accept:
        return Answer(content, headers={"content-type": "application/vnd.github.raw"})
    return Answer({**_shape(call, entry, path, asked), **_content(content)})


@routes.get("/repos/{owner}/{repo}/readme", permission="contents:read")
def readme(call: Call) -> Answer:
    """README.md, or what else is called so."""
    git = call.hub.git(call.repository)
    commit = git.resolve(call.asked("ref") or call.repository["default_branch"])
    for name in git.names(commit) if commit else []:
        if name.lower().split(".")[0] == "readme":
            call.params["path"] = name
            return get(call)
    raise not_found()


@routes.put(_PATH, permission="contents:write")
def put(call: Call) -> Answer:
    """A new file, or new content for one whose `sha` the request names."""
    message, encoded = call.body.get("message"), call.body.get("content")
    if not message or encoded is None:
        missing = "message" if not message else "content"
        raise refused(f'Invalid request.\n\n"{missing}" wasn\'t supplied.')
    try:
        content = base64.b64decode(str(encoded).replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise refused("content is not valid Base64") from None
    git = call.hub.git(call.repository)
    path, branch, head, old = _target(call, git)
    if not git_objects.is_path(path):
        raise refused("path contains a malformed path component")
    given = call.body.get("sha")
    if old is not None:
        _same(path, old, given)
    elif given:
        raise GithubError(409, f"{path} does not match {given}")
    mode = old.mode if old else "100644"
    blob = git_objects.write_blob(git, content)
    sha = _commit(call, git, head, branch, [(path, mode, blob)])
    entry = Entry(mode, "blob", blob, len(content), path)
    return _done(call, git, sha, _shape(call, entry, path, branch), 200 if old else 201)


@routes.delete(_PATH, permission="contents:write")
def delete(call: Call) -> Answer:
    """Remove a file whose `sha` the request names."""
    if not call.body.get("message"):
        raise refused('Invalid request.\n\n"message" wasn\'t supplied.')
    git = call.hub.git(call.repository)
    path, branch, head, old = _target(call, git)
    if old is None:
        raise not_found()
    _same(path, old, call.body.get("sha"))
    sha = _commit(call, git, head, branch, [(path, old.mode, None)])
    return _done(call, git, sha, None, 200)


def _same(path: str, old: Entry, given: object) -> None:
    if not given:
        raise refused('Invalid request.\n\n"sha" wasn\'t supplied.')
    if given != old.sha:
        raise GithubError(409, f"{path} does not match {given}")


def _target(call: Call, git: Git) -> tuple[str, str, str | None, Entry | None]:
    """(path, branch, its head, what is at the path); in an empty repository there is no head."""
    path = call.params["path"].strip("/")
    branch = str(call.body.get("branch") or call.repository["default_branch"])
    ref = f"refs/heads/{branch}"
    head = git.refs(ref).get(ref)
    if head is None and git.refs("refs/heads/"):
        raise GithubError(404, f"Branch {branch} not found")
    return path, branch, head, git_objects.at(git, head, path) if head else None


def _commit(
    call: Call, git: Git, head: str | None, branch: str, changes: list[tuple[str, str, str | None]]
) -> str:
    tree = git_objects.write_tree(git, head, changes)
    author = accounts.person(call.hub, call.caller.login)
    given = call.body.get("author") or call.body.get("committer")
    if isinstance(given, dict) and given.get("name") and given.get("email"):
        author = Person(given["name"], given["email"])
    parents = [head] if head else []
    sha = git.write_commit(tree, parents, str(call.body["message"]), author, call.store.now())
    ref_changes.move(call, f"refs/heads/{branch}", head or NONE, sha, status=409)
    return sha


def _done(call: Call, git: Git, sha: str, content: dict[str, Any] | None, status: int) -> Answer:
    return Answer({"content": content, "commit": commit_shape(call, git.commit(sha))}, status)


def _content(content: bytes) -> dict[str, str]:
    encoded = base64.b64encode(content).decode()
    return {"encoding": "base64", "content": "".join(f"{x}\n" for x in textwrap.wrap(encoded, 60))}


def _shape(call: Call, entry: Entry, path: str, ref: str) -> dict[str, Any]:
    kind = {"tree": "dir", "commit": "submodule"}.get(entry.kind, "file")
    api, html = call.url(f"/repos/{call.full_name}"), f"{call.hub.url}/{call.full_name}"
    quoted = quote(path)
    links = {
        "self": f"{api}/contents/{quoted}?ref={quote(ref, safe='')}",
        "git": f"{api}/git/{'trees' if kind == 'dir' else 'blobs'}/{entry.sha}",
        "html": f"{html}/{'tree' if kind == 'dir' else 'blob'}/{ref}/{quoted}",
    }
    return {
        "type": kind,
        "size": entry.size,
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "sha": entry.sha,
        "url": links["self"],
        "git_url": links["git"],
        "html_url": links["html"],
        "download_url": f"{html}/raw/{ref}/{quoted}" if kind == "file" else None,
        "_links": links,
    }


@routes.get("/repos/{owner}/{repo}/tarball/{ref:path}", permission="contents:read")
def tarball(call: Call) -> Answer:
    """Where the files of a branch, tag or commit can be had as a tarball."""
    return _archive(call, "tar.gz")


@routes.get("/repos/{owner}/{repo}/zipball/{ref:path}", permission="contents:read")
def zipball(call: Call) -> Answer:
    """The same as a zip."""
    return _archive(call, "zip")


def _archive(call: Call, form: str) -> Answer:
    git = call.hub.git(call.repository)
    sha = git.resolve(call.params["ref"] or call.repository["default_branch"])
    if sha is None:
        raise not_found()
    location = archives.address(call.hub, call.full_name, form, sha)
    return Answer(status=302, headers={"location": location})
