"""The engine starts every plugin of the toolchain as the pinned SDKs ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.conftest import Engine
from toolchain.install import Installation
from toolchain.versions import ENGINE_MINIMUM, parse_version

pytestmark = pytest.mark.toolchain


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A stack with every plugin, whose Hetzner API nobody answers: a preview calls none."""
    monkeypatch.setenv("HCLOUD_TOKEN", "0" * 64)
    monkeypatch.setenv("HCLOUD_ENDPOINT", "http://127.0.0.1:9/v1")
    engine = Engine(tmp_path, Installation().home, "plugins")
    engine.prepare()
    return engine


def test_no_command_prints_a_warning_about_plugins_or_the_language_host(engine: Engine) -> None:
    preview = engine.call("preview", "--stack", engine.stack)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "+ 3 to create" in preview.stdout
    assert "warning" not in (preview.stdout + preview.stderr).lower()


def test_the_engine_tells_a_version_that_is_new_enough(engine: Engine) -> None:
    assert parse_version(engine.call("version").stdout) >= ENGINE_MINIMUM
