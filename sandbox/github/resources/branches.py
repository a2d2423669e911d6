"""Branches."""

from typing import Any
from urllib.parse import quote

from sandbox.github import commit_shapes, ref_changes, rules
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, refused
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes

routes = Routes()

_UNDER = "/repos/{owner}/{repo}/branches"
_ONE = _UNDER + "/{branch:path}"


@routes.get(_UNDER, permission="contents:read")
def list_branches(call: Call) -> Answer:
    """By name; `protected=true` those with rules."""
    found = []
    wanted = call.asked("protected")
    for ref, sha in call.hub.git(call.repository).refs("refs/heads/").items():
        name = ref.removeprefix("refs/heads/")
        protected = rules.protected(call.hub, call.repository, name)
        if wanted in ("", str(protected).lower()):
            found.append((name, sha, protected))

    def shaped(entry: tuple[str, str, bool]) -> dict[str, Any]:
        name, sha, protected = entry
        address = call.url(f"/repos/{call.full_name}/commits/{sha}")
        return {"name": name, "commit": {"sha": sha, "url": address}, "protected": protected}

    return page(call, found, shaped)


@routes.get(_ONE, permission="contents:read")
def get(call: Call) -> Answer:
    """One, with its newest commit."""
    return Answer(shape(call, call.params["branch"]))


@routes.get(_ONE + "/protection", permission="administration:read")
def protection(call: Call) -> Answer:
    """Rules of the older kind: there are none here, rulesets are."""
    _sha(call, call.params["branch"])
    raise GithubError(404, "Branch not protected")


@routes.post(_ONE + "/rename", permission="contents:write")
def rename(call: Call) -> Answer:
    """Give it another name; what the default branch is called follows."""
    old = call.params["branch"]
    (new,) = call.need("Branch", "new_name")
    sha, git = _sha(call, old), call.hub.git(call.repository)
    if f"refs/heads/{new}" in git.refs(f"refs/heads/{new}"):
        raise refused("Branch already exists")
    if not git.run("check-ref-format", "--branch", str(new), check=False):
        raise invalid("Branch", "new_name")
    ref_changes.move(call, f"refs/heads/{new}", NONE, sha)
    if call.repository["default_branch"] == old:
        git.run("symbolic-ref", "HEAD", f"refs/heads/{new}")
        call.found = call.store.change("repository", call.repository["id"], default_branch=new)
    ref_changes.move(call, f"refs/heads/{old}", sha, NONE)
    return Answer(shape(call, str(new)), 201)


def _sha(call: Call, branch: str) -> str:
    ref = f"refs/heads/{branch}"
    sha = call.hub.git(call.repository).refs(ref).get(ref)
    if sha is None:
        raise GithubError(404, "Branch not found")
    return sha


def shape(call: Call, branch: str) -> dict[str, Any]:
    """A branch as the API shows it in full. Raises 404."""
    found = call.hub.git(call.repository).commit(_sha(call, branch))
    needed = rules.merge_requirements(call.hub, call.repository, branch)
    address = call.url(f"/repos/{call.full_name}/branches/{quote(branch, safe='')}")
    protected = rules.protected(call.hub, call.repository, branch)
    return {
        "name": branch,
        "commit": commit_shapes.commit(call.hub, call.repository, found),
        "_links": {"self": address, "html": f"{call.hub.url}/{call.full_name}/tree/{branch}"},
        "protected": protected,
        "protection": {
            "enabled": protected,
            "required_status_checks": {
                "enforcement_level": "everyone" if needed.checks else "off",
                "contexts": list(needed.checks),
                "checks": [{"context": name, "app_id": None} for name in needed.checks],
            },
        },
        "protection_url": f"{address}/protection",
    }
