"""Dumps that are taken before jobs: room for them, and what is said where there is none."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import safekeeping
from remote.server.agent.errors import DeployError
from remote.server.agent.releases import Release
from tests.unit import agent_bench
from tests.unit.agent_bench import PINNED, Bench, request

LABELS = {"db": {"labels": {"deployment-flow.dump": "pg_dump app"}}}
WARNING = "warning: the jobs run without a dump of service db: "
MIB = 1024**2


def asked(number: int, **more: Any) -> dict[str, Any]:
    """A release whose service db holds the data."""
    services = {
        "web": {"image": PINNED.format(number)},
        "db": {"image": PINNED.format(2), "volumes": ["db:/var/lib/db"]},
        "migrate": {"image": PINNED.format(number), "volumes": ["db:/var/lib/db"]},
    }
    files = {
        "compose.yaml": json.dumps({"services": services, "volumes": {"db": {}}}),
        "Caddyfile": "#\n",
    }
    return request(number, files=files, **more)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One on which a version runs whose service db says how it is dumped."""
    made = agent_bench.make(tmp_path)
    made.commands.containers.append({"Service": "db", "Name": "app-db-1", "State": "running"})
    made.commands.dump_labels = {"app-db-1": ["pg_dump app"]}
    made.commands.configured = LABELS
    made.deploy(asked(1))
    return made


def warnings(bench: Bench, number: int = 2) -> list[str]:
    """What a deploy warns of."""
    bench.said.clear()
    bench.deploy(asked(number))
    return [line for line in bench.said if line.startswith("warning")]


def test_of_data_that_is_dumped_and_of_none_nothing_is_said(bench: Bench, tmp_path: Path) -> None:
    first = agent_bench.make(tmp_path / "first")
    first.commands.configured = LABELS
    assert (warnings(bench), warnings(first, 1)) == ([], [])


def test_jobs_on_data_of_a_service_that_does_not_run_are_warned_of(bench: Bench) -> None:
    bench.commands.containers[1]["State"] = "exited"
    assert warnings(bench) == [f"{WARNING}it does not run"]


def test_jobs_on_data_no_service_says_how_to_dump_are_warned_of(bench: Bench) -> None:
    bench.commands.dump_labels, bench.commands.configured = {}, {}
    assert warnings(bench) == [f"{WARNING}it has no label deployment-flow.dump"]


def test_jobs_on_data_whose_label_comes_with_this_version_are_warned_of(bench: Bench) -> None:
    bench.commands.dump_labels = {}
    assert warnings(bench) == [f"{WARNING}what runs of it has no label deployment-flow.dump yet"]


@pytest.mark.parametrize(
    ("configured", "why"),
    [
        (LABELS, "no version runs on this server yet"),
        ({}, "it has no label deployment-flow.dump"),
    ],
)
def test_jobs_on_data_that_came_to_another_server_are_warned_of(
    bench: Bench, tmp_path: Path, configured: dict[str, Any], why: str
) -> None:
    other = agent_bench.make(tmp_path / "other")
    shutil.copytree(bench.machine.data, other.machine.data)
    other.commands.configured = configured
    assert warnings(other) == [f"{WARNING}{why}"]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_whichever_of_several_jobs_fails_no_later_one_runs_and_the_old_version_serves(
    bench: Bench, failing: int
) -> None:
    jobs = ["check", "migrate", "seed"]
    bench.commands.ran.clear()
    bench.commands.failing = {f"--name app-job-{jobs[failing]} ": ["it fails"]}
    with pytest.raises(DeployError, match=rf"^job {jobs[failing]} failed .*version 1.0.0 still"):
        bench.deploy(asked(2, jobs=jobs))
    ran = [line.split()[-1] for line in bench.commands.ran if " run --rm" in line]
    assert ran == jobs[: failing + 1]
    (dump,) = safekeeping.folder_of(bench.machine.state).glob("*/db.dump")
    assert dump.read_text() == "dumped"
    assert bench.store().current() == Release(bench.release(asked(1)), "blue")


def kept(bench: Bench, *sizes: int) -> list[Path]:
    """Dumps of that many bytes, the oldest first."""
    folder = safekeeping.folder_of(bench.machine.state)
    made = [folder / f"2030010{at}T000000Z-r-00000{at}-a" for at, _ in enumerate(sizes)]
    for each, size in zip(made, sizes, strict=True):
        each.mkdir(parents=True)
        with (each / "db.dump").open("wb") as file:
            file.truncate(size)
    return made


def free(monkeypatch: pytest.MonkeyPatch, mib: int) -> None:
    """Have that much free where dumps are."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(
        free=(mib if "dumps" in str(path) else 9999) * MIB
    ))  # fmt: skip


def test_a_dump_needs_as_much_as_the_largest_one_kept_or_no_job_runs(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = kept(bench, 100 * MIB, 300 * MIB, 200 * MIB)
    bench.commands.ran.clear()
    free(monkeypatch, 711)
    # The oldest one's 100 MiB count as free.
    with pytest.raises(DeployError, match=r"only 811 MiB are free .* it needs 812, .* no job has"):
        bench.deploy(asked(2))
    assert not {"dump", "job"} & {step.split()[0] for step in bench.commands.steps()}
    assert all(each.exists() for each in earlier)


def test_the_oldest_dump_goes_before_the_next_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = kept(bench, 100 * MIB, 300 * MIB, 200 * MIB)
    free(monkeypatch, 712)
    there: list[list[bool]] = []
    save = bench.commands.save

    def seen(*arguments: Any, **more: Any) -> Any:
        there.append([each.exists() for each in earlier])
        return save(*arguments, **more)

    monkeypatch.setattr(bench.commands, "save", seen)
    bench.deploy(asked(2))
    assert there == [[False, True, True]]


def test_what_a_killed_dump_has_left_goes_with_the_next(bench: Bench) -> None:
    left = kept(bench, 1)[0]
    left = left.rename(left.with_name(f".{left.name}"))
    bench.deploy(asked(2))
    assert not left.exists()


def test_a_dump_whose_removal_was_cut_does_not_count_as_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = kept(bench, 1, 1, 1)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda folder, **_: None)
        bench.deploy(asked(2))
    assert [each.exists() for each in earlier] == [False, True, True]
