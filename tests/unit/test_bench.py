"""What `make bench` computes, and what it types by hand on a server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import by_hand, limits, pushing, setup
from bench.measure import Measured, MeasureError
from bench.run import conclude, limits_table, median, pushes_table, told
from flow.story.watching import JobDone
from toolchain import build

COMPOSE = """\
services:
  api: {image: registry.example.org/app/api@sha256:0011}
  db: {image: registry.example.org/app/db@sha256:2233}
"""


def test_the_median_is_of_each_figure_by_itself() -> None:
    found = median(
        [Measured(3.0, 1.0, 9.0, 4.0), Measured(1.0, 3.0, 7.0, 4.0), Measured(2.0, 2.0, 8.0, 4.0)]
    )
    assert found == Measured(2.0, 2.0, 8.0, 4.0)


def test_a_figure_that_is_missing_once_is_missing() -> None:
    assert median([Measured(1.0, None, 1.0, 2.0), Measured(1.0, 1.0, 1.0, None)]) == Measured(
        1.0, None, 1.0, None
    )


def test_by_hand_the_new_images_are_put_into_the_running_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, here = tmp_path / "current", tmp_path / "by-hand"
    current.mkdir()
    (current / "compose.yaml").write_text(COMPOSE)
    (current / "environment.json").write_text(json.dumps({"VERSION": "1.0"}))
    monkeypatch.setattr(by_hand, "HERE", str(here))
    typed = by_hand.script("1.1", {"api": "sha256:aabb"}, "registry.example.org/app")
    local = typed.replace("/var/lib/deployment-flow/current", str(current))
    # Here there is neither jq for certain nor an application to start.
    without = local.replace("jq -r", "true").replace("docker compose", "true docker compose")
    subprocess.run(["sh", "-eu"], input=without, text=True, check=True, timeout=10)
    written = (here / "compose.yaml").read_text()
    assert "api@sha256:aabb}" in written
    assert "db@sha256:2233}" in written


def job(name: str, started: float, ended: float) -> JobDone:
    return JobDone(name, "success", started, started, ended, "")


def test_a_push_is_counted_without_its_build_job() -> None:
    found = pushing.pushed(40.0, [job("flow / build", 3, 15), job("flow / demo", 16, 36)])
    assert (found.build, found.deploy, found.beyond) == (12, 20, 28)


def test_a_push_whose_deploy_job_did_not_run_is_no_figure() -> None:
    with pytest.raises(MeasureError, match="no job demo ran, but build"):
        pushing.pushed(40.0, [job("flow / build", 3, 15)])


def test_what_became_of_requests_is_said_in_one_line() -> None:
    assert told({"lost": 0, "sent": 812, "slowest": 0.44}) == (
        "requests lost: 0 of 812 (the slowest took 0.4 s)"
    )


def test_the_table_of_pushes_says_the_limits_and_whether_they_are_kept() -> None:
    fast, slow = pushing.Pushed(40, 12, 20), pushing.Pushed(90, 40, 48)
    assert pushing.row([fast, fast, slow], 30)["beyond"] == 28
    assert pushing.row([fast, slow], 30) == {
        "total": 65,
        "build": 26,
        "deploy": 34,
        "beyond": 39,
        "limit": 30,
        "kept": False,
        "repeated": 2,
    }
    rows = {"a": pushing.row([fast], 30), "b": pushing.row([slow], 45)}
    shown = pushes_table(rows)
    assert list(shown.columns[5].cells) == ["30 kept", "45 MISSED"]
    assert list(shown.columns[4].cells) == ["28.0", "50.0"]


def medians(nothing: float, ours: float | None, hand: float | None) -> dict[str, dict[str, Any]]:
    return {
        "no-op up": {"seconds": nothing, "live": None},
        "redeploy": {"seconds": 30.0, "live": ours},
        "Compose by hand": {"seconds": 3.0, "live": hand},
    }


@pytest.mark.parametrize(
    ("measured", "missed"),
    [
        (medians(4.9, 17.9, 3.0), []),
        (medians(5.0, 17.9, 3.0), [limits.NOTHING]),
        (medians(4.9, 18.0, 3.0), [limits.REDEPLOY]),
        # One that never went live is none that was fast.
        (medians(4.9, None, 3.0), [limits.REDEPLOY]),
        (medians(4.9, 17.9, None), [limits.REDEPLOY]),
        ({}, []),
    ],
)
def test_an_up_without_changes_and_a_redeploy_beyond_by_hand_have_limits(
    measured: dict[str, dict[str, Any]], missed: list[str]
) -> None:
    assert limits.missed({"limits": limits.rows(measured), "pushes": {}}) == missed


def test_the_table_of_limits_says_which_are_kept() -> None:
    shown = limits_table(limits.rows(medians(4.5, None, 3.0)))
    assert list(shown.columns[1].cells) == ["4.5", "–"]
    assert list(shown.columns[2].cells) == ["5 kept", "15 MISSED"]


@pytest.mark.parametrize("part", ["limits", "pushes"])
def test_a_missed_limit_fails_once_the_report_is_written(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report: dict[str, Any] = {"when": "2031-05-31T09:04:00Z", "limits": {}, "pushes": {}}
    report[part] = {"too slow": {"kept": False}}
    with pytest.raises(SystemExit) as ended:
        conclude(report, tmp_path)
    assert ended.value.code == 1
    assert json.loads((tmp_path / "2031-05-31T090400Z.json").read_text()) == report
    assert "limits missed: too slow" in capsys.readouterr().err


def test_limits_that_are_kept_fail_nothing(tmp_path: Path) -> None:
    report = {"when": "2031", "limits": {"fast": {"kept": True}}, "pushes": {}}
    conclude(report, tmp_path)
    assert (tmp_path / "2031.json").exists()


def test_what_a_release_replaces_does_not_count_where_releases_are_downloaded() -> None:
    parts = {setup.PACKAGES: 60.0, "act": 100.0, **{each.name: 200.0 for each in setup.RELEASED}}
    found = setup.rows(parts)
    assert [figures["seconds"] for figures in found.values()] == [1160.0, 160.0]
    assert all(figures["kept"] for figures in found.values())


def test_a_set_up_that_takes_longer_than_its_limit_misses_it() -> None:
    parts = {setup.PACKAGES: 301.0, **{each.name: 1.0 for each in setup.RELEASED}}
    assert [figures["kept"] for figures in setup.rows(parts).values()] == [True, False]


def test_every_program_that_set_up_builds_is_measured_once() -> None:
    assert sorted([*build.SANDBOX, *setup.RELEASED], key=str) == sorted(build.TARGETS, key=str)
