"""What the last run left behind, out of the engine's answer."""

from typing import Any

from planning import record

STATE: dict[str, Any] = {
    "urn:pulumi:dev::deployment-flow::pulumi:pulumi:Stack::deployment-flow-dev": {
        "type": "pulumi:pulumi:Stack",
        "outputs": {"expires": 1893456000.0, "protected": True, "url": "https://x"},
    },
    "urn:pulumi:dev::deployment-flow::deployment-flow:index:Environment::dev": {
        "type": "deployment-flow:index:Environment",
        "outputs": {"release": {"version": "1.0.0", "ports": [80.0], "ratio": 0.5}},
    },
    "urn:pulumi:dev::deployment-flow::a:b:C$hcloud:index/server:Server::dev-server": {
        "type": "hcloud:index/server:Server",
        "outputs": {"id": "42", "location": "fsn1"},
    },
    "urn:pulumi:dev::deployment-flow::a:b:C$pulumi:index:Stash::dev-deploy-key": {
        "type": "pulumi:index:Stash",
        "outputs": {"output": {"private": "hush"}},
    },
}


def test_a_new_stack_has_an_empty_record() -> None:
    found = record.parse({})
    assert (found.outputs, found.release, found.expires, found.find("Server")) == (
        {},
        None,
        None,
        (),
    )


def test_resources_are_found_by_kind() -> None:
    (server,) = record.parse(STATE).find("Server")
    assert server.name == "dev-server"
    assert server.properties == {"id": "42", "location": "fsn1"}


def test_whole_numbers_come_back_whole() -> None:
    found = record.parse(STATE)
    assert found.release == {"version": "1.0.0", "ports": [80], "ratio": 0.5}
    assert isinstance(found.release["ports"][0], int)
    assert found.expires == 1893456000


def test_the_registrys_login_is_read_and_does_not_show() -> None:
    login = {"server": "r.example", "username": "u", "password": "hush"}
    stage = "urn:pulumi:dev::deployment-flow::deployment-flow:index:Environment::dev"
    outputs = {"release": {"version": "1.0.0"}, "registry": login}
    found = record.parse({stage: {**STATE[stage], "outputs": outputs}})
    assert found.registry == login
    assert "hush" not in repr(found)
    assert record.parse(STATE).registry is None


def test_keys_are_not_read() -> None:
    found = record.parse(STATE)
    assert "hush" not in str(vars(found))
    assert {each.type for each in found.resources} == {"Server"}


def test_a_record_does_not_show_what_is_in_it() -> None:
    assert "1.0.0" not in repr(record.parse(STATE))
