"""Which dumps stay while a migration is tried again and again, and what is said of them."""

import itertools
import shutil
import time
from pathlib import Path

import pytest

from remote.server.agent import safekeeping
from remote.server.agent.errors import DeployError
from remote.server.agent.jobs import JobsRun
from tests.unit import agent_bench
from tests.unit.agent_bench import Bench
from tests.unit.test_agent_dumps import LABELS, asked

MIGRATION = " run --rm"
START = "green/compose.yaml up"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """One on which version 1.0.0 runs on data that is dumped; each dump is a second later."""
    seconds = itertools.count(2_000_000_000)
    real = time.strftime
    monkeypatch.setattr(time, "strftime", lambda form, _: real(form, time.gmtime(next(seconds))))
    made = agent_bench.make(tmp_path)
    made.commands.containers.append({"Service": "db", "Name": "app-db-1", "State": "running"})
    made.commands.dump_labels = {"app-db-1": ["pg_dump app"]}
    made.commands.configured = LABELS
    made.deploy(asked(1))
    return made


def tried(bench: Bench, data: str, number: int = 2, failing: str = MIGRATION) -> DeployError:
    """Deploy a version that fails on this data, in its migration if nothing else is said."""
    bench.commands.dumped = data
    bench.commands.failing = {failing: ["it fails"]}
    with pytest.raises(DeployError) as raised:
        bench.deploy(asked(number))
    bench.commands.failing = {}
    return raised.value


def deployed(bench: Bench, data: str, number: int) -> None:
    bench.commands.dumped = data
    bench.deploy(asked(number))


def kept(bench: Bench) -> list[str]:
    """What is in the dumps, the oldest first."""
    files = safekeeping.folder_of(bench.machine.state).glob("*/db.dump")
    return [file.read_text() for file in sorted(files)]


def test_further_tries_never_put_out_the_dump_from_before_the_first(bench: Bench) -> None:
    for data in ("untouched", "half", "worse", "worst", "more"):
        tried(bench, data)
    assert kept(bench) == ["untouched", "worst", "more"]


def test_nor_do_tries_of_other_versions(bench: Bench) -> None:
    for number, data in enumerate(("untouched", "2", "3", "4"), start=2):
        tried(bench, data, number)
    assert kept(bench)[0] == "untouched"


def test_nor_those_of_a_version_that_migrates_and_does_not_start(bench: Bench) -> None:
    for number, data in enumerate(("untouched", "migrated", "again", "still"), start=2):
        tried(bench, data, number, START)
    assert kept(bench)[0] == "untouched"


def test_the_old_version_with_another_secret_does_not_free_the_first_dump(bench: Bench) -> None:
    tried(bench, "untouched")
    bench.deploy({**asked(1), "secrets": {"TOKEN": "another"}})
    for data in ("half", "worse", "worst"):
        tried(bench, data)
    assert kept(bench)[0] == "untouched"


def test_once_a_version_serves_whose_jobs_were_the_last_dumps_go_by_their_age(bench: Bench) -> None:
    tried(bench, "untouched")
    tried(bench, "half")
    deployed(bench, "mended", 3)
    for number in (4, 5):
        deployed(bench, f"after {number - 1}", number)
    assert kept(bench) == ["mended", "after 3", "after 4"]


def test_a_version_that_failed_after_another_served_has_a_first_dump_of_its_own(
    bench: Bench,
) -> None:
    tried(bench, "untouched")
    deployed(bench, "half", 3)
    for data in ("after 3", "broken", "worse", "worst"):
        tried(bench, data, 4)
    assert kept(bench)[0] == "after 3"


def test_a_release_that_served_before_a_crash_could_say_so_ends_the_tries(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(bench, "untouched")
    with monkeypatch.context() as crash:
        crash.setattr(JobsRun, "serve", lambda _: None)
        deployed(bench, "half", 3)
    tried(bench, "after 3", 4)
    dump = safekeeping.first_dump(bench.machine, JobsRun(bench.machine.data))
    assert dump is not None
    assert (dump / "db.dump").read_text() == "after 3"


def test_a_first_dump_that_somebody_removed_is_followed_by_the_next(bench: Bench) -> None:
    tried(bench, "untouched")
    shutil.rmtree(safekeeping.folder_of(bench.machine.state))
    for data in ("half", "worse", "worst", "more"):
        tried(bench, data)
    assert kept(bench) == ["half", "worst", "more"]


@pytest.mark.parametrize("failing", [MIGRATION, START])
def test_a_failure_names_the_first_dump_and_what_puts_it_back(bench: Bench, failing: str) -> None:
    tried(bench, "untouched", failing=failing)
    error = tried(bench, "half", 3, failing=failing)
    (first, _) = sorted(safekeeping.folder_of(bench.machine.state).iterdir())
    assert f"the data as it was before these jobs is kept in {first}: as root" in error.remedy
    assert f"deployment-flow-agent --restore {first.name}`" in error.remedy


def test_a_failure_without_a_dump_names_none(tmp_path: Path) -> None:
    bench = agent_bench.make(tmp_path)
    bench.commands.failing = {MIGRATION: ["it fails"]}
    with pytest.raises(DeployError) as raised:
        bench.deploy(asked(1))
    assert "--restore" not in raised.value.remedy


def test_on_another_server_with_the_data_the_old_ones_dump_is_not_named(
    bench: Bench, tmp_path: Path
) -> None:
    tried(bench, "untouched")
    other = agent_bench.make(tmp_path / "other")
    shutil.copytree(bench.machine.data, other.machine.data)
    other.commands.failing = {MIGRATION: ["it fails"]}
    with pytest.raises(DeployError) as raised:
        other.deploy(asked(2))
    assert "--restore" not in raised.value.remedy
