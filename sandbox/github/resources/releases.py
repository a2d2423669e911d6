"""Releases: a tag, notes, and the event that sets production going."""

from typing import Any

from sandbox.github import accounts, issue_records, lengths, payloads, ref_changes, release_notes
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, invalid, not_found
from sandbox.github.git import NONE
from sandbox.github.listing import page
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_MANY = "/repos/{owner}/{repo}/releases"
_ONE = _MANY + "/{release_id}"
_TEXTS = ("name", "body")


@routes.post(_MANY, permission="contents:write")
def create(call: Call) -> Answer:
    """A new one; its tag is made where there is none, unless it is a draft."""
    (tag,) = (str(name) for name in call.need("Release", "tag_name"))
    _check_tag(call, tag)
    draft = bool(call.body.get("draft"))
    target = str(call.body.get("target_commitish") or call.repository["default_branch"])
    if call.hub.git(call.repository).resolve(call.repository["default_branch"]) is None:
        raise GithubError(422, "Repository is empty.")
    sha = _commit(call, tag, target)
    name, body = call.body.get("name"), call.body.get("body")
    if call.body.get("generate_release_notes"):
        made = _notes(call, tag, sha, "", "")
        name, body = name or made["name"], "\n\n".join(filter(None, [body, made["body"]]))
    lengths.check("Release", "body", body, lengths.RELEASE)
    record = {
        "tag_name": tag,
        "target_commitish": target,
        "name": name,
        "body": body,
        "draft": draft,
        "prerelease": bool(call.body.get("prerelease")),
        "author": call.caller.login,
        "created_at": call.hub.now(),
        "published_at": None,
    }
    release = call.store.add("release", call.full_name, record)
    if not draft:
        release = _publish(call, release, created=True)
    return Answer(_shape(call, release), 201)


@routes.get(_MANY, permission="contents:read")
def list_all(call: Call) -> Answer:
    """Newest first; drafts only for who may write."""
    return page(call, _seen(call), lambda release: _shape(call, release))


@routes.get(_MANY + "/latest", permission="contents:read")
def latest(call: Call) -> Answer:
    """The one set as latest, or the newest; no draft, no prerelease."""
    found = _latest(call)
    if found is None:
        raise not_found()
    return Answer(_shape(call, found))


@routes.get(_MANY + "/tags/{tag:path}", permission="contents:read")
def by_tag(call: Call) -> Answer:
    """The published one of a tag."""
    for release in call.store.all("release", call.full_name):
        if release["tag_name"] == call.params["tag"] and not release["draft"]:
            return Answer(_shape(call, release))
    raise not_found()


@routes.post(_MANY + "/generate-notes", permission="contents:write")
def generate_notes(call: Call) -> Answer:
    """Name and text a release of that tag would get; nothing is kept."""
    (tag,) = (str(name) for name in call.need("Release", "tag_name"))
    target = str(call.body.get("target_commitish") or call.repository["default_branch"])
    previous = str(call.body.get("previous_tag_name") or "")
    path = str(call.body.get("configuration_file_path") or "")
    return Answer(_notes(call, tag, _commit(call, tag, target), previous, path))


@routes.get(_ONE, permission="contents:read")
def get(call: Call) -> Answer:
    """One release."""
    return Answer(_shape(call, _release(call)))


@routes.patch(_ONE, permission="contents:write")
def change(call: Call) -> Answer:
    """Change one; `draft: false` publishes a draft."""
    release = _release(call)
    names = (*_TEXTS, "tag_name", "target_commitish", "prerelease")
    changes = {key: call.body[key] for key in names if key in call.body}
    lengths.check("Release", "body", changes.get("body"), lengths.RELEASE)
    if changes.get("tag_name", release["tag_name"]) != release["tag_name"]:
        _check_tag(call, str(changes["tag_name"]))
    was_draft = release["draft"]
    publishes = was_draft and call.body.get("draft") is False
    if publishes:
        _check_tag(call, str(changes.get("tag_name", release["tag_name"])))
        changes["draft"] = False
    changed = call.store.change("release", release["id"], **changes) or release
    if publishes:
        changed = _publish(call, changed, created=False)
    elif not was_draft:
        if release["prerelease"] and changes.get("prerelease") is False:
            _tell(call, changed, "released")
        _tell(call, changed, "edited")
        _set_latest(call, changed)
    return Answer(_shape(call, changed))


@routes.delete(_ONE, permission="contents:write")
def delete(call: Call) -> Answer:
    """Drop one; its tag stays."""
    release = _release(call)
    if not release["draft"]:
        _tell(call, release, "deleted")
    call.store.remove("release", release["id"])
    return Answer(status=204)


@routes.get(_ONE + "/assets", permission="contents:read")
def assets(call: Call) -> Answer:
    """None: uploads are not taken here."""
    _release(call)
    return page(call, [])


def _check_tag(call: Call, tag: str) -> None:
    """Raise 422 for a name that cannot be a tag, or that has a release."""
    git = call.hub.git(call.repository)
    if not git.run("check-ref-format", "--normalize", f"refs/tags/{tag}", check=False):
        message = "tag_name is not a valid tag"
        raise invalid("Release", "tag_name", "custom", message)
    for release in call.store.all("release", call.full_name):
        mine = str(release["id"]) == call.params.get("release_id")
        if release["tag_name"] == tag and not release["draft"] and not mine:
            raise invalid("Release", "tag_name", "already_exists")


