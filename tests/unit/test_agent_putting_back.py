"""Root puts a dump from before migrations back: the restore of a backup, from what is there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import main, safekeeping
from remote.server.agent.commands import Commands
from remote.server.agent.errors import DeployError
from remote.server.agent.machine import Machine
from remote.server.agent.putting_back import put_back
from remote.server.agent.restore import Restorer
from remote.server.agent.runs import Runs
from tests.unit.agent_bench import FakeProbe

# The machine on which a release runs, and its Docker.
from tests.unit.test_agent_restore import calls as calls
from tests.unit.test_agent_restore import changes
from tests.unit.test_agent_restore import machine as machine

NAME = "20300101T000000Z-r-000001-a"


class InThisProcess(Runs):
    """The unit's work, without systemd."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, Commands())
        self.said: list[str] = []
        self.machine = machine
        self.asked: Mapping[str, Any] = {}

    def deploy(self, request: Mapping[str, Any], release_id: str) -> dict[str, object]:
        self.asked = request
        asked = request["restore"]
        restorer = Restorer(
            self.machine, Commands(), FakeProbe(), self.said.append, sleep=lambda _: None
        )
        return restorer.restore(Path(asked["folder"]), asked["services"], dumped=asked["dump"])


@dataclass
class Kept:
    """Dumps on a machine."""

    machine: Machine

    def __post_init__(self) -> None:
        for name, content in ((NAME, b"untouched"), ("20300102T000000Z-r-000001-a", b"later")):
            folder = safekeeping.folder_of(self.machine.state) / name
            folder.mkdir(parents=True)
            (folder / "db.dump").write_bytes(content)

    def contents(self) -> list[bytes]:
        files = safekeeping.folder_of(self.machine.state).glob("*/db.dump")
        return sorted(file.read_bytes() for file in files)


@pytest.fixture
def kept(machine: Machine) -> Kept:
    return Kept(machine)


def test_a_dump_comes_back_and_what_uses_the_data_stands_still_meanwhile(
    kept: Kept, calls: Path, tmp_path: Path
) -> None:
    result = put_back(kept.machine, NAME, print, InThisProcess(kept.machine))
    assert result["ok"] is True
    assert (tmp_path / "restored").read_bytes() == b"untouched"
    assert changes(calls)[-4:] == ["stop app-web-1", "exec app-db-1", "job", "start app-web-1"]


def test_what_was_there_is_dumped_first_and_the_dump_that_came_back_stays(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "bin/docker"
    docker.write_text(docker.read_text().replace(
        "*rows*.app-db-1)", "*dump*.app-db-1) echo 'echo of now' ;;\n      *rows*.app-db-1)"
    ))  # fmt: skip
    third = safekeeping.folder_of(kept.machine.state) / "20300103T000000Z-r-000001-a"
    third.mkdir()
    (third / "db.dump").write_bytes(b"latest")
    put_back(kept.machine, NAME, print, InThisProcess(kept.machine))
    assert kept.contents() == [b"latest", b"of now\n", b"untouched"]
    # The restore has its own name of the file, and takes that one away.
    assert list((kept.machine.state / "incoming").iterdir()) == []


@pytest.mark.parametrize("name", ["20300101", "../dumps", ".", "", f"{NAME}/"])
def test_a_dump_that_is_not_there_is_refused_with_those_that_are(
    kept: Kept, calls: Path, name: str
) -> None:
    with pytest.raises(DeployError, match="nothing was changed") as error:
        put_back(kept.machine, name, print, InThisProcess(kept.machine))
    assert NAME in error.value.remedy
    assert not calls.exists()


def test_a_service_that_says_no_way_back_is_named_before_anything_changes(
    kept: Kept, calls: Path
) -> None:
    dump = safekeeping.folder_of(kept.machine.state) / NAME / "db.dump"
    dump.rename(dump.with_name("cache.dump"))
    with pytest.raises(DeployError, match=r"'cache' says how .*nothing was changed"):
        put_back(kept.machine, NAME, print, InThisProcess(kept.machine))
    assert "stop app-web-1" not in changes(calls)


def test_the_entry_tells_a_person_in_sentences_and_by_its_exit_code(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[dict[str, object]] = [
        {"ok": True, "stopped_seconds": 1.5},
        {"ok": False, "cause": "it would not", "remedy": "try"},
    ]

    class Answered(InThisProcess):
        def deploy(self, request: Mapping[str, Any], release_id: str) -> dict[str, object]:
            return answers.pop(0)

    monkeypatch.setattr(main, "Machine", lambda: kept.machine)
    monkeypatch.setattr("remote.server.agent.putting_back.Runs", lambda *_, **__: Answered(
        kept.machine
    ))  # fmt: skip
    assert [main.main(["--restore", name]) for name in (NAME, NAME, "none")] == [0, 1, 1]
    told = capsys.readouterr()
    assert told.out == f"the data is that of {NAME} again; it stood still for 1.5 s\n"
    assert told.err.startswith("error: it would not\nnext: try\nerror: there is no dump 'none'")


def test_the_unit_restores_what_the_entry_asks_for_and_dumps_first(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def restore(_: Restorer, folder: Path, services: list[str], **how: bool) -> dict[str, object]:
        asked.append((services, how))
        return {"ok": True}

    monkeypatch.setattr(Restorer, "restore", restore)
    seen = InThisProcess(kept.machine)
    put_back(kept.machine, NAME, print, seen)
    asked.clear()
    run = kept.machine.runs / "run"
    run.mkdir(parents=True)
    (run / "request.json").write_text(json.dumps(seen.asked))
    monkeypatch.setattr(main, "Machine", lambda: kept.machine)
    assert main.main(["--run", "run"]) == 0
    assert asked == [(["db"], {"scrubbed": False, "dumped": True})]
