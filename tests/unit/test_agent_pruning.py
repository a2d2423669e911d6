"""Which releases and images stay on a server. Commands and health are faked."""

import shutil
from pathlib import Path

import pytest

from remote.server.agent.errors import DeployError
from tests.unit import agent_bench
from tests.unit.agent_bench import Bench, request


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return agent_bench.make(tmp_path)


def test_old_releases_and_their_images_go_and_the_last_ones_stay(bench: Bench) -> None:
    for number in range(1, 8):
        bench.deploy(request(number))
    kept = sorted(each.name[:8] for each in (bench.machine.state / "releases").iterdir())
    assert kept == [f"r-{number:06}" for number in range(3, 8)]
    removed = [line.split()[-1] for line in bench.commands.ran if "image rm" in line]
    assert removed == [f"registry.example/web@sha256:{number:064}" for number in (1, 2)]


def five_served_three_failed_and_one_serves(bench: Bench) -> None:
    for number in range(1, 6):
        bench.deploy(request(number))
    for number in range(6, 9):
        bench.commands.failing = {f"r-{number:06}": ["it fails"]}
        with pytest.raises(DeployError):
            bench.deploy(request(number))
    bench.deploy(request(9))


def test_versions_that_failed_put_out_none_that_served(bench: Bench) -> None:
    five_served_three_failed_and_one_serves(bench)
    kept = sorted(int(each.name[2:8]) for each in (bench.machine.state / "releases").iterdir())
    # The last five that served, and the last that failed.
    assert kept == [2, 3, 4, 5, 8, 9]


def test_the_image_of_a_version_that_served_outlives_failed_ones(bench: Bench) -> None:
    five_served_three_failed_and_one_serves(bench)
    removed = [line[-1] for line in bench.commands.ran if "image rm" in line]
    assert sorted(removed) == ["1", "6", "7"]


def test_what_was_gone_back_to_counts_as_the_last_that_served(bench: Bench) -> None:
    for number in (1, 2, 3, 4, 5, 1, 6, 7):
        bench.deploy(request(number))
    kept = sorted(int(each.name[2:8]) for each in (bench.machine.state / "releases").iterdir())
    assert kept == [1, 4, 5, 6, 7]


def test_a_release_whose_removal_was_cut_can_come_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        bench.deploy(request(number))

    def cut(folder: Path, **_: object) -> None:
        if any(folder.glob("*")):
            (folder / "manifest.json").unlink()

    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", cut)
        bench.deploy(request(6))
    assert bench.deploy(request(1))["version"] == "1.0.0"
