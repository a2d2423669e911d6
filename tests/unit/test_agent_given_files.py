"""Configs and secrets of a container: where one changes, the container does."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent.given_files import LABEL, marked
from remote.server.agent.slots import SLOTS
from tests.unit import agent_bench
from tests.unit.agent_bench import PINNED, Bench, request

COMPOSE: dict[str, Any] = {
    "services": {
        "web": {
            "image": PINNED.format(1),
            "configs": ["site", {"source": "level", "target": "/level"}],
            "secrets": [{"source": "key"}],
        },
        "db": {"image": PINNED.format(2)},
    },
    "configs": {"site": {"content": "listen ${PORT} $$x"}, "level": {"environment": "LEVEL"}},
    "secrets": {"key": {"environment": "KEY"}},
}
VALUES = {"PORT": "80", "LEVEL": "info", "KEY": "s3cret", "OTHER": "1"}


def label(compose: dict[str, Any] = COMPOSE, values: dict[str, str] = VALUES) -> str:
    made = marked(compose, values, lambda text: sha256(text.encode()).hexdigest())
    assert "labels" not in made["services"]["db"]
    found: str = made["services"]["web"]["labels"][LABEL]
    return found


def test_a_service_without_files_is_as_it_was() -> None:
    made = marked(COMPOSE, VALUES, str)
    assert made["services"]["db"] == COMPOSE["services"]["db"]


@pytest.mark.parametrize("name", ["PORT", "LEVEL", "KEY"])
def test_each_value_that_reaches_a_file_changes_the_label(name: str) -> None:
    assert label(values={**VALUES, name: "another"}) != label()


def test_a_value_that_reaches_no_file_leaves_the_container_alone() -> None:
    assert label(values={**VALUES, "OTHER": "2"}) == label()


def test_another_content_changes_the_label() -> None:
    configs: dict[str, Any] = {**COMPOSE["configs"], "site": {"content": "listen 81"}}
    assert label({**COMPOSE, "configs": configs}) != label()


def test_labels_in_a_list_are_kept() -> None:
    web = {**COMPOSE["services"]["web"], "labels": ["a=b=c"]}
    changed = {**COMPOSE, "services": {**COMPOSE["services"], "web": web}}
    made = marked(changed, VALUES, lambda text: "0" * 64)
    assert made["services"]["web"]["labels"] == {"a": "b=c", LABEL: "0" * 12}


def test_a_rotated_secret_makes_the_container_anew_and_is_not_told(tmp_path: Path) -> None:
    bench: Bench = agent_bench.make(tmp_path)
    files = {"compose.yaml": json.dumps(COMPOSE), "Caddyfile": "# routes\n"}
    labels = []
    for key in ("s3cret-one", "s3cret-two"):
        asked = request(1, files=files)
        asked["secrets"] = {"KEY": key}
        bench.deploy(asked)
        for slot in SLOTS:
            text = (bench.release(asked) / slot / "compose.yaml").read_text()
            assert "s3cret" not in text
            labels.append(json.loads(text)["services"]["web"]["labels"][LABEL])
    assert labels[0] == labels[1] != labels[2] == labels[3]
