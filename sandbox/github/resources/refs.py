"""Refs: branches and tags by their full names, and the list of tags."""

from typing import Any

from sandbox.github import git_objects, ref_changes
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes

routes = Routes()

_UNDER = "/repos/{owner}/{repo}/git"


@routes.get(_UNDER + "/ref/{ref:path}", permission="contents:read")
def get(call: Call) -> Answer:
    """One ref: `heads/main`."""
    ref = f"refs/{call.params['ref']}"
    found = call.hub.git(call.repository).refs(ref)
    if ref not in found:
        raise not_found()
    return Answer(shape(call, ref, found[ref]))


@routes.get(_UNDER + "/matching-refs/{ref:path}", permission="contents:read")
def matching(call: Call) -> Answer:
    """Refs that begin so."""
    start = f"refs/{call.params['ref']}"
    found = call.hub.git(call.repository).refs("refs/")
    return page(
        call, [shape(call, ref, sha) for ref, sha in found.items() if ref.startswith(start)]
    )


@routes.get(_UNDER + "/refs", permission="contents:read")
def list_refs(call: Call) -> Answer:
    """All of them; not in the description any more, and still there."""
    found = call.hub.git(call.repository).refs("refs/")
    return page(call, [shape(call, ref, sha) for ref, sha in found.items()])


@routes.post(_UNDER + "/refs", permission="contents:write")
def create(call: Call) -> Answer:
    """A new branch or tag."""
    ref, sha = call.need("Reference", "ref", "sha")
    git = call.hub.git(call.repository)
    if not str(ref).startswith("refs/") or str(ref).count("/") < 2:
        raise refused("Reference name must start with 'refs/'.")
    if not ref.startswith(("refs/heads/", "refs/tags/")) or not _is_name(call, ref):
        raise refused(f"{ref} is not a valid ref name.")
    if ref in git.refs(ref):
        raise refused("Reference already exists")
    if not _may_point(call, ref, str(sha)):
        raise refused("Object does not exist")
    ref_changes.move(call, ref, NONE, sha)
    address = call.url(f"/repos/{call.full_name}/git/{ref}")
    return Answer(shape(call, ref, sha), 201, {"location": address})


@routes.patch(_UNDER + "/refs/{ref:path}", permission="contents:write")
def update(call: Call) -> Answer:
    """Move it; with `force` anywhere."""
    ref = f"refs/{call.params['ref']}"
    (sha,) = call.need("Reference", "sha")
    git = call.hub.git(call.repository)
    old = git.refs(ref).get(ref)
    if old is None:
        raise refused("Reference does not exist")
    if not _may_point(call, ref, str(sha)):
        raise refused("Object does not exist")
    if not call.body.get("force") and not git.is_ancestor(old, sha):
        raise refused("Update is not a fast forward")
    if old != sha:
        ref_changes.move(call, ref, old, sha)
    return Answer(shape(call, ref, sha))


@routes.delete(_UNDER + "/refs/{ref:path}", permission="contents:write")
def delete(call: Call) -> Answer:
    """Remove it."""
    ref = f"refs/{call.params['ref']}"
    old = call.hub.git(call.repository).refs(ref).get(ref)
    if old is None:
        raise refused("Reference does not exist")
    if ref == f"refs/heads/{call.repository['default_branch']}":
        raise refused("Cannot delete the default branch")
    ref_changes.move(call, ref, old, NONE)
    return Answer(status=204)


@routes.get("/repos/{owner}/{repo}/tags", permission="contents:read")
def list_tags(call: Call) -> Answer:
    """Tags by name, highest first, as GitHub sorts them."""
    git = call.hub.git(call.repository)
    text = git.run(
        "for-each-ref", "--sort=-version:refname",
        "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags/",
    )  # fmt: skip
    return page(call, [line.split() for line in text.splitlines()], lambda w: _tag(call, w))


def _tag(call: Call, words: list[str]) -> dict[str, Any]:
    name, sha = words[0], words[-1]
    api = call.url(f"/repos/{call.full_name}")
    return {
        "name": name,
        "commit": {"sha": sha, "url": f"{api}/commits/{sha}"},
        "zipball_url": f"{api}/zipball/refs/tags/{name}",
        "tarball_url": f"{api}/tarball/refs/tags/{name}",
        "node_id": f"REF_{name}",
    }


def _is_name(call: Call, ref: str) -> bool:
    git = call.hub.git(call.repository)
    # It says nothing when it accepts a name: its own echo does.
    return bool(git.run("check-ref-format", "--normalize", ref, check=False) == ref)


def _may_point(call: Call, ref: str, sha: str) -> bool:
    kind = git_objects.kind(call.hub.git(call.repository), sha)
    if kind is None:
        return False
    if ref.startswith("refs/heads/") and kind != "commit":
        raise GithubError(422, "Object is not a commit")
    return True


def shape(call: Call, ref: str, sha: str) -> dict[str, Any]:
    """A ref as the API shows it."""
    api = call.url(f"/repos/{call.full_name}/git")
    kind = git_objects.kind(call.hub.git(call.repository), sha) or "commit"
    return {
        "ref": ref,
        "node_id": f"REF_{ref}",
        "url": f"{api}/{ref}",
        "object": {"sha": sha, "type": kind, "url": f"{api}/{kind}s/{sha}"},
    }
