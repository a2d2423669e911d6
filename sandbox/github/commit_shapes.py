"""How the API shows commits and what they change."""

from typing import Any
from urllib.parse import quote

from sandbox.github import accounts
from sandbox.github.git import Commit, Git, Person
from sandbox.github.hub import Hub
from sandbox.store import Record

_STATUS = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied"}
# Longer patches are left out, as GitHub does.
_LONGEST_PATCH = 100_000


def commit(hub: Hub, repository: Record, found: Commit) -> dict[str, Any]:
    """A commit as it stands in lists."""
    api = f"{hub.api}/repos/{repository['full_name']}"
    html = f"{hub.url}/{repository['full_name']}/commit"
    return {
        "sha": found.sha,
        "node_id": f"C_{found.sha}",
        "commit": {
            "author": _signature(found.author, found.authored),
            "committer": _signature(found.committer, found.committed),
            "message": found.message,
            "tree": {"sha": found.tree, "url": f"{api}/git/trees/{found.tree}"},
            "url": f"{api}/git/commits/{found.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        "url": f"{api}/commits/{found.sha}",
        "html_url": f"{html}/{found.sha}",
        "comments_url": f"{api}/commits/{found.sha}/comments",
        "author": _account(hub, found.author),
        "committer": _account(hub, found.committer),
        "parents": [
            {"sha": sha, "url": f"{api}/commits/{sha}", "html_url": f"{html}/{sha}"}
            for sha in found.parents
        ],
    }


def _signature(person: Person, when: str) -> dict[str, str]:
    return {"name": person.name, "email": person.email, "date": when}


def _account(hub: Hub, person: Person) -> dict[str, Any] | None:
    for record in hub.store.all("user"):
        if record.get("email") == person.email:
            return accounts.simple(hub, record["login"])
    return None


def files(hub: Hub, repository: Record, base: str, head: str) -> list[dict[str, Any]]:
    """What changed between two commits, file by file, with patches."""
    git = hub.git(repository)
    raw = git.run("diff", "--raw", "-z", "--no-abbrev", "--find-renames", base, head).split("\0")
    counts = _counts(git, base, head)
    patches = _patches(git, base, head)
    api = f"{hub.api}/repos/{repository['full_name']}"
    html = f"{hub.url}/{repository['full_name']}"
    found: list[dict[str, Any]] = []
    at = 0
    while at < len(raw) and raw[at].startswith(":"):
        _, _, old_blob, new_blob, status = raw[at].split(" ")
        renamed = status[0] in "RC"
        old, name = (raw[at + 1], raw[at + 2]) if renamed else (raw[at + 1], raw[at + 1])
        at += 3 if renamed else 2
        added, deleted = counts.get(name, (0, 0))
        entry: dict[str, Any] = {
            "sha": old_blob if status == "D" else new_blob,
            "filename": name,
            "status": _STATUS.get(status[0], "changed"),
            "additions": added,
            "deletions": deleted,
            "changes": added + deleted,
            "blob_url": f"{html}/blob/{head}/{quote(name)}",
            "raw_url": f"{html}/raw/{head}/{quote(name)}",
            "contents_url": f"{api}/contents/{quote(name)}?ref={head}",
        }
        if renamed:
            entry["previous_filename"] = old
        if 0 < len(patches.get(name, "")) <= _LONGEST_PATCH:
            entry["patch"] = patches[name]
        found.append(entry)
    return found


def _counts(git: Git, base: str, head: str) -> dict[str, tuple[int, int]]:
    parts = git.run("diff", "--numstat", "-z", "--find-renames", base, head).split("\0")
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(parts) and parts[at]:
        added, deleted, name = parts[at].split("\t")
        if not name:  # a rename: old and new name follow
            name, at = parts[at + 2], at + 2
        # A binary file's counts are "-".
        found[name] = (_int(added), _int(deleted))
        at += 1
    return found


def _int(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _patches(git: Git, base: str, head: str) -> dict[str, str]:
    """New name (old one of what is gone) → hunks, without the lines that name the files."""
    text = git.run("-c", "core.quotePath=false", "diff", "--find-renames", base, head)
    found: dict[str, str] = {}
    for part in ("\n" + text).split("\ndiff --git ")[1:]:
        header, mark, hunks = part.partition("\n@@ ")
        if not mark:
            continue
        names = {line[:4]: line[4:].rstrip("\t") for line in header.splitlines()}
        new = names.get("+++ ", "/dev/null")
        name = names.get("--- ", "")[2:] if new == "/dev/null" else new[2:]
        found[name] = "@@ " + hunks
    return found
