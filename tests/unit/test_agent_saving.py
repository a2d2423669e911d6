"""The agent passes dumps and logs on: whole, in order, and for no longer than somebody listens."""

import base64
import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import dump, logs
from remote.server.agent.commands import Commands
from remote.server.agent.compose import Compose
from remote.server.agent.errors import DeployError
from remote.server.agent.lines import Blot
from remote.server.agent.machine import Machine
from remote.server.agent.releases import Release

# `docker` as the agent calls it: `inspect` answers a label, `exec` runs the command here.
DOCKER = """#!/bin/sh
case $1 in
  inspect) case $4 in *db*) echo "printf dumped" ;; *) echo ;; esac ;;
  exec) shift 2; exec "$@" ;;
  compose) echo '{"Name": "app-db-1", "Service": "db", "State": "running"}'
           echo '{"Name": "app-web-1", "Service": "web", "State": "running"}'
           echo '{"Name": "app-db-2", "Service": "old", "State": "exited"}' ;;
esac
"""


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts DOCKER first on PATH."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def sent_by(command: str) -> list[Mapping[str, Any]]:
    messages: list[Mapping[str, Any]] = []
    dump.send_dump("db", "app-db-1", command, messages.append, Blot(["hush-hush"]))
    return messages


def test_a_dump_arrives_whole_and_says_its_hash() -> None:
    first, *pieces, last = sent_by("head -c 20000 /dev/zero; printf end")
    content = b"".join(base64.b64decode(str(each["data"])) for each in pieces)
    assert first == {"dump": "db"}
    assert content == bytes(20000) + b"end"
    assert last["sha256"] == hashlib.sha256(content).hexdigest()
    # The hand-over reads lines of at most 8 KiB.
    assert max(len(json.dumps(each)) for each in pieces) < 8192


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo part; echo no such database >&2; exit 3", "no such database"),
        ("echo not with hush-hush >&2; exit 1", r"not with \*\*\*$"),
        ("true", "0 bytes"),
    ],
)
def test_a_dump_that_failed_or_is_empty_is_none(command: str, why: str) -> None:
    with pytest.raises(DeployError, match=why) as raised:
        sent_by(command)
    assert dump.LABEL in raised.value.remedy


def test_only_running_services_that_say_how_are_saved(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    services: dict[str, Any] = {"db": {}, "web": {}, "old": {}}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    compose = Compose(Commands(), Machine(tmp_path), print)
    assert dump.dumps(compose, Release(tmp_path)) == {"db": ("app-db-1", "printf dumped")}


def test_layers_of_an_image_with_many_are_all_known(tmp_path: Path) -> None:
    layers = [f"sha256:{number:064}" for number in range(100)]
    docker = tmp_path / "bin/docker"
    docker.write_text(
        f"#!/bin/sh\ncase $2 in ls) echo 1 ;; *) echo '{json.dumps(layers)}' ;; esac\n"
    )
    assert Compose(Commands(), Machine(tmp_path), print).layers() == set(layers)


def test_a_followed_log_arrives_without_secrets_and_ends_with_its_listener() -> None:
    messages: list[Mapping[str, object]] = []
    script = "import time; print('token hush-hush', flush=True); time.sleep(60)"
    started = time.monotonic()
    ended = logs.follow(
        [sys.executable, "-c", script],
        {},
        Blot(["hush-hush"]),
        messages.append,
        is_gone=lambda: bool(messages),
        sleep=lambda _: time.sleep(0.02),
    )
    assert not ended
    assert messages == [{"log": "token ***"}]
    assert time.monotonic() - started < 20


def test_a_quiet_log_says_now_and_then_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BEAT_SECONDS", 0)
    messages: list[Mapping[str, object]] = []
    logs.follow(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        {},
        Blot([]),
        messages.append,
        is_gone=lambda: len(messages) >= 3,
        sleep=lambda _: time.sleep(0.01),
    )
    assert len(messages) == 3
    assert all("beat" in each for each in messages)
