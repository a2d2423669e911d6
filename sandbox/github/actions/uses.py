"""What `uses:` names: actions and workflows of this GitHub's repositories, at a commit.

`actions/checkout` is no repository here: an action of our own stands for it (see checkout/).
"""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.github.actions import last_lines
from sandbox.github.actions.yaml12 import YamlError, read
from sandbox.github.errors import GithubError
from sandbox.github.hub import Hub

CHECKOUT = Path(__file__).parent / "checkout"
_ACTION = re.compile(r"([^/@\s]+)/([^/@\s]+)(/[^@\s]+)?@(\S+)")
_WORKFLOW = re.compile(r"([^/@\s]+)/([^/@\s]+)/(\.github/workflows/[^/@\s]+\.ya?ml)@(\S+)")
_LOCAL_WORKFLOW = re.compile(r"\./(\.github/workflows/[^/@\s]+\.ya?ml)")
# Whose workflows may call what a private repository has; GitHub has "enterprise", too.
NO_ACCESS = "none"
ACCESS_LEVELS = (NO_ACCESS, "user", "organization")
# This file's own repository, at this file's own commit.
_SELF = "$/"
_DEEPEST = 10
_SECONDS = 60


class UsesError(ValueError):
    """Something that cannot be used; the message says why."""


@dataclass(frozen=True)
class FileAt:
    """A workflow file: of which repository, at which commit."""

    repository: str
    sha: str
    path: str


def absolute(uses: str, around: FileAt) -> str:
    """`$/action` in a file as what it means: `owner/repository/action@sha`; else as it is."""
    if not uses.startswith(_SELF):
        return uses
    return f"{around.repository}/{uses.removeprefix(_SELF)}@{around.sha}"


def workflow_at(hub: Hub, uses: str, around: FileAt) -> FileAt:
    """The file a job's `uses` names in the file around it. Raises UsesError."""
    uses = absolute(uses, around)
    if found := _LOCAL_WORKFLOW.fullmatch(uses):
        return FileAt(around.repository, around.sha, found[1])
    if not (found := _WORKFLOW.fullmatch(uses)):
        raise UsesError(
            f"invalid value workflow reference: {uses}: neither ./.github/workflows/x.yml nor "
            "owner/repository/.github/workflows/x.yml@ref"
        )
    if not may_call(hub, around.repository, f"{found[1]}/{found[2]}"):
        raise UsesError(f"workflow was not found: {uses}")
    repository, sha = _commit(hub, f"{found[1]}/{found[2]}", found[4], uses)
    return FileAt(repository, sha, found[3])


def may_call(hub: Hub, caller: str, called: str) -> bool:
    """Whether a repository's runs may use another's workflows and actions, by full names.

    A public one's anybody may. A private one's access setting says who of its owner's may, and
    those have to be private themselves.
    """
    try:
        record = hub.repository(*called.split("/"))
    except GithubError:
        return True  # told as what is not there
    if called == caller or not record["private"]:
        return True
    asking = hub.repository(*caller.split("/"))
    is_given = record.get("actions_access", NO_ACCESS) != NO_ACCESS
    return bool(is_given and asking["private"] and asking["owner"] == record["owner"])


def text_of(hub: Hub, file: FileAt) -> str:
    """A file's text. Raises UsesError."""
    owner, _, name = file.repository.partition("/")
    content = hub.git(hub.repository(owner, name)).file(file.sha, file.path)
    if content is None:
        raise UsesError(f"workflow was not found: {file.repository}/{file.path}@{file.sha}")
    return content.decode("utf-8", "replace")


def actions(hub: Hub, uses: Iterable[str], cache: Path, caller: str) -> dict[str, Path]:
    """`owner/name@ref` → a folder with the files, for every action, and those they use in turn.

    Raises UsesError for one that is not there, or that the calling repository may not use.
    """
    found: dict[str, Path] = {}
    left = [(each, 0) for each in uses]
    while left:
        each, depth = left.pop()
        if each.startswith(("./", "docker://")):
            continue  # the first is in the workspace, the second an image
        matched = _ACTION.fullmatch(each)
        if matched is None:
            raise UsesError(f"Expected format {{org}}/{{repo}}[/path]@ref. Actual '{each}'")
        owner, name, path, ref = matched.groups()
        if not may_call(hub, caller, f"{owner}/{name}"):
            raise UsesError(f"Unable to resolve {each}, repository not found")
        folder = found.get(f"{owner}/{name}@{ref}") or _folder(hub, f"{owner}/{name}", ref, cache)
        found[f"{owner}/{name}@{ref}"] = folder
        if depth < _DEEPEST:
            left += [(inner, depth + 1) for inner in _inner(folder / (path or "").strip("/"))]
    return found


def _folder(hub: Hub, full_name: str, ref: str, cache: Path) -> Path:
    try:
        hub.repository(*full_name.split("/"))
    except GithubError:
        if full_name == "actions/checkout":
            return CHECKOUT
    repository, sha = _commit(hub, full_name, ref, f"{full_name}@{ref}")
    return exported(hub, repository, sha, cache)


def _commit(hub: Hub, full_name: str, ref: str, what: str) -> tuple[str, str]:
    try:
        record = hub.repository(*full_name.split("/"))
    except GithubError:
        raise UsesError(f"Unable to resolve {what}, repository not found") from None
    sha = hub.git(record).resolve(ref)
    if sha is None:
        raise UsesError(f"Unable to resolve {what}, unable to find version `{ref}`")
    if sha.startswith(ref) and ref != sha and len(ref) >= 7:
        raise UsesError(
            f"Unable to resolve {what}, the provided ref `{ref}` is the shortened version of a "
            f"commit SHA, which is not supported. Please use the full commit SHA `{sha}` instead."
        )
    return str(record["full_name"]), sha


def exported(hub: Hub, full_name: str, sha: str, cache: Path) -> Path:
    """A folder with a repository's files at a commit; made once."""
    folder = cache / full_name / sha
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{sha}-{secrets.token_hex(4)}")
    git = hub.git(hub.repository(*full_name.split("/")))
    with subprocess.Popen(
        ["git", "archive", "--format=tar", sha],
        cwd=git.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "GIT_DIR": str(git.folder)},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe  # nosec B101
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            archive.extractall(fresh, filter="tar")  # nosec B202
        process.wait(_SECONDS)
    last_lines.prepare(fresh)
    try:
        fresh.rename(folder)
    except OSError:  # another was faster
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _inner(folder: Path) -> list[str]:
    """What a composite action uses in its steps."""
    for name in ("action.yml", "action.yaml"):
        with contextlib.suppress(OSError, YamlError):
            value = read((folder / name).read_text()).value
            runs = value.get("runs") if isinstance(value, dict) else None
            steps = runs.get("steps") if isinstance(runs, dict) else None
            return [
                step["uses"]
                for step in steps or []
                if isinstance(step, dict) and isinstance(step.get("uses"), str)
            ]
    return []
