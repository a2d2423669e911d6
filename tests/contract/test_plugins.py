"""The engine starts every plugin of the toolchain as the pinned SDKs ask for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.contract.conftest import Engine
from toolchain.install import Installation
from toolchain.versions import ENGINE_MINIMUM, parse_version

pytestmark = pytest.mark.toolchain


class Organization(BaseHTTPRequestHandler):
    """A GitHub of which the provider can ask what kind of owner it was given."""

    def do_GET(self) -> None:
        """Answer every question with an organisation."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"id": 1, "login": "example-org"}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def github() -> Iterator[str]:
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Organization) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def engine(tmp_path: Path, github: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A stack with every plugin, whose Hetzner API nobody answers: a preview calls none."""
    monkeypatch.setenv("HCLOUD_TOKEN", "0" * 64)
    monkeypatch.setenv("HCLOUD_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GITHUB_BASE_URL", github)
    engine = Engine(tmp_path, Installation().home, "plugins")
    engine.prepare()
    return engine


def test_no_command_prints_a_warning_about_plugins_or_the_language_host(engine: Engine) -> None:
    preview = engine.call("preview", "--stack", engine.stack)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    assert "+ 5 to create" in preview.stdout
    assert "warning" not in (preview.stdout + preview.stderr).lower()


def test_the_engine_tells_a_version_that_is_new_enough(engine: Engine) -> None:
    assert parse_version(engine.call("version").stdout) >= ENGINE_MINIMUM


def test_a_plugin_that_a_program_does_not_use_is_not_started(tmp_path: Path) -> None:
    ours, home = Installation(), tmp_path / "home"
    for name in ours.plugins:
        folder = home / "plugins" / ours.plugin_directory(name).name
        folder.mkdir(parents=True)
        program = folder / f"pulumi-resource-{name}"
        if name == "command":
            program.symlink_to(ours.plugin_directory(name) / program.name)
        else:  # to start GitHub's takes seconds that a stage without a part there should not pay
            program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
            program.chmod(0o755)
    stack = Engine(tmp_path / "stack", home)
    assert stack.up({"one": {"create": "true"}}).status == 0
    assert stack.destroy().status == 0
    assert not (tmp_path / "started").exists()
