"""Servers, as the official client sees them and as their hosts are told."""

import pytest
from hcloud import APIException
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.placement_groups import PlacementGroup
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from sandbox.hetzner.machines import note_power
from tests.unit.hetzner_cloud import FSN1, KEY, Cloud, refused
from tests.unit.hetzner_cloud import cloud as cloud


def test_a_server_boots_with_what_it_was_made_of(cloud: Cloud) -> None:
    key = cloud.client.ssh_keys.create(name="me", public_key=KEY)
    server = cloud.server(ssh_keys=[key], user_data="#cloud-config\n", labels={"stack": "dev"})
    assert server.status == "running"
    assert server.public_net.ipv4.ip == "203.0.113.10"
    assert server.public_net.ipv4.dns_ptr == "static.10.113.0.203.clients.your-server.de"
    assert server.public_net.ipv6.ip == "2001:db8:1:1::/64"
    spec = cloud.hosts.specs[server.id]
    assert (spec.name, spec.image, spec.cores, spec.memory_gb) == ("web", "debian-13", 2, 4.0)
    assert (spec.ipv4, spec.ipv6) == ("203.0.113.10", "2001:db8:1:1::1")
    assert (spec.ssh_keys, spec.user_data) == ((KEY,), "#cloud-config\n")
    assert spec.root_password_hash is None


def test_a_server_without_keys_gets_a_root_password(cloud: Cloud) -> None:
    made = cloud.client.servers.create(
        name="web", server_type=ServerType(name="cx23"), image=Image(name="debian-13")
    )
    assert made.root_password
    made.action.wait_until_finished()
    hashed = cloud.hosts.specs[made.server.id].root_password_hash
    assert hashed is not None
    assert hashed.startswith("$6$")


def test_a_server_made_to_stay_off_is_made_when_first_started(cloud: Cloud) -> None:
    server = cloud.server(start_after_create=False)
    assert server.status == "off"
    assert cloud.hosts.state(server.id) == "missing"
    server.power_on().wait_until_finished()
    assert cloud.hosts.state(server.id) == "running"


def test_power_reaches_the_host(cloud: Cloud) -> None:
    server = cloud.server()
    for act, state, call in [
        (server.power_off, "off", "power_off"),
        (server.power_on, "running", "power_on"),
        (server.reboot, "running", "reboot"),
        (server.reset, "running", "reset"),
        (server.shutdown, "off", "shutdown"),
    ]:
        act().wait_until_finished()
        server.reload()
        assert server.status == state
        assert (call, server.id) in cloud.hosts.calls
    with refused("server_not_running"):
        server.reboot()


def test_a_rebuild_starts_from_another_image(cloud: Cloud) -> None:
    server = cloud.server()
    answer = server.rebuild(Image(name="ubuntu-24.04"))
    answer.action.wait_until_finished()
    server.reload()
    assert answer.root_password
    assert server.image is not None
    assert server.image.name == "ubuntu-24.04"
    assert cloud.hosts.specs[server.id].image == "ubuntu-24.04"


def test_another_type_needs_the_server_off_and_a_disk_that_fits(cloud: Cloud) -> None:
    server = cloud.server(server_type=ServerType(name="cx33"))
    with refused("server_not_stopped"):
        server.change_type(ServerType(name="cx43"), upgrade_disk=True)
    server.power_off().wait_until_finished()
    for wrong in ("cx33", "cx23", "cax21", "cpx11"):
        with refused("invalid_server_type"):
            server.change_type(ServerType(name=wrong), upgrade_disk=True)
    server.change_type(ServerType(name="cx43"), upgrade_disk=False).wait_until_finished()
    server.reload()
    assert (server.server_type.name, server.primary_disk_size) == ("cx43", 80)
    assert ("resize", server.id, 8, 16.0) in cloud.hosts.calls
    assert server.status == "running"


def test_a_protected_server_is_neither_deleted_nor_rebuilt(cloud: Cloud) -> None:
    server = cloud.server()
    with refused("invalid_input"):
        server.change_protection(delete=True)
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    with refused("protected"):
        server.delete()
    with refused("protected"):
        server.rebuild(Image(name="debian-13"))
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    server.delete().wait_until_finished()
    assert cloud.client.servers.get_all() == []
    assert cloud.hosts.states == {}


