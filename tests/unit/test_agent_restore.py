"""The agent takes data back: whole or not at all, with what uses it standing still meanwhile."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import incoming, rows
from remote.server.agent.commands import Commands
from remote.server.agent.compose import Compose
from remote.server.agent.errors import DeployError
from remote.server.agent.feeding import LABEL
from remote.server.agent.lines import Blot
from remote.server.agent.machine import Machine
from remote.server.agent.releases import Store
from remote.server.agent.restore import Restorer
from tests.unit import agent_bench
from tests.unit.agent_bench import FakeProbe

# `docker` as the agent calls it. What it is asked goes to calls; `exec` runs the command here.
DOCKER = """#!/bin/sh
echo "$*" >> "$HERE/calls"
case $1 in
  inspect)
    case $3.$4 in
      *restore*.app-db-1) echo "cat > $HERE/restored; $RESTORE" ;;
      *rows*.app-db-1) echo "$ROWS" ;;
      *) echo ;;
    esac ;;
  exec) while [ "$1" != sh ]; do shift; done; exec "$@" ;;
  compose)
    case $* in
      *" ps "*)
        for each in db web; do
          # As long a line as long labels make it.
          printf '{"Name": "app-%s-1", "Service": "%s", "State": "running"' $each $each
          printf ', "Labels": "%09000d"}\\n' 0
        done
        echo '{"Name": "app-old-1", "Service": "old", "State": "exited"}' ;;
      *" run "*) exit "${JOB:-0}" ;;
    esac ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where DOCKER, first on PATH, writes what it was asked."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))
    return tmp_path / "calls"


@pytest.fixture
def machine(tmp_path: Path, calls: Path) -> Machine:
    """One on which a release runs."""
    bench = agent_bench.make(tmp_path / "machine")
    services = {
        name: {"image": agent_bench.PINNED.format(1)} for name in ("db", "migrate", "old", "web")
    }
    files = {"compose.yaml": json.dumps({"services": services}), "Caddyfile": "# 1\n"}
    bench.deploy(agent_bench.request(files=files))
    return bench.machine


def restore(machine: Machine, content: bytes = b"the campaign", **probe: Any) -> list[str]:
    """Restore the service db; what was said."""
    said: list[str] = []
    clock = iter(range(100_000))
    restorer = Restorer(
        machine, Commands(), FakeProbe(**probe), said.append,
        sleep=lambda _: None, clock=lambda: float(next(clock)),
    )  # fmt: skip
    with incoming.folder(machine) as folder:
        (folder / "0").write_bytes(content)
        try:
            result = restorer.restore(folder, ["db"])
        finally:
            assert list((machine.state / "incoming").iterdir()) == []
    assert result["ok"] is True
    return said


def changes(calls: Path) -> list[str]:
    """What changed something, in order: the first word, and of containers their names."""
    words = {"stop": 3, "start": 1, "exec": 2}
    found = []
    for line in calls.read_text().splitlines():
        parts = line.split()
        if parts[0] in words:
            found.append(
                " ".join([parts[0], *parts[words[parts[0]] :][: 1 if "exec" in line else 9]])
            )
        elif " run " in line:
            found.append("job")
    return found


def test_what_uses_the_data_stands_still_until_it_is_back_and_migrated(
    machine: Machine, calls: Path, tmp_path: Path
) -> None:
    restore(machine)
    assert (tmp_path / "restored").read_bytes() == b"the campaign"
    assert changes(calls) == ["stop app-web-1", "exec app-db-1", "job", "start app-web-1"]