def _commit(call: Call, tag: str, target: str) -> str:
    """The commit of the tag, or where it would be made. Raises 422."""
    git = call.hub.git(call.repository)
    sha = git.resolve(f"refs/tags/{tag}") or git.resolve(f"refs/heads/{target}")
    sha = sha or git.resolve(target)
    if sha is None:
        raise invalid("Release", "target_commitish")
    return sha


def _publish(call: Call, release: Record, *, created: bool) -> Record:
    """Make its tag, and tell that it is out."""
    git = call.hub.git(call.repository)
    tag = release["tag_name"]
    sha = _commit(call, tag, release["target_commitish"])
    if git.resolve(f"refs/tags/{tag}") is None:
        ref_changes.move(call, f"refs/tags/{tag}", NONE, sha)
    published = call.store.change("release", release["id"], published_at=call.hub.now())
    release = published or release
    _set_latest(call, release)
    for action in (*(["created"] * created), "published"):
        _tell(call, release, action)
    _tell(call, release, "prereleased" if release["prerelease"] else "released")
    return release


def _set_latest(call: Call, release: Record) -> None:
    default = "true" if release["published_at"] == call.hub.now() else ""
    asked = str(call.body.get("make_latest") or default).lower()
    if asked == "true" and not release["prerelease"] and not release["draft"]:
        call.store.set_setting(_latest_key(call), release["id"])
    elif asked == "legacy" and not release["prerelease"]:
        call.store.set_setting(_latest_key(call), None)


def _latest_key(call: Call) -> str:
    return f"latest release of {call.repository['id']}"


def _latest(call: Call) -> Record | None:
    chosen = call.store.setting(_latest_key(call))
    full = [
        release
        for release in call.store.all("release", call.full_name)
        if not release["draft"] and not release["prerelease"]
    ]
    for release in full:
        if release["id"] == chosen:
            return release
    return max(full, key=lambda release: (release["published_at"], release["id"]), default=None)


def _seen(call: Call) -> list[Record]:
    writes = issue_records.may(call.hub, call.caller, call.repository, "write")
    found = call.store.all("release", call.full_name)
    return [release for release in reversed(found) if writes or not release["draft"]]


def _release(call: Call) -> Record:
    for release in _seen(call):
        if str(release["id"]) == call.params["release_id"]:
            return release
    raise not_found()


def _notes(call: Call, tag: str, sha: str, previous: str, path: str) -> dict[str, str]:
    git, repository = call.hub.git(call.repository), call.repository
    previous = previous or _previous(call, tag, sha)
    start = git.resolve(f"refs/tags/{previous}") if previous else ""
    if start is None:
        raise invalid("Release", "previous_tag_name")
    changes = release_notes.between(call.hub, repository, start, sha)
    first = release_notes.newcomers(call.hub, repository, changes)
    name, changelog = release_notes.configuration(call.hub, repository, sha, path)
    html = f"{call.hub.url}/{call.full_name}"
    full = f"{html}/compare/{previous}...{tag}" if previous else f"{html}/commits/{tag}"
    origin = f"{name} at {call.body.get('target_commitish') or tag}" if name else ""
    return {
        "name": tag,
        "body": release_notes.text(changes, first, changelog, full, origin),
    }


def _previous(call: Call, tag: str, sha: str) -> str:
    """The tag of the newest release that this one holds; "" for the first."""
    git = call.hub.git(call.repository)
    for release in reversed(call.store.all("release", call.full_name)):
        older = git.resolve(f"refs/tags/{release['tag_name']}")
        if release["draft"] or release["tag_name"] == tag or older is None:
            continue
        if git.is_ancestor(older, sha):
            return str(release["tag_name"])
    return ""


def _tell(call: Call, release: Record, action: str) -> None:
    tag = release["tag_name"]
    payload = {
        "action": action,
        "release": _shape(call, release),
        **payloads.around(call.hub, call.repository, call.caller.login),
    }
    event = call.hub.event(
        call.caller,
        call.repository,
        "release",
        ref=f"refs/tags/{tag}",
        sha=call.hub.git(call.repository).resolve(f"refs/tags/{tag}") or NONE,
        action=action,
        payload=payload,
    )
    call.events.append(event)


def _shape(call: Call, release: Record) -> dict[str, Any]:
    api = call.url(f"/repos/{call.full_name}")
    address, tag = f"{api}/releases/{release['id']}", release["tag_name"]
    shown = f"untagged-{release['id']}" if release["draft"] else tag
    uploads = f"{call.hub.url}/api/uploads/repos/{call.full_name}/releases/{release['id']}"
    return {
        "url": address,
        "assets_url": f"{address}/assets",
        "upload_url": f"{uploads}/assets{{?name,label}}",
        "html_url": f"{call.hub.url}/{call.full_name}/releases/tag/{shown}",
        "id": release["id"],
        "author": accounts.simple(call.hub, release["author"]),
        "node_id": f"RE_{release['id']}",
        "tag_name": tag,
        "target_commitish": release["target_commitish"],
        "name": release["name"],
        "draft": release["draft"],
        "prerelease": release["prerelease"],
        "immutable": False,
        "created_at": release["created_at"],
        "published_at": release["published_at"],
        "assets": [],
        "tarball_url": f"{api}/tarball/{tag}",
        "zipball_url": f"{api}/zipball/{tag}",
        "body": release["body"],
    }
