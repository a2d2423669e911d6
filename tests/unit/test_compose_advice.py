"""Warnings about Compose files that can be deployed: each where it is due, and not elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from components import bundle, compose

ROOT = Path(__file__).parents[2]
WEB: dict[str, Any] = {
    "image": "${IMAGES}/web:${VERSION}",
    "labels": {"deployment-flow.http": "80", "deployment-flow.health": "/up"},
}
OWN = "${IMAGES}/web:${VERSION}"
SINGLE = "deployment-flow.single"


def advice(volumes: dict[str, Any] | None = None, **services: Any) -> list[str]:
    definition = {"services": {"web": WEB, **services}, "volumes": volumes or {}}
    assert bundle.check(definition) == []
    return bundle.advice(definition)


def test_the_example_needs_no_advice() -> None:
    assert bundle.advice(bundle.load((ROOT / "example/compose.yaml").read_text())) == []


@pytest.mark.parametrize(
    ("label", "times"), [(None, 1), ("true", 0), ("false", 0)], ids=["unsaid", "kept", "let go"]
)
def test_a_volume_of_which_nothing_is_said_is_warned_about_once(
    label: str | None, times: int
) -> None:
    volume = {"labels": {"deployment-flow.data": label}} if label else None
    app = {"image": "x:1", "volumes": ["uploads:/up"]}
    found = advice({"uploads": volume}, app=app, other=app)
    assert len(found) == times
    assert all("volumes.uploads: lives on the server's own disk" in each for each in found)


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"image": "redis"}, "whatever is newest"),
        ({"image": "registry:5000/x/redis"}, "whatever is newest"),
        ({"image": "redis:latest"}, "whatever is newest"),
        ({"image": "nextcloud:apache"}, "whatever is newest"),
        ({"image": "redis:7-alpine"}, None),
        ({"image": f"redis@sha256:{'0' * 64}"}, None),
        ({"image": "redis:${REDIS_TAG:-seven}"}, None),
        ({"image": "postgres:17"}, "keeps its data in no named volume"),
        ({"image": "bitnami/mongo:7", "volumes": ["/data"]}, "keeps its data in no named volume"),
        ({"image": OWN, "command": "celery -A x beat"}, "looks like a scheduler (beat)"),
        ({"image": OWN, "command": ["php", "artisan", "schedule:work"]}, "(schedule:work)"),
        ({"image": OWN, "command": "x beat", "labels": {SINGLE: "true"}}, None),
        ({"image": OWN, "command": "x beat", "labels": {SINGLE: "false"}}, None),
        ({"image": OWN, "command": "celery -A x worker"}, None),
        ({"image": OWN, "command": "heartbeats"}, None),
        ({"image": "mcuadros/ofelia:0.3"}, None),
        ({"image": OWN, "command": "sh -c 'rails db:prepare && rails s'"}, "runs `db:prepare`"),
        ({"image": OWN, "entrypoint": ["python", "manage.py", "migrate"]}, "manage.py migrate"),
        (
            {"image": OWN, "command": "x db:migrate", "labels": {"deployment-flow.job": "true"}},
            None,
        ),
        (
            {"image": OWN, "labels": {"deployment-flow.http": "1", "deployment-flow.path": "/x"}},
            "nothing here tells whether it is well",
        ),
        (
            {"image": OWN, "labels": {"deployment-flow.http": "1", "deployment-flow.path": "/x"},
             "healthcheck": {"test": "true"}},
            None,
        ),
    ],
)  # fmt: skip
def test_a_service_that_may_not_do_what_is_meant_is_warned_about(
    service: dict[str, Any], said: str | None
) -> None:
    found = advice(other=service)
    assert len(found) == (said is not None), found
    assert all(str(said) in each and each.startswith("services.other") for each in found)


PROXY: dict[str, Any] = {
    "image": "nginx:1.27",
    "labels": {
        "deployment-flow.http": "80",
        "deployment-flow.path": "/p/*",
        "deployment-flow.health": "/p/up",
    },
}


def test_a_web_server_that_waits_for_the_application_changes_with_it() -> None:
    proxy = {**PROXY, "depends_on": ["web"]}
    definition = {"services": {"web": WEB, "proxy": proxy}}
    assert compose.doubled(definition) == ["proxy", "web"]
    assert advice(proxy=proxy) == []


def test_what_waits_for_a_database_alone_runs_once() -> None:
    proxy = {**PROXY, "depends_on": ["db"]}
    db = {"image": "postgres:17", "volumes": ["db:/d"]}
    assert compose.doubled({"services": {"web": WEB, "proxy": proxy, "db": db}}) == ["web"]


def test_what_waits_for_the_application_and_is_not_public_runs_once() -> None:
    tail = {"image": "vector:1", "depends_on": ["web"]}
    assert compose.doubled({"services": {"web": WEB, "tail": tail}}) == ["web"]


@pytest.mark.parametrize(
    "more",
    [
        {"volumes": ["static:/s"]},
        {"labels": {**PROXY["labels"], SINGLE: "true"}},
    ],
    ids=["volume", "label"],
)
def test_a_web_server_that_stays_while_the_application_moves_is_warned_about(
    more: dict[str, Any],
) -> None:
    static = {"static": {"labels": {"deployment-flow.data": "false"}}}
    found = advice(static, proxy={**PROXY, "depends_on": ["web"], **more})
    assert len(found) == 1
    assert "services.proxy: goes on while web is replaced" in found[0]


@pytest.mark.parametrize(
    ("content", "times"),
    [
        ("proxy_pass http://web:3000;", 1),
        ("proxy_pass http://web;", 1),
        ("fastcgi_pass web:9000;", 1),
        ("proxy_pass http://web.example.org;", 0),
        ("proxy_pass http://my-web:80;", 0),
    ],
)
def test_a_web_server_that_names_the_application_has_to_wait_for_it(
    content: str, times: int
) -> None:
    definition = {
        "services": {"web": WEB, "proxy": {**PROXY, "configs": ["site"]}},
        "configs": {"site": {"content": content}},
    }
    found = bundle.advice(definition)
    assert len(found) == times
    assert all("services.proxy.depends_on: web is not in it" in each for each in found)
