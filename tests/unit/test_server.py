"""A host: what a server is made of and with which options, and a machine that exists."""

from typing import Any

import pulumi
import pytest

from components.firewall import firewall_rules
from components.server import (
    FIRST_BOOT_PROPERTIES,
    Server,
    ServerArgs,
    first_address,
    known_hosts_line,
)
from tests.unit.conftest import Engine, run

ARGS: ServerArgs = {
    "resource_name": "deployment-flow-staging",
    "labels": {"managed-by": "deployment-flow", "stack": "staging"},
    "server_type": "cx23",
    "image": "debian-13",
    "location": "fsn1",
    "volume_size": 10,
    "ssh_from": [],
    "keeps_first_boot": True,
    "protects_data": True,
    "protects_server": False,
    "protects_data_at_hetzner": False,
    "clean_shutdown": True,
}
GIVEN: dict[str, Any] = {
    "address": "198.51.100.7",
    "port": 2222,
    "user": "debian",
    "host_key": "ssh-ed25519 AAAAHOST someone@there",
    "key": "PRIVATE",
}


def made(engine: Engine, **changes: Any) -> Engine:
    def program() -> None:
        server = Server("staging", {**ARGS, **changes})  # type: ignore[typeddict-item]
        for name in ("ipv4", "ipv6", "known_hosts", "volume_device", "machine"):
            pulumi.export(name, getattr(server, name))
        pulumi.export("maintenance", server.maintenance)
        pulumi.export("deploy", server.deploy)
        pulumi.export("deploy_key", server.deploy_key)

    return run(engine, "staging", program)


def test_a_made_server_has_its_own_addresses_volume_and_firewall(engine: Engine) -> None:
    made(engine)
    server = engine.one("Server", "staging-server").inputs
    assert server["name"] == "deployment-flow-staging"
    assert server["serverType"] == "cx23"
    addresses = engine.of_type("PrimaryIp")
    assert [each.inputs["type"] for each in addresses] == ["ipv4", "ipv6"]
    assert all(each.inputs["autoDelete"] is False for each in addresses)
    assert engine.one("Volume").inputs["format"] == "ext4"
    assert engine.outputs["ipv4"] == "203.0.113.10"
    assert engine.outputs["ipv6"] == "2001:db8:1:1::1"
    assert engine.outputs["volume_device"].startswith("/dev/disk/by-id/")


def test_everything_at_hetzner_carries_the_labels(engine: Engine) -> None:
    made(engine)
    unlabelled = {"VolumeAttachment"}
    for each in engine.registered:
        if each.type.startswith("hcloud:") and each.type.rpartition(":")[2] not in unlabelled:
            assert each.inputs["labels"] == ARGS["labels"], each.name


def test_children_belong_to_the_component_and_leak_no_options(engine: Engine) -> None:
    made(engine)
    component = engine.one("Server", "staging")
    assert component.custom is False
    for each in engine.registered:
        if each is not component:
            assert each.parent.endswith("deployment-flow:index:Server::staging"), each.name
            assert each.name.startswith("staging-"), each.name
            assert each.aliases == (), each.name


def test_what_holds_data_is_protected_and_the_server_is_not(engine: Engine) -> None:
    made(engine)
    protected = {each.name for each in engine.registered if each.protect}
    assert protected == {"staging-ipv4", "staging-ipv6", "staging-volume"}


def test_production_is_protected_at_hetzner_too(engine: Engine) -> None:
    made(engine, protects_server=True, protects_data_at_hetzner=True)
    server = engine.one("Server", "staging-server")
    assert server.protect is True
    assert server.inputs["deleteProtection"] is True
    assert server.inputs["rebuildProtection"] is True
    assert engine.one("Volume").inputs["deleteProtection"] is True
    assert all(each.inputs["deleteProtection"] for each in engine.of_type("PrimaryIp"))


def test_a_changed_first_boot_does_not_replace_a_server(engine: Engine) -> None:
    made(engine)
    assert engine.one("Server", "staging-server").ignore_changes == tuple(FIRST_BOOT_PROPERTIES)
    assert {"userData", "sshKeys", "image"} <= set(FIRST_BOOT_PROPERTIES)


def test_a_confirmed_replacement_takes_the_new_first_boot(engine: Engine) -> None:
    made(engine, keeps_first_boot=False)
    assert engine.one("Server", "staging-server").ignore_changes == ()


def test_a_volume_goes_with_its_server_not_before_it(engine: Engine) -> None:
    made(engine)
    server = engine.one("Server", "staging-server")
    attachment = engine.one("VolumeAttachment")
    assert attachment.deleted_with.endswith("::staging-server")
    assert any(urn.endswith("::staging-volume") for urn in server.depends_on)
    assert attachment.inputs["automount"] is False


