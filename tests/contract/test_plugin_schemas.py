"""The plugins that are installed know every property the program sets, by their own word."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Engine
from tests.unit.toolchain_calls import Call, calls
from toolchain.install import Installation

pytestmark = pytest.mark.toolchain

ROOT = Path(__file__).parents[2]
PROGRAM_CALLS = [
    call for part in ("components", "planning", "__main__.py") for call in calls(ROOT / part)
]


def package(call: Call) -> str:
    """The plugin that a call is for."""
    return call.module.split(".")[0].removeprefix("pulumi_")


def camel(name: str) -> str:
    """A Python property name as the engine knows it."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


@cache
def schema(name: str) -> dict[str, Any]:
    """What an installed plugin answers when it is asked for its schema."""
    installation = Installation()
    program = installation.plugin_directory(name) / f"pulumi-resource-{name}"
    done = Engine(ROOT, installation.home).call("package", "get-schema", str(program))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def described(call: Call) -> dict[str, Any]:
    """Properties of a resource, of the provider, or of an object such as FirewallRuleArgs."""
    whole = schema(package(call))
    if call.name == "Provider":
        return dict(whole["provider"]["inputProperties"])
    made = getattr(importlib.import_module(call.module), call.name)
    if hasattr(made, "pulumi_type"):
        return dict(whole["resources"][made.pulumi_type]["inputProperties"])
    kind = f":{call.name.removesuffix('Args')}"
    found = next(each for name, each in whole["types"].items() if name.endswith(kind))
    return dict(found["properties"])


def nested(call: Call, keyword: str) -> set[str]:
    """Properties of an object, or of the objects in a list, that a property of a call takes."""
    of = described(call)[camel(keyword)]
    reference = str(of.get("items", of)["$ref"]).removeprefix("#/types/")
    return set(schema(package(call))["types"][reference]["properties"])


def test_the_program_asks_all_three_plugins_for_resources() -> None:
    assert {package(call) for call in PROGRAM_CALLS} == {"command", "github", "hcloud"}


@pytest.mark.parametrize("call", PROGRAM_CALLS, ids=str)
def test_every_property_the_program_sets_is_known_to_the_installed_plugin(call: Call) -> None:
    assert {camel(keyword) for keyword in call.keywords} <= set(described(call))
    for keyword, keys in call.nested.items():
        assert {camel(key) for key in keys} <= nested(call, keyword)
