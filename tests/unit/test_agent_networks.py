"""IPv6 in networks that a release asks for: there, not to be had, or too late."""

import json
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent.errors import DeployError
from tests.unit import agent_bench
from tests.unit.agent_bench import PINNED, Bench, request

MADE = "docker network inspect"
POOLS = "DefaultAddressPools"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return agent_bench.make(tmp_path)


def asking(**network: Any) -> dict[str, Any]:
    compose = {
        "services": {"web": {"image": PINNED.format(1)}},
        "networks": {"default": network},
    }
    return request(files={"compose.yaml": json.dumps(compose), "Caddyfile": "# 1\n"})


def pools(*bases: str) -> list[str]:
    return [json.dumps([{"Base": base, "Size": 64} for base in bases])]


def test_a_release_that_asks_for_no_ipv6_is_not_looked_at(bench: Bench) -> None:
    bench.deploy(asking())
    assert not [line for line in bench.commands.ran if MADE in line]


def test_where_docker_has_ipv6_addresses_a_release_that_asks_for_them_is_deployed(
    bench: Bench,
) -> None:
    bench.commands.failing[MADE] = ["No such network"]
    bench.commands.answers[POOLS] = pools("172.17.0.0/16", "fd6b:6c6f:7701::/56")
    assert bench.deploy(asking(enable_ipv6=True))["changed"] is True


@pytest.mark.parametrize("bases", [(), ("172.17.0.0/16",)])
def test_where_docker_has_none_it_is_refused_before_anything_is_pulled(
    bench: Bench, bases: tuple[str, ...]
) -> None:
    bench.commands.failing[MADE] = ["No such network"]
    bench.commands.answers[POOLS] = pools(*bases) if bases else ["null"]
    with pytest.raises(DeployError, match="default asks for IPv6") as refused:
        bench.deploy(asking(enable_ipv6=True))
    assert "flow rebuild" in refused.value.remedy
    assert bench.commands.steps() == []


def test_a_network_that_was_made_without_ipv6_is_told_and_stops_nothing(bench: Bench) -> None:
    bench.commands.answers[MADE] = ["false"]
    assert bench.deploy(asking(enable_ipv6=True))["changed"] is True
    assert [line for line in bench.said if "was made without IPv6" in line and "default" in line]


def test_a_network_that_has_ipv6_is_not_worth_a_word(bench: Bench) -> None:
    bench.commands.answers[MADE] = ["true"]
    bench.deploy(asking(enable_ipv6=True))
    assert not [line for line in bench.said if "IPv6" in line]