def test_deleting_a_server_lets_go_of_what_outlives_it(cloud: Cloud) -> None:
    kept = cloud.client.primary_ips.create(type="ipv4", name="kept", location=FSN1).primary_ip
    volume = cloud.client.volumes.create(10, "data", location=FSN1).volume
    firewall = cloud.client.firewalls.create(name="fw").firewall
    server = cloud.server(
        public_net=ServerCreatePublicNetwork(ipv4=kept), volumes=[volume], firewalls=[firewall]
    )
    assert [v.id for v in server.volumes] == [volume.id]
    with refused("resource_in_use"):
        firewall.delete()
    server.delete().wait_until_finished()
    assert [ip.name for ip in cloud.client.primary_ips.get_all()] == ["kept"]
    kept.reload()
    volume.reload()
    assert kept.assignee_id is None
    assert volume.server is None
    assert cloud.hosts.volumes == {volume.id: None}
    assert firewall.delete()


def test_a_reverse_name_is_set_and_reset(cloud: Cloud) -> None:
    server = cloud.server()
    server.change_dns_ptr(ip="203.0.113.10", dns_ptr="www.example.test").wait_until_finished()
    server.change_dns_ptr(ip="2001:db8:1:1::1", dns_ptr="six.example.test").wait_until_finished()
    server.reload()
    assert server.public_net.ipv4.dns_ptr == "www.example.test"
    assert server.public_net.ipv6.dns_ptr == [
        {"ip": "2001:db8:1:1::1", "dns_ptr": "six.example.test"}
    ]
    server.change_dns_ptr(ip="203.0.113.10", dns_ptr=None).wait_until_finished()
    server.reload()
    assert server.public_net.ipv4.dns_ptr.startswith("static.")
    with refused("invalid_input"):
        server.change_dns_ptr(ip="203.0.113.99", dns_ptr="x.example.test")


def test_placement_groups_count_their_servers(cloud: Cloud) -> None:
    group = cloud.client.placement_groups.create(name="pg", type="spread").placement_group
    server = cloud.server(placement_group=group)
    group.reload()
    assert group.servers == [server.id]
    server.remove_from_placement_group().wait_until_finished()
    with refused("server_not_stopped"):
        server.add_to_placement_group(PlacementGroup(id=group.id))
    server.power_off().wait_until_finished()
    server.add_to_placement_group(PlacementGroup(id=group.id)).wait_until_finished()
    server.reload()
    assert server.placement_group is not None
    group.update(name="renamed", labels={"a": "b"})
    assert group.delete()
    server.reload()
    assert server.placement_group is None


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": "under_score"}, "invalid_input", "name"),
        ({"name": "-x"}, "invalid_input", "name"),
        ({"image": "windows"}, "not_found", None),
        ({"server_type": "cx1"}, "not_found", None),
        ({"location": "ash"}, "invalid_input", "location"),
        ({"location": "moon"}, "not_found", None),
        ({"labels": {"a b": "c"}}, "invalid_input", "labels"),
        ({"labels": {"a": "b c"}}, "invalid_input", "labels.a"),
        ({"ssh_keys": ["nobody"]}, "not_found", None),
        ({"volumes": [1]}, "not_found", None),
        ({"firewalls": [{"firewall": 1}]}, "not_found", None),
        ({"networks": [1]}, "unsupported_error", None),
        ({"user_data": "x" * 32769}, "invalid_input", "user_data"),
        ({"start_after_create": "yes"}, "invalid_input", "start_after_create"),
        ({"name": None}, "invalid_input", "name"),
    ],
)
def test_a_server_that_cannot_be_is_refused_and_nothing_is_kept(
    cloud: Cloud, change: dict[str, object], code: str, field: str | None
) -> None:
    wanted = {"name": "web", "image": "debian-13", "server_type": "cx23", "location": "fsn1"}
    answer = cloud.raw.post("/servers", json={**wanted, **change})
    error = answer.json()["error"]
    assert error["code"] == code
    if field:
        assert field in [entry["name"] for entry in error["details"]["fields"]]
    assert cloud.store.all("server") == cloud.store.all("primary_ip") == []


