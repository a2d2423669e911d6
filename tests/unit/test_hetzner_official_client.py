"""The official Python client drives every endpoint there is, those that write included.

Each answer is compared with the API's description as it is given. An endpoint counts as driven
once it answered a request of the client with 2xx; a new one that nothing here drives fails the
test, and so does one of the lists below that says too much.
"""

from typing import Any

import pytest
from hcloud import APIException
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.isos import Iso
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import LoadBalancerAlgorithm
from hcloud.networks import Network
from hcloud.server_types import ServerType
from hcloud.zones import ZonePrimaryNameserver, ZoneRecord

from sandbox.hetzner import catalogue
from sandbox.hetzner.resources import actions, elsewhere
from sandbox.hetzner.routing import collect
from tests.unit.hetzner_cloud import FSN1, KEY, Cloud
from tests.unit.hetzner_cloud import cloud as cloud

# What the client has no method for goes through its `request`; why it has none.
WITHOUT_METHOD = {
    "/pricing": "the client knows no prices",
    "/actions": "its method asks for all actions, which Hetzner no longer answers",
    **dict.fromkeys(
        (f"/{kind}/{{id}}/actions/{{action_id}}" for kind in actions.KINDS),
        "the client asks for an action by its number alone",
    ),
}
# A system image is nobody's to change, and the sandbox has no other.
NOT_ALLOWED = {
    ("PUT", "/images/{id}"),
    ("DELETE", "/images/{id}"),
    ("POST", "/images/{id}/actions/change_protection"),
}
# What the sandbox does not have yet is refused: asking for one finds none, making one says so.
NOT_THERE = {
    # Nor has Hetzner these any more.
    *(("GET", f"/datacenters{rest}") for rest in ("", "/{id}")),
    *(("GET", f"/{kind}/{{id}}") for kind in (*elsewhere.MADE, *elsewhere.GIVEN)),
    *(("POST", f"/{kind}") for kind in elsewhere.MADE),
    *(("POST", f"/servers/{{id}}/actions/{name}") for name in elsewhere.SERVER_ACTIONS),
    # Only snapshots and backups have actions.
    ("GET", "/images/actions/{action_id}"),
    ("GET", "/images/{id}/actions/{action_id}"),
}
ERRORS = {"deprecated_api_endpoint", "forbidden", "not_found", "unsupported_error"}

pytestmark = pytest.mark.filterwarnings(
    "ignore:The datacenters client is deprecated:DeprecationWarning"
)


def fails(call: Any, *args: Any, **kwargs: Any) -> None:
    """The call is refused with one of the errors an endpoint of the lists above may answer."""
    with pytest.raises(APIException) as caught:
        call(*args, **kwargs)
    assert caught.value.code in ERRORS, caught.value


def by_path(client: Any, template: str, params: Any = None, **numbers: int) -> Any:
    """Ask for a path the client has no method for."""
    assert template in WITHOUT_METHOD
    return client.request("GET", template.format(**numbers), params=params)


def drive_given(client: Any) -> None:
    """What Hetzner gives, and nobody changes."""
    for of in (client.locations, client.server_types, client.images):
        of.get_by_id(of.get_all()[0].id)
    fails(client.datacenters.get_all)
    fails(client.datacenters.get_by_id, 4)
    by_path(client, "/pricing")
    image = client.images.get_by_name_and_architecture("debian-13", "x86")
    fails(image.update, description="ours")
    fails(image.change_protection, delete=True)
    fails(image.delete)
    assert client.images.actions.get_all() == image.get_actions() == []
    fails(client.images.actions.get_by_id, 1)
    fails(by_path, client, "/images/{id}/actions/{action_id}", id=image.id, action_id=1)


def drive_missing(client: Any, server: Any) -> None:
    """What the sandbox lacks: lists are empty, the rest is refused."""
    for kind in (*elsewhere.MADE, *elsewhere.GIVEN):
        assert getattr(client, kind).get_all() == []
        fails(getattr(client, kind).get_by_id, 1)
    fails(client.networks.create, name="n", ip_range="10.0.0.0/16")
    fails(client.floating_ips.create, type="ipv4", home_location=FSN1)
    fails(client.certificates.create_managed, name="c", domain_names=["example.test"])
    fails(
        client.load_balancers.create,
        name="l",
        load_balancer_type=LoadBalancerType(name="lb11"),
        algorithm=LoadBalancerAlgorithm(type="round_robin"),
        location=FSN1,
    )
    network, iso = Network(id=1), Iso(name="x")
    fails(server.attach_iso, iso)
    fails(server.detach_iso)
    fails(server.attach_to_network, network)
    fails(server.change_alias_ips, network, [])
    fails(server.detach_from_network, network)
    fails(server.enable_backup)
    fails(server.disable_backup)
    fails(server.enable_rescue, type="linux64")
    fails(server.disable_rescue)
    fails(server.create_image)
    fails(server.request_console)
    fails(server.reset_password)


