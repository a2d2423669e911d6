"""A dump from before migrations comes back: for root on the server, as no key may name one.

The restore is the one of a backup. What is there now is dumped first.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from . import incoming
from .commands import Commands
from .compose import Compose, Say
from .dump import labelled
from .errors import DeployError
from .feeding import LABEL
from .machine import Machine
from .releases import Store
from .runs import Runs
from .safekeeping import SUFFIX, folder_of, protect


def put_back(machine: Machine, name: str, say: Say, runs: Runs | None = None) -> dict[str, object]:
    """Restore the dump of that name into what runs, and wait for the end. Raises DeployError."""
    dump = _found(machine, name)
    release = Store(machine.state).current()
    if release is None:
        raise DeployError("no release runs here", "deploy one first")
    files = {file.name.removesuffix(SUFFIX): file for file in sorted(dump.glob(f"*{SUFFIX}"))}
    known = labelled(Compose(Commands(), machine, say), release, LABEL)
    for service in files:
        incoming.check_service(service, known, LABEL)
    # The dump of what is there now may not be what removes it.
    protect(dump)
    with incoming.folder(machine) as folder:
        for number, file in enumerate(files.values()):
            # The same file: the restore removes its own name of it.
            os.link(file, folder / str(number))
        request = {
            "restore": {"folder": str(folder), "services": [*files], "dump": True},
            "version": release.manifest["version"],
            "who": f"{getpass.getuser()} on the server",
        }

        def tell(message: Mapping[str, object]) -> None:
            if "log" in message:
                say(str(message["log"]))

        runs = runs or Runs(machine, Commands(), tell, is_gone=lambda: False)
        return runs.deploy(request, f"restore-{folder.name}")


def _found(machine: Machine, name: str) -> Path:
    above = folder_of(machine.state)
    here = sorted(each.name for each in above.glob("[!.]*") if each.is_dir())
    if name not in here:
        raise DeployError(
            f"there is no dump {name[:100]!r}; nothing was changed",
            f"name one of {above}: {', '.join(here) or 'there are none'}",
        )
    return above / name
