"""What feature-demo.sh does on the server: five verbs, one error, one lock."""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

from feature_demo import agent, arguments, checks, install, wishes
from feature_demo import before as snapshots
from feature_demo import demo as demos
from feature_demo.asking import Terminal
from feature_demo.before import Before
from feature_demo.demo import USER, Demo
from feature_demo.removal import Removal
from feature_demo.sources import Fetcher
from feature_demo.words import NAME, DemoError, say, step
from remote.server.agent.commands import Commands
from remote.server.agent.lines import Blot
from remote.server.agent.machine import Machine

LOCK: Final = Path("/etc/debian_version")
"""Locked, never written: a file that is there already, so that none has to be made."""


def main(words: list[str]) -> int:
    """Entry: the exit code. 0 done, 1 it did not work, 2 a wrong argument, 130 interrupted."""
    asked = arguments.parse(words)
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    verbs = {"status": _status, "logs": _logs, "remove": _remove, "up": _up, "update": _up}
    machine = Machine()
    try:
        checks.is_root()
        if asked.verb in ("status", "logs"):
            return verbs[asked.verb](asked, machine)
        with _alone():
            return verbs[asked.verb](asked, machine)
    except DemoError as problem:
        say(f"error: {problem}")
        say(f"next: {problem.remedy}")
        return 1
    except KeyboardInterrupt:
        say(f"interrupted; run {NAME} again to go on, or `{NAME} remove` to take it back")
        return 130


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time. The kernel lets go when the holder dies."""
    if not LOCK.exists():  # not Debian: the checks say so
        yield
        return
    with LOCK.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(
                f"another {NAME} is at work on this server", "wait until it has ended"
            ) from None
        yield


def _up(asked: argparse.Namespace, machine: Machine) -> int:
    started = time.monotonic()
    known = demos.load(machine)
    before = snapshots.load(machine)
    if asked.verb == "update" and known is None:
        raise DemoError("there is no demo on this server", f"bring one up: {NAME}")
    checks.is_debian_13()
    if before is None:
        checks.belongs_to_nobody_else(machine)
        checks.ports_are_free()
        checks.has_room()
    terminal = Terminal(asked.yes)
    demo = wishes.wanted(asked, known, terminal)
    checks.points_here(demo.domain, checks.addresses(), demo.address)
    if known is None:
        _describe(demo)
        if not terminal.agrees("Install all this and bring the demo up?"):
            say("nothing was changed")
            return 1
    commands = Commands()
    is_new = before is None
    if before is None:
        before = snapshots.take(Path(__file__).resolve().parents[1] / "packages-before")
        snapshots.save(machine, before)
    try:
        result = _bring_up(demo, machine, before, commands)
    except DemoError:
        if is_new and not before.is_whole:
            step("taking back what was begun")
            Removal(machine, before, commands, lambda _: None).run()
        raise
    _tell(demo, result, time.monotonic() - started)
    return 0


def _bring_up(demo: Demo, machine: Machine, before: Before, commands: Commands) -> dict[str, Any]:
    blot = Blot(demo.secrets)

    def told(line: str) -> None:
        say(blot(line))

    start = snapshots.names()
    install.tools(commands, step, git=demo.is_git)
    # Only now: it needs PyYAML.
    from feature_demo import release
    from feature_demo.pins import Pinner

    source = Fetcher(machine, commands, step).fetch(demo)
    compose = release.compose_of(demo, source)
    step("making the server ready (Docker, Compose, Caddy, firewall, deploy agent)")
    try:
        install.provision(told)
    finally:
        snapshots.count(before, start)
        snapshots.save(machine, before)
    before.is_whole = True
    snapshots.save(machine, before)
    if demos.load(machine) is None:
        # A first one that fails is there to be looked at, and to be updated or removed.
        demos.save(machine, demo)
    install.put_on_path(step)
    if demo.registry:
        from remote.server.agent.compose import Compose

        Compose(commands, machine, told).remember_credential(demo.registry)
    pins = Pinner(machine, commands, demo, lambda line: _show(line)).pin(compose, source)
    step(f"deploying version {pins.version}")
    result = release.deploy(demo, compose, pins, told)
    # Only now: what an update that failed was told is not what runs.
    demos.save(machine, demo)
    if not demo.images:
        # What building leaves would fill a small disk, one update after the other.
        commands.run(
            ["docker", "builder", "prune", "--force", "--keep-storage", "2gb"], seconds=120
        )
    return result


def _show(line: str) -> None:
    if line.startswith(" "):
        say(line)
    else:
        step(line)


def _describe(demo: Demo) -> None:
    images = f"pulled from {demo.images}" if demo.images else "built here"
    where = f"branch {demo.branch} of {demo.source}" if demo.is_git else demo.source
    say("")
    say(f"  application  {where}")
    say(f"  address      https://{demo.domain}")
    say(f"  images       {images}")
    say(f"  settings     {', '.join(sorted(demo.settings)) or 'none'}")
    say(f"  seen by      {'everybody' if demo.public else f'who has the password of {USER}'}")
    say("  installs     Docker, Compose, Caddy, nftables, unattended-upgrades (Debian's)")
    say("  closes       every port but SSH, 80 and 443")
    say("")


def _tell(demo: Demo, result: dict[str, Any], seconds: float) -> None:
    state = "is live" if result["changed"] else "already runs"
    step(f"version {result['version']} {state} at {result['url']} ({seconds:.0f} s)")
    if result["tls"] == "pending":
        say("    its certificate is not there yet; Caddy goes on asking for one")
    if not demo.public:
        say(f"    user {USER}, password: {NAME} status")
    say(f"    next: {NAME} status | logs | update | remove")


def _known(machine: Machine) -> Demo:
    known = demos.load(machine)
    if known is None:
        raise DemoError("there is no demo on this server", f"bring one up: {NAME}")
    return known


def _status(asked: argparse.Namespace, machine: Machine) -> int:
    demo = _known(machine)
    told = agent.ask("status", say)
    release = told.get("release") or {}
    services = {
        str(each["Service"]): each.get("Health") or each.get("State")
        for each in told.get("containers", [])
    }
    found = {
        "url": f"https://{demo.domain}",
        "user": None if demo.public else USER,
        "password": None if demo.public else demo.password,
        "version": release.get("version"),
        "revision": release.get("revision") or None,
        "release": release.get("id"),
        "since": release.get("when"),
        "branch": demo.branch,
        "source": demo.source,
        "services": services,
        "disk_free_mib": told.get("disk_free_mib"),
    }
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            if isinstance(value, dict):
                value = ", ".join(f"{key} {state}" for key, state in sorted(value.items()))
            print(f"{name.replace('_', ' '):14} {'-' if value is None else value}")
    return 0 if release else 1


def _logs(asked: argparse.Namespace, machine: Machine) -> int:
    _known(machine)
    words = ["logs", *([asked.service] if asked.service else []), str(max(asked.lines, 1))]
    agent.ask(" ".join(words), print)
    return 0


def _remove(asked: argparse.Namespace, machine: Machine) -> int:
    before = snapshots.load(machine)
    if before is None:
        checks.belongs_to_nobody_else(machine)
        say("there is no demo on this server: nothing to remove")
        return 0
    demo = demos.load(machine)
    removal = Removal(machine, before, Commands(), step)
    data = removal.data()
    name = demo.domain if demo else "demo"
    say(f"This removes {demo.domain if demo else 'a half-made demo'} and all that came with it:")
    say(f"  packages  {', '.join(before.added.get('packages', [])) or 'none'}")
    if data:
        kept = "lost" if asked.no_dump else f"packed into {asked.dump_to} first"
        say(f"  data      {', '.join(str(path) for path in data)}: {kept}")
    if not Terminal(asked.yes).agrees("Remove it?"):
        say("nothing was changed")
        return 1
    dump = removal.dump(Path(asked.dump_to), name) if data and not asked.no_dump else None
    removal.run()
    step(f"{name} is removed; nothing of it is left on this server")
    if dump is not None:
        say(f"    its data: {dump}")
        print(dump)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