def test_without_a_volume_there_is_no_device(engine: Engine) -> None:
    made(engine, volume_size=0)
    assert engine.of_type("Volume") == []
    assert engine.of_type("VolumeAttachment") == []
    assert engine.outputs.get("volume_device") is None


def test_keys_are_made_once_kept_secret_and_never_offered_again(engine: Engine) -> None:
    made(engine)
    stashes = engine.of_type("Stash")
    assert {each.name for each in stashes} == {
        "staging-deploy-key",
        "staging-host-key",
        "staging-maintenance-key",
    }
    for each in stashes:
        assert each.ignore_changes == ("input",)
        assert each.secret_inputs == {"input"}
    assert "deploy_key" in engine.secret_outputs


def test_the_host_key_is_pinned_and_goes_into_user_data_as_a_secret(engine: Engine) -> None:
    made(engine)
    host_key = engine.one("Stash", "staging-host-key").inputs["input"]
    server = engine.one("Server", "staging-server")
    assert host_key["public"] in server.inputs["userData"]
    assert "userData" in server.secret_inputs
    pinned = " ".join(host_key["public"].split()[:2])
    assert engine.outputs["known_hosts"] == f"203.0.113.10 {pinned}\n"


def test_no_other_private_key_is_in_user_data(engine: Engine) -> None:
    made(engine)
    text = engine.one("Server", "staging-server").inputs["userData"]
    for name in ("staging-deploy-key", "staging-maintenance-key"):
        private = engine.one("Stash", name).inputs["input"]["private"]
        assert private.splitlines()[3] not in text


def test_hetzner_gets_a_key_so_that_it_sets_no_password_that_expires(engine: Engine) -> None:
    made(engine)
    key = engine.one("SshKey")
    maintenance = engine.one("Stash", "staging-maintenance-key").inputs["input"]
    assert key.inputs["publicKey"] == maintenance["public"]
    assert len(engine.one("Server", "staging-server").inputs["sshKeys"]) == 1


def test_two_logins_root_for_the_software_and_flow_for_releases(engine: Engine) -> None:
    made(engine)
    assert engine.outputs["maintenance"]["user"] == "root"
    assert engine.outputs["deploy"]["user"] == "flow"
    assert engine.outputs["maintenance"]["key"] != engine.outputs["deploy"]["key"]
    assert {"maintenance", "deploy"} <= engine.secret_outputs


def test_a_lost_server_is_adopted_by_its_id(engine: Engine) -> None:
    made(engine, adopt_server="42", adopt_attachment="43")
    assert engine.one("Server", "staging-server").import_id == "42"
    assert engine.one("VolumeAttachment").import_id == "43"


def test_a_given_machine_makes_nothing_at_hetzner(engine: Engine) -> None:
    made(engine, given_host=GIVEN)
    assert [each for each in engine.registered if each.type.startswith("hcloud:")] == []
    assert engine.outputs["ipv4"] == "198.51.100.7"
    assert engine.outputs["machine"] == "198.51.100.7"
    assert engine.outputs["maintenance"]["user"] == "debian"
    assert engine.outputs["known_hosts"] == "[198.51.100.7]:2222 ssh-ed25519 AAAAHOST\n"


def test_the_firewall_opens_ssh_web_and_ping_only() -> None:
    rules = firewall_rules([])
    opened = [(each["protocol"], each.get("port")) for each in rules]
    assert opened == [
        ("tcp", "22"),
        ("tcp", "80"),
        ("tcp", "443"),
        ("udp", "443"),
        ("icmp", None),
    ]
    assert all(each["direction"] == "in" for each in rules)


def test_ssh_can_be_kept_to_some_networks() -> None:
    rules = firewall_rules(["198.51.100.0/24"])
    assert rules[0]["source_ips"] == ["198.51.100.0/24"]
    assert rules[1]["source_ips"] == ["0.0.0.0/0", "::/0"]


@pytest.mark.parametrize(
    ("port", "line"),
    [(22, "192.0.2.1 ssh-ed25519 AAAA\n"), (2222, "[192.0.2.1]:2222 ssh-ed25519 AAAA\n")],
)
def test_known_hosts_lines_name_the_port_where_it_is_not_22(port: int, line: str) -> None:
    assert known_hosts_line("192.0.2.1", port, "ssh-ed25519 AAAA comment") == line


def test_a_server_takes_the_first_address_of_its_network() -> None:
    assert first_address("2001:db8:1:2::/64") == "2001:db8:1:2::1"
