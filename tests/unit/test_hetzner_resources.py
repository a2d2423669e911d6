"""Volumes, primary IPs, firewalls, keys and the catalogue through the official client."""

import pytest
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import Server

from tests.unit.hetzner_cloud import FSN1, KEY, Cloud, refused
from tests.unit.hetzner_cloud import cloud as cloud

SSH = FirewallRule(
    direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0", "2001:DB8::/32"]
)


def test_a_volume_is_made_attached_grown_and_destroyed(cloud: Cloud) -> None:
    server = cloud.server()
    made = cloud.client.volumes.create(10, "data", location=FSN1, format="ext4")
    made.action.wait_until_finished()
    volume = made.volume
    assert volume.linux_device == f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}"
    volume.attach(server, automount=True).wait_until_finished()
    with refused("volume_already_attached"):
        volume.attach(server)
    with refused("resource_in_use"):
        volume.delete()
    with refused("invalid_input"):
        volume.resize(10)
    volume.resize(20).wait_until_finished()
    volume.detach().wait_until_finished()
    with refused("invalid_input"):
        volume.detach()
    volume.reload()
    assert (volume.size, volume.server, volume.status) == (20, None, "available")
    assert volume.update(name="disk", labels={"a": "b"}).name == "disk"
    volume.change_protection(delete=True).wait_until_finished()
    with refused("protected"):
        volume.delete()
    volume.change_protection(delete=False).wait_until_finished()
    assert volume.delete()
    cloud.settled()
    assert [call for call in cloud.hosts.calls if "volume" in call[0]] == [
        ("create_volume", volume.id, 10, "ext4"),
        ("attach_volume", volume.id, server.id, True),
        ("resize_volume", volume.id, 20),
        ("detach_volume", volume.id),
        ("delete_volume", volume.id),
    ]


def test_a_volume_made_for_a_server_goes_to_it(cloud: Cloud) -> None:
    server = cloud.server()
    made = cloud.client.volumes.create(10, "data", server=server)
    for action in [made.action, *made.next_actions]:
        action.wait_until_finished()
    assert made.volume.server.id == server.id
    assert cloud.hosts.volumes == {made.volume.id: server.id}


@pytest.mark.parametrize(
    "change",
    [
        {"size": 9},
        {"size": 10241},
        {"format": "btrfs"},
        {"location": "moon"},
        {"location": None},
        {"name": 5},
    ],
)
def test_a_volume_that_cannot_be_is_refused(cloud: Cloud, change: dict[str, object]) -> None:
    body = {"name": "data", "size": 10, "location": "fsn1", **change}
    answer = cloud.raw.post("/volumes", json={k: v for k, v in body.items() if v is not None})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_input"


def test_a_volume_stays_in_its_location(cloud: Cloud) -> None:
    volume = cloud.client.volumes.create(10, "data", location=Location(name="hel1")).volume
    with refused("invalid_input"):
        volume.attach(cloud.server())


def test_a_primary_ip_moves_between_stopped_servers(cloud: Cloud) -> None:
    first, second = cloud.server("first"), cloud.server("second")
    ip = cloud.client.primary_ips.get_by_id(first.public_net.primary_ipv4.id)
    assert ip.update(auto_delete=False, name="moving", labels={"a": "b"}).auto_delete is False
    with refused("server_not_stopped"):
        ip.unassign()
    first.power_off().wait_until_finished()
    ip.unassign().wait_until_finished()
    with refused("server_not_stopped"):
        ip.assign(second.id, "server")
    second.power_off().wait_until_finished()
    with refused("server_has_ipv4"):
        ip.assign(second.id, "server")
    old = cloud.client.primary_ips.get_by_id(second.public_net.primary_ipv4.id)
    with refused("must_be_unassigned"):
        old.delete()
    old.unassign().wait_until_finished()
    assert old.delete()
    ip.assign(second.id, "server").wait_until_finished()
    with refused("primary_ip_already_assigned"):
        ip.assign(first.id, "server")
    second.reload()
    assert second.public_net.ipv4.ip == "203.0.113.10"
    assert ("set_addresses", first.id, None, "2001:db8:1:1::1") in cloud.hosts.calls
    assert ("set_addresses", second.id, "203.0.113.10", "2001:db8:1:2::1") in cloud.hosts.calls


def test_a_primary_ip_can_be_made_on_a_stopped_server(cloud: Cloud) -> None:
    server = cloud.server(start_after_create=False)
    body = {"name": "ip", "type": "ipv4", "assignee_id": server.id, "assignee_type": "server"}
    assert cloud.raw.post("/primary_ips", json=body).json()["error"]["code"] == "server_has_ipv4"
    old = cloud.client.primary_ips.get_by_id(server.public_net.primary_ipv4.id)
    old.unassign().wait_until_finished()
    made = cloud.raw.post("/primary_ips", json=body).json()
    assert made["action"]["command"] == "assign_primary_ip"
    assert made["primary_ip"]["assignee_id"] == server.id


