"""Which Compose files may be deployed: every refusal, and an answer to anything."""

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import bundle, compose, compose_check
from components.bundle import ComposeError
from remote.server.agent import policy

ROOT = Path(__file__).parents[2]
MINIMAL: dict[str, Any] = {
    "services": {"web": {"image": "app/web:1", "labels": {"deployment-flow.http": "80"}}}
}


def with_service(**extra: Any) -> dict[str, Any]:
    return {"services": {"web": {**MINIMAL["services"]["web"], **extra}}}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"privileged": True}, "services.web.privileged"),
    ({"network_mode": "host"}, "services.web.network_mode"),
    ({"pid": "host"}, "services.web.pid"),
    ({"ipc": "host"}, "services.web.ipc"),
    ({"devices": ["/dev/sda:/dev/sda"]}, "services.web.devices"),
    ({"container_name": "site"}, "services.web.container_name"),
    ({"configs": "site"}, "services.web.configs: is not a list"),
    ({"configs": ["site"], "read_only": True}, "written into a container that is read_only"),
    ({"secrets": ["key"], "read_only": True}, "written into a container that is read_only"),
    ({"configs": [{"source": "site", "mode": "u=r"}]}, "mode 'u=r' is not one like 0440"),
    ({"env_file": [{"path": "prod.env"}]}, "prod.env stays on your machine"),
    ({"extends": {"service": "x"}}, "services.web.extends"),
    ({"cap_add": ["SYS_ADMIN"]}, "SYS_ADMIN"),
    ({"cap_add": ["cap_net_admin"]}, "cap_net_admin"),
    ({"gpus": "all"}, "services.web.gpus: is not supported"),
    ({"security_opt": ["seccomp:unconfined"]}, "seccomp:unconfined"),
    ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "key to the whole server"),
    ({"volumes": ["/etc:/etc:ro"]}, "/etc is a path of the server"),
    ({"volumes": ["./src:/src"]}, "./src is a path of the server"),
    ({"volumes": ["~/x:/x"]}, "~/x is a path of the server"),
    ({"volumes": ["${HOME}:/x"]}, "could make it a path of the server"),
    ({"volumes": ["/etc${C}/mnt"]}, "could make it a path of the server"),
    ({"volumes": [{"type": "bind", "source": "data", "target": "/x"}]}, "is a path of the server"),
    ({"env_file": ["prod.env"]}, "prod.env stays on your machine"),
    ({"image": None}, "services.web.image: is missing"),
    ({"depends_on": ["ghost"]}, "ghost does not run on servers"),
    ({"deploy": {"replicas": 3}}, "takes one container"),
    ({"labels": {"deployment-flow.http": "http"}}, "'http' is not a port"),
    ({"labels": {"deployment-flow.http": "70000"}}, "'70000' is not a port"),
    ({"labels": {"deployment-flow.http": "80", "deployment-flow.path": "api {"}}, "not a path"),
    ({"labels": {"deployment-flow.http": "80", "deployment-flow.health": "x\ny"}}, "not a path"),
    ({"labels": {"deployment-flow.http": 80, "deployment-flow.job": True}}, "a job ends"),
    ({"labels": {"deployment-flow.path": "/"}}, "has no meaning without"),
]


@pytest.mark.parametrize(("extra", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_what_reaches_beyond_its_container_is_refused(extra: dict[str, Any], said: str) -> None:
    mistakes = bundle.check(with_service(**extra))
    assert any(said in mistake for mistake in mistakes), mistakes


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (None, "services: there are none"),
        ({"services": {}}, "none is public"),
        ({"services": {"web": None}}, "services.web: is not a mapping"),
        ({**MINIMAL, "include": ["x"]}, "include"),
        ({**MINIMAL, "volumes": {"v": {"external": True}}}, "volumes.v.external"),
        ({**MINIMAL, "volumes": {"v": {"driver_opts": {"device": "/"}}}}, "volumes.v: drivers"),
        ({**MINIMAL, "networks": {"n": {"ipam": {"config": []}}}}, "networks.n.ipam"),
        ({**MINIMAL, "volumes": {"../x": {}}}, "volumes.../x"),
        ({**MINIMAL, "networks": {"n": {"driver": "macvlan"}}}, "networks.n.driver"),
        ({**MINIMAL, "secrets": {"s": {"file": "s.txt"}}}, "secrets.s.file"),
        ({**MINIMAL, "secrets": {"s": {"content": "x"}}}, "secrets.s.content: is none"),
        ({"services": {"Web App": MINIMAL["services"]["web"]}}, "services.Web App: the name"),
    ],
)
def test_a_file_that_no_server_can_run_is_refused(definition: Any, said: str) -> None:
    assert any(said in mistake for mistake in bundle.check(definition))


@pytest.mark.parametrize(
    "extra",
    [
        {"container_name": "web"},
        {"env_file": [{"path": "./local.env", "required": False}, ".env"]},
        {"depends_on": {"mail": {"condition": "service_started", "required": False}}},
        {"configs": [{"source": "site", "mode": "0440"}]},
    ],
)
def test_what_a_server_can_do_without_is_no_mistake(extra: dict[str, Any]) -> None:
    assert bundle.check(with_service(**extra)) == []


def test_a_service_without_an_image_is_told_the_name_to_write() -> None:
    mistakes = bundle.check(with_service(image=None, build="."))
    assert "name the image your build pushes, as ${IMAGES}/web:${VERSION}" in mistakes[0]


def test_two_services_cannot_serve_one_path() -> None:
    definition = with_service()
    definition["services"]["other"] = dict(MINIMAL["services"]["web"])
    assert any("/ is taken by service web" in each for each in bundle.check(definition))


def test_a_file_that_is_no_yaml_is_a_mistake_and_no_crash() -> None:
    for text in ("a: [", "- a", ""):
        with pytest.raises(ComposeError):
            bundle.load(text)


ANY_YAML = st.recursive(
    st.text(max_size=5) | st.none() | st.booleans() | st.integers(),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
    ),
    max_leaves=5,
)
SERVICE_KEYS = ["image", "labels", "volumes", "depends_on", "cap_add", "deploy", "env_file", "pid"]


@given(st.dictionaries(st.sampled_from(SERVICE_KEYS), ANY_YAML), ANY_YAML)
def test_any_yaml_gets_an_answer_and_no_crash(service: dict[str, Any], value: Any) -> None:
    bundle.check(value)
    bundle.check({"services": {"web": service}, "volumes": value})
    bundle.check({"services": {"web": value}, "networks": {"n": value}})


def test_the_documented_check_names_every_refusal_and_label() -> None:
    text = (ROOT / "docs/compose.md").read_text()
    keys = list(compose_check._REFUSED)
    labels = [compose.HTTP, compose.PATH, compose.HEALTH, compose.JOB, compose.DATA]
    missing = [word for word in itertools.chain(keys, labels) if f"`{word}" not in text]
    assert missing == []
    assert re.search(r"`VERSION`.*`IMAGES`.*`PUBLIC_URL`", text, re.DOTALL)


def test_the_agent_allows_what_the_check_allows_and_nothing_more() -> None:
    assert policy.SERVICE_KEYS == compose_check.SERVICE_KEYS
    assert policy.CAPABILITIES == compose_check.CAPABILITIES
    assert policy.SECURITY_OPTIONS == compose_check.SECURITY_OPTIONS
    for kind, keys in compose_check.SHARED_KEYS.items():
        assert policy._SHARED_KEYS[kind] - {"driver_opts"} == keys
