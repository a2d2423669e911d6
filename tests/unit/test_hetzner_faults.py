"""Faults strike what they name, as often as they say, and end when they are ended."""

import time

import httpx
import pytest
from hcloud.actions import ActionFailedException
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

from tests.unit.hetzner_cloud import KEY, Cloud, refused
from tests.unit.hetzner_cloud import cloud as cloud


def test_an_answer_can_be_an_error_some_times(cloud: Cloud) -> None:
    do = {"status": 503, "code": "service_error", "message": "out of order"}
    with cloud.faults.during(do, method="POST", path="/ssh_keys", count=1, after=1):
        cloud.client.ssh_keys.create(name="first", public_key=KEY).delete()
        with refused("service_error") as caught:
            cloud.client.ssh_keys.create(name="me", public_key=KEY)
        assert caught.value.message == "out of order"
        assert cloud.client.ssh_keys.get_all() == []
        cloud.client.ssh_keys.create(name="me", public_key=KEY)
        (fault,) = cloud.faults.all()
        assert (fault["seen"], fault["hits"]) == (3, 1)
    assert cloud.faults.all() == []


def test_a_status_alone_has_a_code_that_fits(cloud: Cloud) -> None:
    with cloud.faults.during({"status": 409}, path="/servers*"):
        assert cloud.raw.get("/servers").json()["error"]["code"] == "uniqueness_error"
        assert cloud.raw.get("/servers/1").status_code == 409
        assert cloud.raw.get("/volumes").status_code == 200


def test_only_the_project_named_is_struck(cloud: Cloud) -> None:
    with cloud.faults.during({"status": 500}, project="prod"):
        assert cloud.raw.get("/servers").status_code == 200
        assert cloud.http("p" * 64).get("/servers").status_code == 500


def test_an_answer_can_be_late(cloud: Cloud) -> None:
    with cloud.faults.during({"delay": 0.3}, path="/locations"):
        begun = time.monotonic()
        assert cloud.raw.get("/locations").status_code == 200
        assert time.monotonic() - begun >= 0.3


def test_a_rate_limit_ends_at_its_reset(cloud: Cloud) -> None:
    cloud.faults.add({"rate_limit": 0.5})
    answer = cloud.raw.get("/locations")
    assert answer.status_code == 429
    assert answer.headers["RateLimit-Remaining"] == "0"
    assert int(answer.headers["RateLimit-Reset"]) >= int(time.time())
    time.sleep(0.6)
    assert cloud.raw.get("/locations").status_code == 200


def test_a_thing_can_be_made_and_its_answer_lost(cloud: Cloud) -> None:
    body = {"name": "me", "public_key": KEY}
    with cloud.faults.during({"lose_answer": "timeout"}, method="POST", count=1):
        answer = cloud.raw.post("/ssh_keys", json=body)
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
    assert len(cloud.client.ssh_keys.get_all()) == 1
    assert cloud.raw.post("/ssh_keys", json=body).json()["error"]["code"] == "uniqueness_error"


def test_the_connection_can_be_cut_before_the_answer(cloud: Cloud) -> None:
    cloud.faults.add({"lose_answer": "cut"}, method="POST", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        cloud.raw.post("/ssh_keys", json={"name": "me", "public_key": KEY})
    assert len(cloud.client.ssh_keys.get_all()) == 1


def test_an_action_can_hang_until_the_fault_is_ended(cloud: Cloud) -> None:
    server = cloud.server()
    number = cloud.faults.add({"stuck": "stop_server"}, count=1)
    action = server.power_off()
    time.sleep(0.3)
    action.reload()
    assert action.status == "running"
    cloud.faults.remove(number)
    action.wait_until_finished()
    server.reload()
    assert server.status == "off"


def test_an_action_can_fail(cloud: Cloud) -> None:
    cloud.faults.add({"fail_action": "create_*", "code": "limit", "message": "no"}, count=1)
    made = cloud.client.servers.create(
        name="web", server_type=ServerType(name="cx23"), image=Image(name="debian-13")
    )
    with pytest.raises(ActionFailedException):
        made.action.wait_until_finished()
    assert made.action.error == {"code": "limit", "message": "no"}
    assert cloud.hosts.states == {}


def test_a_type_can_be_out_of_stock_in_a_place(cloud: Cloud) -> None:
    cloud.faults.add({"unavailable": {"server_type": "cx*", "location": "fsn1"}})
    with refused("resource_unavailable"):
        cloud.server()
    assert cloud.client.primary_ips.get_all() == []
    server = cloud.server(location=Location(name="hel1"))
    assert server.location.name == "hel1"
    cloud.server("other", server_type=ServerType(name="cpx22"))
    places = cloud.client.server_types.get_by_name("cx23").locations
    assert [p.location.name for p in places if not p.available] == ["fsn1"]


def test_a_type_can_be_gone_all_of_a_sudden(cloud: Cloud) -> None:
    cloud.faults.add({"unavailable": {}, "sudden": True}, count=1)
    assert all(p.available for p in cloud.client.server_types.get_by_name("cx23").locations)
    with refused("resource_unavailable"):
        cloud.server()
    cloud.server()


def test_no_room_for_a_larger_type_leaves_the_server_as_it_was(cloud: Cloud) -> None:
    server = cloud.server()
    server.power_off().wait_until_finished()
    with cloud.faults.during({"unavailable": {}}), refused("resource_unavailable"):
        server.change_type(ServerType(name="cx33"), upgrade_disk=True)
    server.reload()
    assert (server.server_type.name, server.status) == ("cx23", "off")


@pytest.mark.parametrize("kind", ["cut_network", "refuse_ssh"])
def test_servers_that_are_and_that_come_can_be_out_of_reach(cloud: Cloud, kind: str) -> None:
    there = cloud.server("web-1")
    cloud.server("db-1")
    number = cloud.faults.add({kind: "web-*"})
    later = cloud.server("web-2")
    struck = [call for call in cloud.hosts.calls if call[0] == kind]
    assert struck == [(kind, there.id, True), (kind, later.id, True)]
    cloud.faults.remove(number)
    struck = [call for call in cloud.hosts.calls if call[0] == kind][2:]
    assert struck == [(kind, there.id, False), (kind, later.id, False)]


def test_ssh_can_be_refused_for_a_while_after_boot(cloud: Cloud) -> None:
    cloud.faults.add({"refuse_ssh": "web", "seconds": 0.2})
    server = cloud.server()
    assert cloud.hosts.calls[-1] == ("refuse_ssh", server.id, True)
    time.sleep(0.4)
    assert cloud.hosts.calls[-1] == ("refuse_ssh", server.id, False)


def test_all_faults_can_be_ended_at_once(cloud: Cloud) -> None:
    cloud.faults.add({"status": 500})
    cloud.faults.add({"delay": 9})
    cloud.faults.clear()
    assert cloud.raw.get("/servers").status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"do": {}},
        {"do": {"explode": 1}},
        {"do": {"status": 500, "delay": 1}},
        {"do": {"status": 500}, "when": "now"},
        {"do": {"status": 500}, "match": {"colour": "red"}},
    ],
)
def test_a_fault_not_understood_is_refused(cloud: Cloud, fault: dict[str, object]) -> None:
    answer = cloud.raw.post(f"{cloud.url}/_sandbox/faults", json=fault)
    assert answer.status_code == 422
    assert cloud.faults.all() == []
    with pytest.raises(ValueError, match="not_found"):
        cloud.faults.remove(1)