def test_a_protected_primary_ip_stays(cloud: Cloud) -> None:
    ip = cloud.client.primary_ips.create(type="ipv6", name="six", location=FSN1).primary_ip
    ip.change_protection(delete=True).wait_until_finished()
    with refused("protected"):
        ip.delete()
    with refused("invalid_input"):
        ip.update(auto_delete=True)
    ip.change_protection(delete=False).wait_until_finished()
    ip.change_dns_ptr(ip="2001:db8:1:1::5", dns_ptr="five.example.test").wait_until_finished()
    ip.reload()
    assert ip.dns_ptr == [{"ip": "2001:db8:1:1::5", "dns_ptr": "five.example.test"}]
    ip.update(auto_delete=True)
    with refused("invalid_input"):
        ip.change_protection(delete=True)
    assert ip.delete()


def test_a_freed_address_is_not_given_out_at_once(cloud: Cloud) -> None:
    made = []
    for name in ("a", "b"):
        ip = cloud.client.primary_ips.create(type="ipv4", name=name, location=FSN1).primary_ip
        made.append(ip.ip)
        ip.delete()
    assert made == ["203.0.113.10", "203.0.113.11"]


def test_a_firewalls_rules_reach_the_servers_it_holds_for(cloud: Cloud) -> None:
    chosen, other = cloud.server("chosen", labels={"role": "web"}), cloud.server("other")
    made = cloud.client.firewalls.create(
        name="fw",
        rules=[SSH],
        resources=[FirewallResource("server", server=Server(id=other.id))],
        labels={"a": "b"},
    )
    for action in made.actions:
        action.wait_until_finished()
    firewall = made.firewall
    (rule,) = cloud.hosts.rules[other.id] or ()
    assert (rule.direction, rule.protocol, rule.port) == ("in", "tcp", "22")
    assert rule.networks == ("0.0.0.0/0", "2001:db8::/32")
    assert cloud.hosts.rules[chosen.id] is None

    selector = FirewallResource(
        "label_selector", label_selector=FirewallResourceLabelSelector("role=web")
    )
    for action in firewall.apply_to_resources([selector]):
        action.wait_until_finished()
    assert cloud.hosts.rules[chosen.id] == (rule,)
    firewall.reload()
    assert [r.type for r in firewall.applied_to] == ["server", "label_selector"]
    assert firewall.applied_to[1].applied_to_resources[0].server.id == chosen.id
    chosen.reload()
    assert [f.status for f in chosen.public_net.firewalls] == ["applied"]

    everything = FirewallRule(
        direction="out", protocol="udp", port="any", destination_ips=["::/0"], description="out"
    )
    for action in firewall.set_rules([everything]):
        action.wait_until_finished()
    for server in (chosen, other):
        (rule,) = cloud.hosts.rules[server.id] or ()
        assert (rule.direction, rule.port, rule.networks) == ("out", None, ("::/0",))

    with refused("firewall_already_applied"):
        firewall.apply_to_resources([selector])
    with refused("firewall_managed_by_label_selector"):
        firewall.remove_from_resources([FirewallResource("server", server=Server(id=chosen.id))])
    with refused("resource_in_use"):
        firewall.delete()
    for target in (selector, FirewallResource("server", server=Server(id=other.id))):
        for action in firewall.remove_from_resources([target]):
            action.wait_until_finished()
    assert cloud.hosts.rules == {chosen.id: None, other.id: None}
    assert firewall.update(name="fw2").name == "fw2"
    assert firewall.delete()


def test_a_label_brings_and_takes_a_firewall(cloud: Cloud) -> None:
    selector = FirewallResourceLabelSelector("role in (web)")
    cloud.client.firewalls.create(
        name="fw",
        rules=[SSH],
        resources=[FirewallResource("label_selector", label_selector=selector)],
    )
    server = cloud.server()
    assert cloud.hosts.rules[server.id] is None
    server.update(labels={"role": "web"})
    cloud.settled()
    assert len(cloud.hosts.rules[server.id] or ()) == 1
    server.update(labels={})
    cloud.settled()
    assert cloud.hosts.rules[server.id] is None


