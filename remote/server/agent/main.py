"""Verbs of the deploy agent, as asked for over SSH, and its two internal entries."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import incoming
from .commands import Commands
from .compose import Compose
from .deploy import Deployer
from .dump import dumps, labelled, send_dump
from .errors import DeployError
from .feeding import LABEL as RESTORE_LABEL
from .health import Probe
from .lines import Blot
from .logs import follow
from .machine import Machine
from .putting_back import put_back
from .releases import Release, Store, check_request
from .restore import Restorer
from .rows import count
from .runs import RunLog, Runs, client_is_gone, execute, send
from .scrub import LABEL as SCRUB_LABEL
from .scrub import Unscrubbed, check

REQUEST_LIMIT = 8 * 1024 * 1024
_WORD = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,62}$")


def main(arguments: list[str]) -> int:
    """Entry: `--run NAME` and `--boot` for systemd, `--restore DUMP` for root, otherwise
    SSH_ORIGINAL_COMMAND."""
    os.umask(0o077)
    machine = Machine()
    if arguments[:1] == ["--run"] and len(arguments) == 2 and "/" not in arguments[1]:
        with locked(machine):
            return execute(machine.runs / arguments[1], _deploy(machine), blot_of)
    if arguments == ["--boot"]:
        with locked(machine):
            Deployer(machine, Commands(), Probe(), _print).boot()
        return 0
    if arguments[:1] == ["--restore"] and len(arguments) == 2:
        return _put_back(machine, arguments[1])
    if arguments:
        print("usage: --restore DUMP; or the verb in SSH_ORIGINAL_COMMAND", file=sys.stderr)
        return 2
    return serve(os.environ.get("SSH_ORIGINAL_COMMAND", ""), machine)


def serve(asked: str, machine: Machine) -> int:
    """Answer one request over SSH; unknown verbs are refused, and nothing reaches a shell."""
    words = asked.split(" ")
    verbs: dict[str, Callable[[Machine, list[str]], dict[str, object]]] = {
        "deploy": _verb_deploy,
        "dump": _verb_dump,
        "follow": _verb_follow,
        "logs": _verb_logs,
        "prune": _verb_prune,
        "restore": _verb_restore,
        "restore-scrubbed": _verb_restore_scrubbed,
        "rows": _verb_rows,
        "status": _verb_status,
        "version": _verb_version,
    }
    has_words = len(words) > 1 and words[0] not in ("follow", "logs")
    if words[0] not in verbs or has_words or not all(_WORD.fullmatch(word) for word in words):
        send({"result": {
            "ok": False,
            "cause": "this key can ask the deploy agent for one of: " + ", ".join(verbs),
            "remedy": "use the stack's maintenance key or your own for anything else",
        }})  # fmt: skip
        return 2
    try:
        result = verbs[words[0]](machine, words[1:])
    except DeployError as error:
        result = {"ok": False, "cause": str(error), "remedy": error.remedy}
    send({"result": result})
    return 0 if result.get("ok") else 1


def blot_of(request: Mapping[str, Any]) -> Blot:
    """Blots every secret of a request."""
    found = [str(value) for value in (request.get("secrets") or {}).values()]
    for part in ("registry", "auth"):
        found.append(str((request.get(part) or {}).get("password") or ""))
    return Blot(found)


@contextmanager
def locked(machine: Machine) -> Iterator[None]:
    """One deploy or boot at a time; the kernel lets go when the holder dies."""
    machine.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (machine.state / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _print(line: str) -> None:
    print(line, flush=True)


def _deploy(machine: Machine) -> Callable[[Mapping[str, Any], RunLog], dict[str, object]]:
    def deploy(request: Mapping[str, Any], log: RunLog) -> dict[str, object]:
        if "restore" in request:
            asked = request["restore"]
            restorer = Restorer(machine, Commands(), Probe(), log)
            scrubbed = bool(asked.get("scrubbed"))
            return restorer.restore(
                Path(asked["folder"]), asked["services"],
                scrubbed=scrubbed, dumped=bool(asked.get("dump")),
            )  # fmt: skip
        return Deployer(machine, Commands(), Probe(), log).deploy(request)

    return deploy


def _put_back(machine: Machine, name: str) -> int:
    """The entry of a person: sentences instead of JSON."""
    try:
        result = put_back(machine, name, _print)
        cause, remedy = str(result.get("cause") or ""), str(result.get("remedy") or "")
    except DeployError as error:
        cause, remedy = str(error), error.remedy
    if cause:
        print(f"error: {cause}\nnext: {remedy}", file=sys.stderr)
        return 1
    print(f"the data is that of {name} again; it stood still for {result['stopped_seconds']} s")
    return 0


def _verb_deploy(machine: Machine, _: list[str]) -> dict[str, object]:
    send({"hello": "deployment-flow", "protocol": 1})
    try:
        request = json.loads(_read_request())
    except ValueError:
        raise DeployError("the hand-over sent no JSON", "run `pulumi up` again") from None
    check_request(request)
    return Runs(machine, Commands()).deploy(request, Store(machine.state).release_id(request))


def _read_request() -> bytes:
    """One line from stdin, unbuffered: what comes after it is only ever the end."""
    data = bytearray()
    while not data.endswith(b"\n") and len(data) < REQUEST_LIMIT:
        chunk = os.read(0, 65536)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _verb_status(machine: Machine, _: list[str]) -> dict[str, object]:
    release = Store(machine.state).current()
    usage = shutil.disk_usage(machine.state)
    answer: dict[str, object] = {
        "ok": True,
        "disk_free_mib": usage.free // 1024**2,
        "reboot_required": machine.reboot_required.exists(),
    }
    if release is None:
        return {**answer, "release": None}
    wanted = ("Service", "State", "Health", "ExitCode", "Status")
    containers = Compose(Commands(), machine, _print).containers(release)
    return {
        **answer,
        "release": release.manifest,
        "containers": [{key: c.get(key) for key in wanted} for c in containers],
    }


def _verb_logs(machine: Machine, words: list[str]) -> dict[str, object]:
    """`logs [SERVICE] [LINES]`: the last lines of one service or of all."""
    release, arguments, blot = _logged(machine, words)
    ended = Compose(Commands(), machine, _print).compose(release, *arguments)
    for line in ended.lines:
        send({"log": blot(line)})
    return {"ok": ended.ok}


def _verb_follow(machine: Machine, words: list[str]) -> dict[str, object]:
    """`follow [SERVICE] [LINES]`: the last lines, and what is written from then on."""
    release, arguments, blot = _logged(machine, words)
    command, environment = Compose(Commands(), machine, _print).command(
        release, *arguments, "--follow"
    )
    follow(command, {**os.environ, **environment}, blot, send, client_is_gone)
    return {"ok": True}


def _logged(machine: Machine, words: list[str]) -> tuple[Release, list[str], Blot]:
    """The release, the arguments of `docker compose` for its log, and what blots its secrets."""
    release = Store(machine.state).current()
    if release is None:
        raise DeployError("no release runs here yet", "deploy one with `pulumi up`")
    count = next((word for word in words if word.isdigit()), "100")
    services = [word for word in words if not word.isdigit()]
    known = release.compose["services"]
    for service in services:
        if service not in known:
            raise DeployError(
                f"there is no service {service}", f"name one of {', '.join(sorted(known))}"
            )
    called = release.called(services)
    arguments = ["logs", "--no-color", "--tail", str(min(int(count), 1000)), *called]
    return release, arguments, Blot(list(release.environment.values()))


def _verb_dump(machine: Machine, _: list[str]) -> dict[str, object]:
    """Sends the application's data; the result names what was saved and what holds data."""
    release = Store(machine.state).current()
    if release is None:
        return {"ok": True, "dumps": [], "data": []}
    compose = Compose(Commands(), machine, _print)
    if Unscrubbed(machine, compose, _print).is_here():
        raise DeployError(
            "the data here is another environment's, and not scrubbed: it is not given out",
            "wait for the restore that is at work; where none is, deploy, which empties it, or "
            "end the demo: flow demo end --no-dump",
        )
    found = dumps(compose, release)
    for service, (container, command) in sorted(found.items()):
        send_dump(service, container, command, send, Blot(list(release.environment.values())))
    return {"ok": True, "dumps": sorted(found), "data": release.manifest.get("data") or []}


