"""What `make bench` computes, and what it types by hand on a server."""

import json
import subprocess
from pathlib import Path

import pytest

from bench import by_hand
from bench.measure import Measured
from bench.run import median

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
    typed = by_hand.script({"api": "sha256:aabb"}, "registry.example.org/app")
    local = typed.replace("/var/lib/deployment-flow/current", str(current))
    # Here there is neither jq for certain nor an application to start.
    without = local.replace("jq -r", "true #").replace("docker compose", "true docker compose")
    subprocess.run(["sh", "-eu"], input=without, text=True, check=True, timeout=10)
    written = (here / "compose.yaml").read_text()
    assert "api@sha256:aabb}" in written
    assert "db@sha256:2233}" in written
