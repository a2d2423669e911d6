"""The plugin that is built, the SDK that is pinned and the program agree on names."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pulumi_command.local
import pulumi_github
import pulumi_hcloud
import pytest

from tests.unit.toolchain_calls import Call, calls
from toolchain import generate
from toolchain.versions import plugin_versions

PROJECT = Path(__file__).parents[2]
SDKS = {"hcloud": pulumi_hcloud, "github": pulumi_github}
SCHEMAS: dict[str, dict[str, Any]] = {
    name: json.loads((plugin.folder / "schema.json").read_text())
    for name, plugin in generate.PLUGINS.items()
}
PROGRAM_CALLS = [
    call for part in ("components", "planning", "__main__.py") for call in calls(PROJECT / part)
]

#: What the pinned SDK has and the provider it can be built from does not.
NOT_IN_OUR_PLUGIN = {"LoadBalancer": {"ipv4Id", "ipv6Id"}}

RESOURCES: dict[tuple[str, str], type[pulumi.CustomResource]] = {
    (package, name): found
    for package, sdk in SDKS.items()
    for name, found in vars(sdk).items()
    if inspect.isclass(found) and issubclass(found, pulumi.CustomResource)
}


def camel(name: str) -> str:
    """Return a Python property name as the engine knows it."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def sdk_inputs(resource: type[pulumi.CustomResource]) -> set[str]:
    """Return the names of a resource class's inputs, as Python spells them."""
    parameters = inspect.signature(resource._internal_init).parameters  # type: ignore[attr-defined]
    return {name for name in parameters if not name.startswith("_")} - {"resource_name", "opts"}


@pytest.mark.parametrize("plugin", generate.PLUGINS.values(), ids=lambda plugin: plugin.name)
def test_the_committed_schema_was_made_from_the_present_inputs(plugin: generate.Bridged) -> None:
    assert plugin.record.read_text().strip() == plugin.inputs_digest(), (
        "the provider, the bridge or the generator changed: python3 -m toolchain.generate"
    )


@pytest.mark.parametrize(
    ("plugin", "source"),
    [
        ("hcloud", "hcloud/provider.go"),
        ("github", "github/provider.go"),
        ("command", "cmd/pulumi-resource-command/main.go"),
    ],
)
def test_a_plugin_has_the_version_of_the_pinned_sdk(plugin: str, source: str) -> None:
    pinned = plugin_versions(PROJECT / "requirements.txt")[plugin]
    written = re.search(
        r'^const version = "(.*)"$', (PROJECT / "toolchain" / source).read_text(), re.I | re.M
    )
    assert written is not None
    assert written[1] == pinned


@pytest.mark.parametrize(("package", "name"), RESOURCES)
def test_the_plugin_has_every_resource_and_input_of_the_sdk(package: str, name: str) -> None:
    resource = RESOURCES[package, name]
    described = description(package, resource)
    inputs = {camel(property_name) for property_name in sdk_inputs(resource)}
    assert inputs - NOT_IN_OUR_PLUGIN.get(name, set()) == set(described["inputProperties"])


@pytest.mark.parametrize(("package", "name"), RESOURCES)
def test_an_input_is_a_list_for_the_plugin_where_it_is_one_for_the_sdk(
    package: str, name: str
) -> None:
    described = description(package, RESOURCES[package, name])["inputProperties"]
    parameters = inspect.signature(RESOURCES[package, name]._internal_init).parameters  # type: ignore[attr-defined]
    for property_name in sdk_inputs(RESOURCES[package, name]):
        if camel(property_name) in described:
            kind = re.sub(r"typing\.Union\[", "", str(parameters[property_name].annotation))
            is_list = described[camel(property_name)].get("type") == "array"
            assert is_list == kind.startswith("typing.Sequence["), property_name


def test_the_program_uses_resources_of_the_provider() -> None:
    assert {call.name for call in PROGRAM_CALLS} >= {"Server", "Command"}, "nothing was found"


@pytest.mark.parametrize("call", PROGRAM_CALLS, ids=str)
def test_every_property_the_program_sets_exists_in_the_sdk_and_the_plugin(call: Call) -> None:
    if call.module == "pulumi_command.local":
        assert call.keywords <= sdk_inputs(getattr(pulumi_command.local, call.name))
        return
    package = call.module.removeprefix("pulumi_")
    found = vars(SDKS[package])[call.name]
    if (package, call.name) not in RESOURCES:  # an argument class such as FirewallRuleArgs
        assert call.keywords <= set(inspect.signature(found.__init__).parameters)
        return
    assert call.keywords <= sdk_inputs(found)
    described = description(package, found)["inputProperties"]
    assert {camel(keyword) for keyword in call.keywords} <= set(described)
    for keyword, keys in call.nested.items():
        assert {camel(key) for key in keys} <= nested_properties(package, described[camel(keyword)])


def description(package: str, resource: type[pulumi.CustomResource]) -> dict[str, Any]:
    """Return what the plugin's schema says of a resource, or of the provider itself."""
    schema = SCHEMAS[package]
    if resource.__name__ == "Provider":
        return dict(schema["provider"])
    return dict(schema["resources"][resource.pulumi_type])  # type: ignore[attr-defined]


def nested_properties(package: str, described: dict[str, Any]) -> set[str]:
    """Return the property names of an object, or of the objects in a list."""
    reference = described.get("items", described)["$ref"]
    return set(SCHEMAS[package]["types"][reference.removeprefix("#/types/")]["properties"])