def _verb_rows(machine: Machine, _: list[str]) -> dict[str, object]:
    """How much data there is, and which services' data can come back."""
    release = Store(machine.state).current()
    if release is None:
        return {"ok": True, "rows": {}, "restores": []}
    compose = Compose(Commands(), machine, _print)
    rows = count(compose, release, Blot(list(release.environment.values())))
    restores = sorted(labelled(compose, release, RESTORE_LABEL))
    return {"ok": True, "rows": rows, "restores": restores}


def _verb_restore(machine: Machine, _: list[str]) -> dict[str, object]:
    """Takes data in on standard input, after a line that says what it is, and restores it."""
    return _restore(machine, scrubbed=False)


def _verb_restore_scrubbed(machine: Machine, _: list[str]) -> dict[str, object]:
    """The same, scrubbed before anything sees it: a verb, so that no older agent overlooks it."""
    return _restore(machine, scrubbed=True)


def _restore(machine: Machine, *, scrubbed: bool) -> dict[str, object]:
    release = Store(machine.state).current()
    if release is None:
        raise DeployError("no release runs here yet", "deploy one with `pulumi up`")
    send({"hello": "deployment-flow", "protocol": 1})
    head = incoming.read_head(0)
    compose = Compose(Commands(), machine, _print)
    known = labelled(compose, release, RESTORE_LABEL)
    incoming.check_parts(head["parts"], known, RESTORE_LABEL)
    services = [part["service"] for part in head["parts"]]
    if scrubbed:
        check(release, services, labelled(compose, release, SCRUB_LABEL))
    with incoming.folder(machine) as folder:
        incoming.receive(folder, head["parts"], send, 0)
        request = {
            "restore": {"folder": str(folder), "services": services, "scrubbed": scrubbed},
            "version": release.manifest["version"],
            "who": str(head.get("who") or "unknown")[:200],
        }
        return Runs(machine, Commands()).deploy(request, f"restore-{folder.name}")


def _verb_prune(machine: Machine, _: list[str]) -> dict[str, object]:
    with locked(machine):
        removed, images = Store(machine.state).prune()
        compose = Compose(Commands(), machine, _print)
        for reference in sorted(images):
            compose.docker("image", "rm", reference)
    return {"ok": True, "releases": removed, "images": sorted(images)}


def _verb_version(machine: Machine, _: list[str]) -> dict[str, object]:
    return {"ok": True, "protocol": 1, "software": machine.facts().get("FINGERPRINT", "unknown")}