def test_what_is_left_out_is_named(cloud: Cloud) -> None:
    error = cloud.raw.post("/servers", json={"name": "web"}).json()["error"]
    assert {f["name"] for f in error["details"]["fields"]} == {"image", "server_type"}


def test_a_name_is_used_once_in_a_project(cloud: Cloud) -> None:
    server = cloud.server("web")
    other = cloud.server("db")
    with refused("uniqueness_error"):
        cloud.server("web")
    with refused("uniqueness_error"):
        other.update(name="web")
    assert server.update(name="web").name == "web"
    assert other.update(name="db2", labels={"x": "y"}).labels == {"x": "y"}


def test_a_server_follows_its_volume_and_addresses(cloud: Cloud) -> None:
    hel1 = Location(name="hel1")
    ip = cloud.client.primary_ips.create(type="ipv4", name="ip", location=hel1).primary_ip
    server = cloud.server(location=None, public_net=ServerCreatePublicNetwork(ipv4=ip))
    assert server.location.name == "hel1"
    for wrong, code in [
        ({"ipv4": ip.id}, "primary_ip_assigned"),
        ({"ipv6": ip.id}, "primary_ip_version_mismatch"),
    ]:
        body = {"name": "x", "image": "debian-13", "server_type": "cx23", "public_net": wrong}
        assert cloud.raw.post("/servers", json=body).json()["error"]["code"] == code
    elsewhere = cloud.client.primary_ips.create(type="ipv4", name="b", location=FSN1).primary_ip
    with refused("primary_ip_datacenter_mismatch"):
        cloud.server("x", location=hel1, public_net=ServerCreatePublicNetwork(ipv4=elsewhere))


def test_a_server_can_do_without_public_addresses(cloud: Cloud) -> None:
    net = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)
    server = cloud.server(public_net=net)
    assert server.public_net.ipv4 is None
    assert server.public_net.ipv6 is None
    assert cloud.hosts.specs[server.id].ipv4 is None


def test_a_server_is_locked_while_it_is_made(cloud: Cloud) -> None:
    number = cloud.faults.add({"stuck": "create_server"})
    made = cloud.client.servers.create(
        name="web", server_type=ServerType(name="cx23"), image=Image(name="debian-13")
    )
    made.server.reload()
    assert made.server.locked
    assert made.server.status == "initializing"
    for act in (made.server.power_off, made.server.delete, made.server.reboot):
        with refused("locked"):
            act()
    cloud.faults.remove(number)
    for action in [made.action, *made.next_actions]:
        action.wait_until_finished()
    made.server.reload()
    assert not made.server.locked


def test_a_server_that_hangs_as_it_starts_can_be_deleted(cloud: Cloud) -> None:
    server = cloud.server()
    server.power_off().wait_until_finished()
    cloud.faults.add({"stuck": "start_server"})
    start = server.power_on()
    server.delete().wait_until_finished()
    start.reload()
    assert start.status == "error"
    assert cloud.client.servers.get_all() == []


def test_what_the_sandbox_lacks_says_so(cloud: Cloud) -> None:
    server = cloud.server()
    for act in (server.disable_rescue, server.reset_password, server.enable_backup):
        with refused("unsupported_error"):
            act()
    for kind in ("networks", "load_balancers", "floating_ips", "certificates", "isos"):
        assert getattr(cloud.client, kind).get_all() == []
        with pytest.raises(APIException):
            getattr(cloud.client, kind).get_by_id(1)
    metrics = cloud.raw.get(
        f"/servers/{server.id}/metrics",
        params={"type": "cpu", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z"},
    )
    assert metrics.json()["metrics"]["time_series"] == {}


def test_a_server_switched_off_from_inside_is_seen_off(cloud: Cloud) -> None:
    server = cloud.server()
    cloud.hosts.states[server.id] = "off"
    note_power(cloud.store, cloud.hosts, server.id)
    server.reload()
    assert server.status == "off"
    note_power(cloud.store, cloud.hosts, 1)