def drive_keys_and_groups(client: Any, server: Any) -> None:
    """SSH keys, and placement groups with a server that is off."""
    key = client.ssh_keys.create(name="me", public_key=KEY)
    assert client.ssh_keys.get_all() == [client.ssh_keys.get_by_id(key.id)]
    assert key.update(name="mine", labels={"a": "b"}).name == "mine"
    assert key.delete()
    group = client.placement_groups.create(name="group", type="spread").placement_group
    assert group.update(name="apart", labels={"a": "b"}).name == "apart"
    server.add_to_placement_group(group).wait_until_finished()
    assert client.placement_groups.get_by_id(group.id).servers == [server.id]
    server.remove_from_placement_group().wait_until_finished()
    assert group.delete()
    assert client.placement_groups.get_all() == []


def drive_power(client: Any, server: Any) -> None:
    """A running server's power, and its type and disk."""
    for switch in (server.power_on, server.reboot, server.reset, server.shutdown, server.power_on):
        switch().wait_until_finished()
    server.power_off().wait_until_finished()
    assert client.servers.get_by_id(server.id).status == "off"
    server.change_type(ServerType(name="cx33"), upgrade_disk=False).wait_until_finished()
    server.rebuild(Image(name="debian-12")).action.wait_until_finished()
    now = client.servers.get_by_id(server.id)
    assert (now.server_type.name, now.image.name) == ("cx33", "debian-12")


def drive_server(client: Any, server: Any) -> None:
    """The rest of what can be asked of a server."""
    assert server.update(name="www", labels={"a": "b"}).name == "www"
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    server.change_dns_ptr(server.public_net.ipv4.ip, "www.example.test").wait_until_finished()
    assert client.servers.get_all()[0].public_net.ipv4.dns_ptr == "www.example.test"
    begin, end = "2031-01-01T00:00:00Z", "2031-01-02T00:00:00Z"
    assert server.get_metrics("cpu", begin, end).metrics.time_series == {}


def drive_addresses(client: Any, server: Any) -> None:
    """An address that is made, moved and given back; the server is off."""
    made = client.primary_ips.create(type="ipv4", name="spare", location=FSN1).primary_ip
    own = client.primary_ips.get_by_id(server.public_net.primary_ipv4.id)
    own.update(auto_delete=False, name="own", labels={"a": "b"})
    own.unassign().wait_until_finished()
    made.assign(server.id, "server").wait_until_finished()
    made.change_dns_ptr(made.ip, "spare.example.test").wait_until_finished()
    made.change_protection(delete=True).wait_until_finished()
    made.change_protection(delete=False).wait_until_finished()
    assert client.servers.get_by_id(server.id).public_net.ipv4.ip == made.ip
    made.unassign().wait_until_finished()
    own.assign(server.id, "server").wait_until_finished()
    assert made.delete()
    assert made.id not in [each.id for each in client.primary_ips.get_all()]


def drive_volumes(client: Any, server: Any) -> None:
    """A volume from its making to its end."""
    volume = client.volumes.create(10, "data", location=FSN1, format="ext4").volume
    client.actions.get_by_id(volume.attach(server, automount=False).id).wait_until_finished()
    assert client.volumes.get_by_id(volume.id).server.id == server.id
    volume.resize(20).wait_until_finished()
    volume.change_protection(delete=True).wait_until_finished()
    volume.change_protection(delete=False).wait_until_finished()
    assert volume.update(name="kept", labels={"a": "b"}).size == 20
    volume.detach().wait_until_finished()
    drive_actions(client, "volumes", volume)
    assert volume.delete()
    assert client.volumes.get_all() == []


def drive_firewalls(client: Any, server: Any) -> None:
    """A firewall, its rules, and a server it holds for."""
    rule = FirewallRule("in", "tcp", ["0.0.0.0/0"], port="443")
    firewall = client.firewalls.create(name="wall").firewall
    on = [FirewallResource(type=FirewallResource.TYPE_SERVER, server=server)]
    changes = [
        *firewall.set_rules([rule]),
        *firewall.apply_to_resources(on),
        *firewall.remove_from_resources(on),
    ]
    for action in changes:
        action.wait_until_finished()
    assert firewall.update(name="gate", labels={"a": "b"}).name == "gate"
    assert client.firewalls.get_by_id(firewall.id).rules[0].port == "443"
    drive_actions(client, "firewalls", firewall)
    assert firewall.delete()
    assert client.firewalls.get_all() == []


