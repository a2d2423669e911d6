"""Every path there is answers, and answers as the API's description says."""

import re

from hcloud.zones import ZoneRecord

from sandbox.hetzner import catalogue
from sandbox.hetzner.resources import elsewhere
from sandbox.hetzner.routing import collect
from tests.unit.hetzner_cloud import FSN1, KEY, Cloud
from tests.unit.hetzner_cloud import cloud as cloud

NONE_OF = re.compile("/(" + "|".join((*elsewhere.MADE, *elsewhere.GIVEN)) + ")/")


def one_of_everything(cloud: Cloud) -> dict[str, str]:
    """A number for the `{id}` of each first part of a path."""
    client = cloud.client
    server = cloud.server(start_after_create=False)
    address = client.primary_ips.get_by_id(server.public_net.primary_ipv4.id)
    address.change_protection(delete=False)
    volume = client.volumes.create(10, "data", location=FSN1).volume
    zone = client.zones.create(name="example.test", mode="primary").zone
    zone.create_rrset(name="www", type="A", records=[ZoneRecord("203.0.113.1")])
    cloud.settled()
    return {
        "servers": server.id,
        "volumes": volume.id,
        "zones": zone.name,
        "primary_ips": address.id,
        "firewalls": client.firewalls.create(name="fw").firewall.id,
        "ssh_keys": client.ssh_keys.create(name="me", public_key=KEY).id,
        "placement_groups": client.placement_groups.create(
            name="pg", type="spread"
        ).placement_group.id,
        "images": catalogue.images()[0]["id"],
        "server_types": catalogue.server_types()[0]["id"],
        "locations": catalogue.locations()[0]["id"],
        "datacenters": catalogue.datacenters()[0]["id"],
        **dict.fromkeys((*elsewhere.MADE, *elsewhere.GIVEN), "1"),
    }


def action_for(cloud: Cloud, kind: str, path: str, things: dict[str, str]) -> int:
    """The number of an action that the path can find."""
    listed = path.rsplit("/", 1)[0].replace("{id}", str(things.get(kind, "")))
    if listed == "/actions":
        return int(cloud.store.all("action")[0]["id"])
    found = cloud.raw.get(listed).json()["actions"]
    return int(found[0]["id"]) if found else 0


def test_every_path_that_can_be_read_is_as_described(cloud: Cloud) -> None:
    things = one_of_everything(cloud)
    number = cloud.store.all("action")[0]["id"]
    asked = 0
    for endpoint in collect():
        if endpoint.method != "GET":
            continue
        kind = endpoint.path.split("/")[1]
        path = endpoint.path.replace("{zone}", "example.test")
        path = path.replace("{name}", "www").replace("{type}", "A")
        expected = 404 if NONE_OF.match(path) else 200
        if "{action_id}" in path:
            action = action_for(cloud, kind, path, things)
            # System images never have an action.
            expected = 200 if action else 404
            path = path.replace("{action_id}", str(action))
        path = path.replace("{id}", str(things.get(kind, "")))
        query = {"id": str(number)} if path == "/actions" else {}
        if path.endswith("/metrics"):
            query = {"type": "cpu", "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
        answer = cloud.raw.get(path, params=query)
        assert answer.status_code == expected, (path, answer.text)
        asked += 1
    assert cloud.app.state.violations.checked > asked > 50


def test_what_the_sandbox_lacks_is_refused_as_described(cloud: Cloud) -> None:
    things = one_of_everything(cloud)
    server = f"/servers/{things['servers']}/actions"
    bodies = {
        "attach_iso": {"iso": "x"},
        "attach_to_network": {"network": 1},
        "change_alias_ips": {"network": 1, "alias_ips": []},
        "detach_from_network": {"network": 1},
        "networks": {"name": "n", "ip_range": "10.0.0.0/16"},
        "floating_ips": {"type": "ipv4"},
        "certificates": {"name": "c"},
        "load_balancers": {
            "name": "l",
            "load_balancer_type": "lb11",
            "algorithm": {"type": "round_robin"},
        },
    }
    paths = [f"/{name}" for name in elsewhere.MADE]
    paths += [f"{server}/{name}" for name in elsewhere.SERVER_ACTIONS]
    for path in paths:
        answer = cloud.raw.post(path, json=bodies.get(path.rsplit("/", 1)[-1], {}))
        assert answer.json()["error"]["code"] == "unsupported_error", (path, answer.text)
    image = f"/images/{things['images']}/actions/change_protection"
    assert cloud.raw.post(image, json={"delete": True}).status_code == 403
