"""A demo's last dump: fetched over SSH, encrypted here, kept where the team can open it.

Encrypted as age does: to the key FLOW_DUMP_RECIPIENT (age1…), else with the passphrase that the
demos' state is encrypted with. `age -d FILE` opens both. Nothing in clear touches a disk.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage

from flow import backends, building, server
from flow.errors import FlowError
from flow.state import State

RECIPIENT = "FLOW_DUMP_RECIPIENT"


class NoDumpError(FlowError):
    """There is data, and no service says how it is saved."""


def save(stack: str, found: State, folder: Path | None, say: Callable[[str], Any]) -> str | None:
    """Save the stack's data; where it is, or None where it holds none. Raises FlowError.

    Into `folder`, else FLOW_DUMPS's, else the registry images are pushed to, else ./dumps.
    """
    if not found.release:
        return None  # no release was ever found healthy there
    # What could stop it later is asked before anything is fetched.
    seal = sealer(stack)
    place = folder or (Path(os.environ["FLOW_DUMPS"]) if os.environ.get("FLOW_DUMPS") else None)
    pushes = place is None and bool(os.environ.get("REGISTRY_PUSH_USERNAME"))
    if place is None and not pushes:
        if os.environ.get("GITHUB_ACTIONS"):
            raise FlowError(
                f"the last dump of {stack} has nowhere to go: this runner is gone in a minute",
                "give the run REGISTRY_PUSH_USERNAME and REGISTRY_PUSH_PASSWORD, or end the demo "
                f"by hand: flow demo end {stack}",
            )
        place = Path("dumps")
    saved, data = server.dump(stack, found, say)
    if not saved:
        if not data:
            return None
        raise NoDumpError(
            f"{stack} holds data ({', '.join(data)}) and no service says how it is saved",
            "add the label deployment-flow.dump to one (docs/compose.md), or lose the data: "
            f"flow demo end {stack} --no-dump",
        )
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    files = {f"{stack}-{when}-{name}.age": seal(content) for name, content in saved.items()}
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
        write(files, place)
        return ", ".join(str((place / name).resolve()) for name in files)
    return _push(files, f"{found.release.get('prefix')}/dumps:{stack}-{when}", say)


def sealer(stack: str) -> Callable[[bytes], bytes]:
    """What encrypts a stack's data. Raises FlowError where there is no key and no passphrase."""
    if given := os.environ.get(RECIPIENT):
        key = recipient(given)
        return lambda content: bytes(pyrage.encrypt(content, [key]))
    if passphrase := backends.passphrase(backends.group_of(stack), os.environ):
        return lambda content: bytes(pyrage.passphrase.encrypt(content, passphrase))
    raise no_key()


def recipient(given: str) -> Any:
    """A public key of age, parsed. Raises FlowError for what is none."""
    try:
        return pyrage.x25519.Recipient.from_str(given)
    except pyrage.RecipientError as error:
        raise FlowError(f"{RECIPIENT} is no age key: {error}", "age-keygen makes one") from None


def no_key() -> FlowError:
    """That there is nothing to encrypt with."""
    return FlowError(
        "there is nothing to encrypt a dump with",
        f"set {RECIPIENT} to an age public key (age-keygen), or {backends.PASSPHRASE}",
    )


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write for the owner only; a file is whole or not there."""
    for name, content in files.items():
        part = folder / f".{name}.part"
        part.touch(mode=0o600)
        part.write_bytes(content)
        part.rename(folder / name)


def _push(files: dict[str, bytes], reference: str, say: Callable[[str], Any]) -> str:
    """Push the encrypted files as an image of nothing else; `docker cp` gets them out again."""
    with tempfile.TemporaryDirectory(prefix="deployment-flow-") as name:
        folder = Path(name)
        write(files, folder)
        # Without a command no container could be made of it, to copy from.
        (folder / "Dockerfile").write_text('FROM scratch\nCOPY *.age /\nCMD ["none"]\n')
        image = building.Image("dump", (reference,), ("docker", "build", f"--tag={reference}", "."))
        building.build([image], folder, push=True, on_line=say)
    return reference