def drive_zones(client: Any) -> None:
    """A zone with its own settings and its file, and one that is fetched from elsewhere."""
    zone = client.zones.create(name="example.test", mode="primary").zone
    assert zone.update(labels={"a": "b"}).labels == {"a": "b"}
    zone.change_ttl(600).wait_until_finished()
    zone.change_protection(delete=True).wait_until_finished()
    zone.change_protection(delete=False).wait_until_finished()
    zone.import_zonefile("text 300 IN TXT hello\n").wait_until_finished()
    assert "hello" in zone.export_zonefile().zonefile
    drive_record_sets(client, zone)
    drive_actions(client, "zones", zone)
    other = client.zones.create(
        name="other.test", mode="secondary", primary_nameservers=[_nameserver(1)]
    ).zone
    other.change_primary_nameservers([_nameserver(2)]).wait_until_finished()
    assert client.zones.get(other.name).primary_nameservers[0].address == "203.0.113.2"
    for each in client.zones.get_all():
        each.delete().action.wait_until_finished()


def _nameserver(number: int) -> ZonePrimaryNameserver:
    return ZonePrimaryNameserver(address=f"203.0.113.{number}", port=53)


def drive_record_sets(client: Any, zone: Any) -> None:
    """A record set and its records."""
    first, second = ZoneRecord("203.0.113.1"), ZoneRecord("203.0.113.2")
    rrset = zone.create_rrset(name="www", type="A", records=[first]).rrset
    assert rrset.update_rrset(labels={"a": "b"}).labels == {"a": "b"}
    commented = ZoneRecord(first.value, comment="ours")
    for action in (
        rrset.add_rrset_records([second]),
        rrset.update_rrset_records([commented]),
        rrset.change_rrset_ttl(60),
        rrset.remove_rrset_records([second]),
        rrset.set_rrset_records([commented]),
        rrset.change_rrset_protection(change=True),
        rrset.change_rrset_protection(change=False),
    ):
        action.wait_until_finished()
    found = zone.get_rrset("www", "A")
    assert (found.ttl, [each.comment for each in found.records]) == (60, ["ours"])
    assert "www" in [each.name for each in zone.get_rrset_all()]
    rrset.delete_rrset().action.wait_until_finished()


def drive_actions(client: Any, kind: str, thing: Any) -> None:
    """The actions of a kind of thing and of one thing."""
    of = getattr(client, kind)
    number = thing.get_actions()[-1].id
    assert number in [each.id for each in of.actions.get_all()]
    assert of.actions.get_by_id(number).id == number
    one = by_path(client, f"/{kind}/{{id}}/actions/{{action_id}}", id=thing.id, action_id=number)
    assert one["action"]["id"] == number
    several = by_path(client, "/actions", {"id": [number]})
    assert [each["id"] for each in several["actions"]] == [number]


def test_the_official_client_drives_every_endpoint(cloud: Cloud) -> None:
    client = cloud.client
    server = cloud.server(start_after_create=False)
    drive_given(client)
    drive_missing(client, server)
    drive_keys_and_groups(client, server)
    drive_addresses(client, server)
    drive_power(client, server)
    drive_server(client, server)
    drive_volumes(client, server)
    drive_firewalls(client, server)
    drive_zones(client)
    drive_actions(client, "servers", server)
    drive_actions(client, "primary_ips", client.primary_ips.get_by_name("own"))
    server.delete().wait_until_finished()

    served = {(endpoint.method, endpoint.path) for endpoint in collect()}
    answered = cloud.app.state.violations.answered
    driven = {(method, path) for method, path, status in answered if status < 300}
    refused = {(method, path) for method, path, status in answered if 400 <= status < 500}
    never = served - driven - NOT_ALLOWED - NOT_THERE
    assert sorted(never) == []
    assert sorted((NOT_ALLOWED | NOT_THERE) - (refused - driven)) == []
    assert cloud.app.state.violations.found == []


def test_what_is_driven_is_told_by_method_and_template(cloud: Cloud) -> None:
    cloud.client.locations.get_by_id(catalogue.locations()[0]["id"])
    fails(cloud.client.servers.get_by_id, 99)
    assert cloud.app.state.violations.answered == {
        ("GET", "/locations/{id}", 200),
        ("GET", "/servers/{id}", 404),
    }
