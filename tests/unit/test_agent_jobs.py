"""Which version's jobs run on data that is there. Commands and health are faked."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent.errors import DeployError
from tests.unit import agent_bench
from tests.unit.agent_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return agent_bench.make(tmp_path)


def asked(number: int, *, setting: str = "a", **more: Any) -> dict[str, Any]:
    return {**request(number), "secrets": {"TOKEN": setting}, **more}


def jobs(bench: Bench, *requests: dict[str, Any]) -> list[str]:
    """The releases whose jobs these deploys run, each with its bundle's number."""
    bench.commands.ran.clear()
    for each in requests:
        bench.deploy(each)
    return [step[:12].split()[1] for step in bench.commands.steps() if step.startswith("job")]


def anew(bench: Bench, folder: Path) -> Bench:
    """Another server that takes the data volume over, and nothing else."""
    other = agent_bench.make(folder)
    shutil.copytree(bench.machine.data, other.machine.data)
    return other


def test_a_rollback_runs_no_job_though_a_secret_has_changed(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2))
    assert jobs(bench, asked(1, setting="another")) == []
    assert "no job of version 1.0.0 runs: the data is as version 2.0.0 left it" in bench.said


def test_a_rollback_runs_no_job_though_its_release_is_gone_from_the_server(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2))
    shutil.rmtree(bench.release(asked(1)))
    assert jobs(bench, asked(1)) == []


def test_a_rollback_the_data_knows_nothing_of_runs_no_job(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2))
    (bench.machine.data / ".jobs").unlink()
    assert jobs(bench, asked(1, setting="another", behind=True)) == []


def test_on_another_server_with_the_data_the_old_versions_jobs_stay_away(
    bench: Bench, tmp_path: Path
) -> None:
    jobs(bench, asked(1), asked(2), asked(1))
    assert jobs(anew(bench, tmp_path / "other"), asked(1)) == []


def test_on_another_server_with_the_data_the_newest_versions_jobs_run(
    bench: Bench, tmp_path: Path
) -> None:
    jobs(bench, asked(1), asked(2))
    assert jobs(anew(bench, tmp_path / "other"), asked(2)) == ["r-000002"]


def test_without_data_the_jobs_run_whatever_came_later(bench: Bench, tmp_path: Path) -> None:
    jobs(bench, asked(1), asked(2))
    other = anew(bench, tmp_path / "other")
    shutil.rmtree(other.machine.data / "db")
    assert jobs(other, asked(1, behind=True)) == ["r-000001"]


def test_after_a_rollback_a_newer_version_runs_its_jobs(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2), asked(1))
    assert jobs(bench, asked(3)) == ["r-000003"]


def test_another_secret_of_the_newest_version_runs_its_jobs_again(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2))
    assert jobs(bench, asked(2, setting="another")) == ["r-000002"]


def test_jobs_of_a_version_that_failed_keep_the_old_ones_away(bench: Bench) -> None:
    jobs(bench, asked(1))
    bench.commands.failing = {" run --rm": ["migration 7 failed"]}
    with pytest.raises(DeployError):
        bench.deploy(asked(2))
    bench.commands.failing = {}
    assert jobs(bench, asked(1, setting="another")) == []


def test_jobs_that_failed_run_again_also_after_another_versions(bench: Bench) -> None:
    jobs(bench, asked(1))
    bench.commands.failing = {" run --rm": ["no password"]}
    for number in (2, 3):
        with pytest.raises(DeployError):
            bench.deploy(asked(number))
    bench.commands.failing = {}
    assert jobs(bench, asked(2, setting="the password")) == ["r-000002"]


def test_a_version_that_failed_once_with_another_secret_has_still_run_its_jobs(
    bench: Bench,
) -> None:
    jobs(bench, asked(1))
    bench.commands.failing = {" run --rm": ["no password"]}
    with pytest.raises(DeployError):
        bench.deploy(asked(1, setting="wrong"))
    bench.commands.failing = {}
    jobs(bench, asked(2))
    assert jobs(bench, asked(1, setting="another")) == []


def test_what_ran_before_there_was_a_record_stays_away_too(bench: Bench) -> None:
    jobs(bench, asked(1))
    (bench.machine.data / ".jobs").unlink()
    jobs(bench, asked(2))
    assert jobs(bench, asked(1, setting="another")) == []


def test_a_new_folder_beside_the_data_makes_nobody_forget(bench: Bench) -> None:
    jobs(bench, asked(1), asked(2))
    wider = {**asked(3), "bundle": {**asked(3)["bundle"], "data": ["db", "uploads"]}}
    jobs(bench, wider)
    assert jobs(bench, asked(1, setting="another")) == []