def test_where_the_command_fails_what_was_stopped_serves_again(
    machine: Machine, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE", "echo no such role s3cret-token >&2; exit 3")
    with pytest.raises(DeployError, match=r"no such role \*\*\*; what was stopped serves") as error:
        restore(machine)
    assert LABEL in error.value.remedy
    assert changes(calls)[-1] == "start app-web-1"


def test_where_a_migration_fails_on_the_data_that_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB", "1")
    with pytest.raises(DeployError, match="the data is back, but job migrate failed"):
        restore(machine)


def test_an_application_that_is_not_well_afterwards_is_an_error(machine: Machine) -> None:
    with pytest.raises(DeployError, match=r"not well .* /healthz gave status 502"):
        restore(machine, public_status=502)


def test_a_certificate_that_is_still_to_come_is_no_error(machine: Machine) -> None:
    restore(machine, has_certificate=False)


# -- what comes in ---------------------------------------------------------------------------------


@pytest.fixture
def session() -> Iterator[tuple[int, int]]:
    """Two ends of a pipe that stands for a session: what is read, what is written."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def part(content: bytes, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"service": "db", "bytes": len(content), "sha256": digest, **more}


def received(
    folder: Path, session: tuple[int, int], content: bytes, *parts: Mapping[str, Any]
) -> None:
    reader, writer = session
    os.write(writer, content)
    os.close(writer)
    incoming.receive(folder, parts, lambda _: None, reader)


def test_parts_arrive_one_after_the_other_for_root_alone(
    tmp_path: Path, session: tuple[int, int]
) -> None:
    received(tmp_path, session, b"onetwo", part(b"one"), part(b"two", service="files"))
    assert [(tmp_path / name).read_bytes() for name in "01"] == [b"one", b"two"]
    assert (tmp_path / "0").stat().st_mode & 0o777 == 0o600


def test_the_line_that_says_what_comes_leaves_the_data_unread(session: tuple[int, int]) -> None:
    reader, writer = session
    os.write(writer, b'{"parts": [1]}\nthe data')
    assert incoming.read_head(reader) == {"parts": [1]}
    assert os.read(reader, 100) == b"the data"


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[1]\n", b'{"parts": 1}\n', b"\xff\n"])
def test_what_says_nothing_is_refused(session: tuple[int, int], line: bytes) -> None:
    os.write(session[1], line)
    os.close(session[1])
    with pytest.raises(DeployError):
        incoming.read_head(session[0])


def test_data_that_ends_early_or_is_another_is_refused(
    tmp_path: Path, session: tuple[int, int]
) -> None:
    with pytest.raises(DeployError, match=r"ended 3 bytes too early; nothing was changed"):
        received(tmp_path, session, b"one", part(b"onetwo"))


def test_data_that_is_not_what_its_hash_says_is_refused(
    tmp_path: Path, session: tuple[int, int]
) -> None:
    with pytest.raises(DeployError, match="not what its hash says"):
        received(tmp_path, session, b"one", part(b"two"))


def test_what_the_disk_cannot_take_is_refused_before_a_byte_is_read(
    tmp_path: Path, session: tuple[int, int]
) -> None:
    with pytest.raises(DeployError, match="MiB free"):
        received(tmp_path, session, b"one", {**part(b"one"), "bytes": 1 << 60})
    assert os.read(session[0], 9) == b"one"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        ["db"],
        [part(b"x", bytes=0)],
        [part(b"x", bytes="1")],
        [part(b"x", sha256="../x")],
        [part(b"x"), part(b"x")],
        [part(b"x", service="web; rm -rf /")],
    ],
)
def test_only_services_that_say_how_are_restored_and_nothing_else_is_taken(parts: Any) -> None:
    with pytest.raises(DeployError):
        incoming.check_parts(parts, {"db": ()}, LABEL)


def test_what_a_killed_restore_left_goes_and_what_another_one_uses_stays(
    machine: Machine,
) -> None:
    above = machine.state / "incoming"
    for name in ("old", "new"):
        (above / name).mkdir(parents=True)
    past = time.time() - 4 * 3600
    os.utime(above / "old", (past, past))
    with incoming.folder(machine) as folder:
        left = {each.name for each in above.iterdir()}
        with incoming.taken_over(folder) as mine:
            assert mine.is_dir()
    assert left == {"new", folder.name}
    assert [each.name for each in above.iterdir()] == ["new"]


# -- how much there is -----------------------------------------------------------------------------


def test_rows_are_counted_as_the_application_says(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWS", "echo tasks 24; echo NOTICE: hello; echo stats 1")
    release = Store(machine.state).current()
    assert release is not None
    compose = Compose(Commands(), machine, print)
    assert rows.count(compose, release, Blot([])) == {"db": {"tasks": 24, "stats": 1}}
    monkeypatch.setenv("ROWS", "echo no such table >&2; exit 1")
    with pytest.raises(DeployError, match="no such table"):
        rows.count(compose, release, Blot([]))


def test_only_so_many_lines_are_taken() -> None:
    assert len(rows.parse(f"t{number} 1" for number in range(1000))) == rows.MOST