def test_a_server_has_five_firewalls_at_most(cloud: Cloud) -> None:
    server = cloud.server()
    target = FirewallResource("server", server=Server(id=server.id))
    for number in range(5):
        cloud.client.firewalls.create(name=f"fw{number}", resources=[target])
    with refused("resource_limit_exceeded"):
        cloud.client.firewalls.create(name="fw5", resources=[target])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"port": None}, "rules.0.port"),
        ({"port": "0"}, "rules.0.port"),
        ({"port": "70000"}, "rules.0.port"),
        ({"port": "20-10"}, "rules.0.port"),
        ({"port": "a"}, "rules.0.port"),
        ({"protocol": "icmp"}, "rules.0.port"),
        ({"protocol": "sctp"}, "rules.0.protocol"),
        ({"source_ips": []}, "rules.0.source_ips"),
        ({"source_ips": ["10.0.0.1/8"]}, "rules.0.source_ips"),
        ({"direction": "out"}, "rules.0.destination_ips"),
        ({"destination_ips": ["::/0"]}, "rules.0.destination_ips"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(
    cloud: Cloud, change: dict[str, object], field: str
) -> None:
    rule = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["::/0"], **change}
    error = cloud.raw.post("/firewalls", json={"name": "fw", "rules": [rule]}).json()["error"]
    assert error["code"] == "invalid_input"
    assert error["details"]["fields"][0]["name"] == field
    assert cloud.store.all("firewall") == []


def test_a_firewall_is_applied_to_what_exists(cloud: Cloud) -> None:
    firewall = cloud.client.firewalls.create(name="fw").firewall
    with refused("firewall_resource_not_found"):
        firewall.apply_to_resources([FirewallResource("server", server=Server(id=1))])
    nothing = FirewallResourceLabelSelector("")
    with refused("invalid_input"):
        firewall.apply_to_resources([FirewallResource("label_selector", label_selector=nothing)])


def test_a_key_is_known_by_name_and_fingerprint(cloud: Cloud) -> None:
    keys = cloud.client.ssh_keys
    key = keys.create(name="me", public_key=KEY, labels={"a": "b"})
    assert keys.get_by_name("me").id == key.id
    assert keys.get_by_fingerprint(key.fingerprint).id == key.id
    with refused("uniqueness_error"):
        keys.create(name="me", public_key=KEY)
    with refused("uniqueness_error"):
        keys.create(name="you", public_key=KEY)
    for wrong in ("nothing", "ssh-ed25519 %%%"):
        with refused("invalid_input"):
            keys.create(name="you", public_key=wrong)
    assert key.update(name="you", labels={}).name == "you"
    assert key.delete()
    with refused("not_found"):
        keys.get_by_id(key.id)


def test_the_catalogue_sells_what_hetzner_sells(cloud: Cloud) -> None:
    client = cloud.client
    assert {"cx23", "cx33", "cpx22", "cax11", "ccx13"} <= {
        kind.name for kind in client.server_types.get_all()
    }
    assert client.server_types.get_by_name("cx23").cores == 2
    places = client.locations.get_all()
    assert [place.name for place in places] == ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
    assert client.locations.get_by_id(places[0].id).name == "fsn1"
    names = {image.name for image in client.images.get_all(architecture="x86")}
    assert {"debian-12", "debian-13", "ubuntu-24.04"} <= names
    image = client.images.get_by_name_and_architecture("debian-13", "arm")
    assert client.images.get_by_id(image.id).architecture == "arm"
    with refused("forbidden"):
        image.delete()
    with refused("forbidden"):
        image.update(description="mine")
    prices = cloud.raw.get("/pricing").json()["pricing"]
    assert prices["currency"] == "EUR"
    for path in ("/locations/99", "/server_types/1", "/images/1"):
        assert cloud.raw.get(path).status_code == 404


def test_data_centres_are_gone_as_they_are_at_hetzner(cloud: Cloud) -> None:
    cloud.server()
    for path in ("/datacenters", "/datacenters/4"):
        assert cloud.raw.get(path).status_code == 410
    for kind in ("servers", "primary_ips"):
        (first, *_) = cloud.raw.get(f"/{kind}").json()[kind]
        assert first["location"]["name"] == "fsn1"
        assert "datacenter" not in first


def test_an_arm_server_takes_the_arm_image_of_a_name(cloud: Cloud) -> None:
    server = cloud.server(server_type=ServerType(name="cax11"))
    assert server.image.architecture == "arm"
    x86 = cloud.client.images.get_by_name_and_architecture("debian-13", "x86")
    with refused("invalid_input"):
        cloud.server("other", server_type=ServerType(name="cax11"), image=Image(id=x86.id))


def test_a_firewalls_rule_takes_so_many_networks_and_no_more(cloud: Cloud) -> None:
    def create(count: int) -> int:
        networks = [f"198.51.{each // 256}.{each % 256}/32" for each in range(count)]
        rule = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": networks}
        body = {"name": f"of-{count}", "rules": [rule]}
        return cloud.raw.post("/firewalls", json=body).status_code

    assert [create(100), create(101)] == [201, 422]
