"""Provision and Deployment: what is handed over, and when it is handed over again."""

import json
from typing import Any, cast

import pulumi

from components.deployment import Deployment, DeploymentArgs, Provision, ProvisionArgs
from components.server import Connection
from tests.unit.conftest import Engine, run

CONNECTION = Connection(
    host="203.0.113.10",
    port=22,
    user="root",
    key=pulumi.Output.from_input("PRIVATE"),
    known_hosts="203.0.113.10 ssh-ed25519 AAAA",
)
BUNDLE = {"id": "abc", "version": "1.0.0", "url": "https://app.example.org"}


def stdin_of(engine: Engine, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(engine.one("Command", name).inputs["stdin"])
    return loaded


def provision(**more: Any) -> Provision:
    return Provision(
        "staging",
        {
            "connection": CONNECTION,
            "deploy_public_key": "ssh-ed25519 BBBB",
            "software": "cafe",
            "machine": "42",
            **cast(ProvisionArgs, more),
        },
    )


def deployment(**more: Any) -> Deployment:
    return Deployment(
        "staging",
        {
            "connection": CONNECTION,
            "bundle": BUNDLE,
            "secrets": pulumi.Output.secret({"TOKEN": "s3cret"}),
            "machine": "42",
            **cast(DeploymentArgs, more),
        },
    )


def test_only_of_a_release_that_is_behind_the_agent_is_told_so(engine: Engine) -> None:
    run(engine, "staging", lambda: (deployment(behind=False), None))
    assert "behind" not in stdin_of(engine, "staging-release")


def test_the_command_line_is_the_same_on_every_machine(engine: Engine) -> None:
    run(engine, "staging", lambda: (provision(), deployment()))
    assert {each.inputs["create"] for each in engine.of_type("Command")} == {
        "python3 -m remote.hand_over provision",
        "python3 -m remote.hand_over deploy",
    }


def test_everything_handed_over_is_secret_and_nothing_else_is_said(engine: Engine) -> None:
    run(engine, "staging", lambda: (provision(), deployment()))
    for command in engine.of_type("Command"):
        assert "stdin" in command.secret_inputs
        assert "s3cret" not in json.dumps({**command.inputs, "stdin": ""})
        assert command.inputs["logging"] == "stderr"
        assert command.inputs["addPreviousOutputInEnv"] is False


def test_a_destroy_never_talks_to_the_server(engine: Engine) -> None:
    run(engine, "staging", lambda: (provision(), deployment()))
    for command in engine.of_type("Command"):
        assert "delete" not in command.inputs


def test_another_machine_or_other_software_is_provisioned_anew(engine: Engine) -> None:
    run(engine, "staging", provision)
    assert engine.one("Command").inputs["triggers"] == ["42", "cafe"]


def test_another_machine_gets_the_release_again(engine: Engine) -> None:
    run(engine, "staging", deployment)
    assert engine.one("Command").inputs["triggers"] == ["42"]


def test_a_resized_server_is_asked_for_the_release_again(engine: Engine) -> None:
    other = Engine()
    run(engine, "staging", lambda: deployment(hardware="cx23"))
    run(other, "staging", lambda: deployment(hardware="cx33"))
    assert engine.one("Command").inputs["stdin"] != other.one("Command").inputs["stdin"]
    assert engine.one("Command").inputs["triggers"] == other.one("Command").inputs["triggers"]


def test_on_another_volume_the_release_is_started_anew(engine: Engine) -> None:
    def program() -> None:
        deployment(machine=provision(volume_device="/dev/disk/by-id/v7").machine)

    run(engine, "staging", program)
    triggers = {each.name: each.inputs["triggers"] for each in engine.of_type("Command")}
    assert triggers["staging-release"] == ["42 /dev/disk/by-id/v7"]


def test_booting_may_take_five_minutes_by_default(engine: Engine) -> None:
    run(engine, "staging", provision)
    assert stdin_of(engine, "staging-provision")["boot_deadline"] == 300


def test_the_same_arguments_give_the_same_text(engine: Engine) -> None:
    other = Engine()
    run(engine, "staging", deployment)
    run(other, "staging", lambda: deployment(machine="42"))
    assert engine.one("Command").inputs["stdin"] == other.one("Command").inputs["stdin"]


def test_a_release_comes_with_secrets_credential_and_password(engine: Engine) -> None:
    registry = {"server": "ghcr.io", "username": "u", "password": "p"}
    run(engine, "staging", lambda: deployment(registry=registry, password="open"))
    handed = stdin_of(engine, "staging-release")
    assert handed["secrets"] == {"TOKEN": "s3cret"}
    assert handed["registry"] == registry
    assert handed["auth"] == {"password": "open"}


def test_the_answer_of_the_hand_over_becomes_outputs_that_are_not_secret(engine: Engine) -> None:
    def program() -> None:
        made = deployment(machine=provision().machine)
        for key in ("version", "release", "url", "tls"):
            pulumi.export(key, getattr(made, key))

    run(engine, "staging", program)
    assert engine.outputs == {
        "version": "1.0.0", "release": "abc", "url": "https://app.example.org", "tls": "issued",
    }  # fmt: skip
    assert engine.secret_outputs == set()


def test_commands_belong_to_their_component(engine: Engine) -> None:
    run(engine, "staging", lambda: (provision(), deployment()))
    parents = {each.name: each.parent for each in engine.of_type("Command")}
    assert parents["staging-provision"].endswith("deployment-flow:index:Provision::staging")
    assert parents["staging-release"].endswith("deployment-flow:index:Deployment::staging")
