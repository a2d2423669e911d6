"""What holds for every path: tokens, limits, lists, errors, actions and restarts."""

import time
from pathlib import Path

import pytest
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType

from sandbox.hetzner import spec
from sandbox.hetzner.access import RateLimits
from sandbox.hetzner.null_hosts import NullHosts
from sandbox.hetzner.routing import collect
from sandbox.hetzner.validation import Violations
from sandbox.store import Store
from tests.unit.hetzner_cloud import FSN1, KEY, Cloud, refused, serving
from tests.unit.hetzner_cloud import cloud as cloud


def test_without_a_known_token_nobody_gets_in(cloud: Cloud) -> None:
    for header in ("", "Bearer", "Bearer nope", "Basic " + "d" * 64, "Bearer é"):
        answer = cloud.raw.get("/servers", headers=[(b"Authorization", header.encode())])
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


def test_a_read_only_token_reads(cloud: Cloud) -> None:
    cloud.server()
    reader = cloud.client_for("e" * 64)
    server = reader.servers.get_by_name("web")
    for act in (server.delete, server.power_off, lambda: server.update(name="x")):
        with refused("token_readonly"):
            act()
    assert cloud.http("e" * 64).post("/servers", json={}).status_code == 403


def test_another_projects_things_are_not_there(cloud: Cloud) -> None:
    server = cloud.server()
    key = cloud.client.ssh_keys.create(name="me", public_key=KEY)
    volume = cloud.client.volumes.create(10, "data", location=FSN1).volume
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    other = cloud.http("p" * 64)
    action = cloud.store.all("action")[0]["id"]
    for path in (
        f"servers/{server.id}",
        f"servers/{server.id}/actions",
        f"ssh_keys/{key.id}",
        f"volumes/{volume.id}",
        f"zones/{zone.id}",
        "zones/example.test",
        f"zones/{zone.id}/rrsets/@/NS",
        f"actions/{action}",
        f"primary_ips/{server.public_net.primary_ipv4.id}",
    ):
        assert other.get(f"/{path}").status_code == 404, path
        assert cloud.raw.get(f"/{path}").status_code == 200, path
    for path in ("servers", "volumes", "zones", "primary_ips", "ssh_keys", "firewalls"):
        assert other.get(f"/{path}").json()[path] == []
    assert other.post(f"/servers/{server.id}/actions/poweroff").status_code == 404
    # Names are free again in another project.
    cloud.client_for("p" * 64).ssh_keys.create(name="me", public_key=KEY)


def test_a_project_can_be_added(cloud: Cloud) -> None:
    made = cloud.raw.post(f"{cloud.url}/_sandbox/projects", json={"name": "extra"}).json()
    assert cloud.client_for(made["project"]["token"]).servers.get_all() == []
    assert cloud.raw.post(f"{cloud.url}/_sandbox/projects", json={"name": "extra"}).is_error
    listed = cloud.raw.get(f"{cloud.url}/_sandbox/projects").json()["projects"]
    assert listed == ["demo", "extra", "prod"]


def test_every_answer_says_how_many_requests_are_left() -> None:
    with serving(limits=RateLimits(limit=3, per_second=0.001)) as cloud:
        seen = [cloud.raw.get("/locations") for _ in range(4)]
        left = [int(answer.headers["RateLimit-Remaining"]) for answer in seen]
        assert left == [2, 1, 0, 0]
        assert seen[0].headers["RateLimit-Limit"] == "3"
        assert int(seen[0].headers["RateLimit-Reset"]) > time.time()
        assert seen[3].status_code == 429
        assert seen[3].json()["error"]["code"] == "rate_limit_exceeded"
        assert cloud.http("p" * 64).get("/locations").status_code == 200


def test_the_limit_fills_up_again() -> None:
    limits = RateLimits(limit=1, per_second=50)
    assert limits.take("demo")[0]
    assert not limits.take("demo")[0]
    time.sleep(0.05)
    assert limits.take("demo")[0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/servers/1/actions/dance"),
        ("POST", "/servers/1/actions/dance"),
        ("PATCH", "/servers"),
        ("GET", "/servers/abc"),
        ("GET", "/servers/1"),
        ("DELETE", "/volumes/1"),
    ],
)
def test_what_is_not_there_answers_as_the_api_does(cloud: Cloud, method: str, path: str) -> None:
    answer = cloud.raw.request(method, path)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"code", "message", "details"}
    assert answer.json()["error"]["code"] == "not_found"


def test_a_body_that_is_no_object_is_refused(cloud: Cloud) -> None:
    for body in (b"{", b"[]", b'"x"'):
        answer = cloud.raw.post("/servers", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "json_error"


def test_lists_come_in_pages(cloud: Cloud) -> None:
    for number in range(7):
        cloud.client.firewalls.create(name=f"fw{number}", labels={"odd": str(number % 2)})
    answer = cloud.raw.get("/firewalls", params={"per_page": 3, "page": 2, "sort": "name:desc"})
    assert [f["name"] for f in answer.json()["firewalls"]] == ["fw3", "fw2", "fw1"]
    assert answer.json()["meta"]["pagination"] == {
        "page": 2,
        "per_page": 3,
        "previous_page": 1,
        "next_page": 3,
        "last_page": 3,
        "total_entries": 7,
    }
    assert 'page=3>; rel="next"' in answer.headers["Link"]
    assert 'page=1>; rel="prev"' in answer.headers["Link"]
    assert len(cloud.client.firewalls.get_all()) == 7
    assert len(cloud.client.firewalls.get_all(label_selector="odd=1")) == 3
    assert [f.name for f in cloud.client.firewalls.get_all(name="fw4")] == ["fw4"]
    beyond = cloud.raw.get("/firewalls", params={"page": 9}).json()
    assert beyond["firewalls"] == []
    assert beyond["meta"]["pagination"]["next_page"] is None
    assert cloud.raw.get("/firewalls", params={"per_page": 500}).json()["meta"]["pagination"][
        "per_page"
    ] == 50  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "per_page=-1", "sort=colour", "sort=name:up", "label_selector=a+b"],
)
def test_a_list_cannot_be_asked_for_nonsense(cloud: Cloud, query: str) -> None:
    answer = cloud.raw.get(f"/firewalls?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_input"


def test_sorting_by_several_keys_keeps_their_order(cloud: Cloud) -> None:
    cloud.server("b")
    cloud.server("a")
    ids = [a["id"] for a in cloud.store.all("action")]
    query = "&".join(f"id={number}" for number in ids) + "&sort=status&sort=id:desc"
    found = cloud.raw.get(f"/actions?{query}").json()["actions"]
    assert [a["id"] for a in found] == sorted(ids, reverse=True)


def test_an_action_is_seen_running_and_then_over() -> None:
    with serving(pace=0.3) as cloud:
        made = cloud.client.servers.create(
            name="web", server_type=ServerType(name="cx23"), image=Image(name="debian-13")
        )
        assert (made.action.command, made.action.status) == ("create_server", "running")
        assert made.action.progress == 0
        assert [action.command for action in made.next_actions] == ["start_server"]
        for action in [made.action, *made.next_actions]:
            action.wait_until_finished()
            assert (action.status, action.progress, action.error) == ("success", 100, None)
            assert action.finished is not None


def test_actions_are_found_by_resource_and_by_number(cloud: Cloud) -> None:
    server = cloud.server()
    action = server.power_off()
    action.wait_until_finished()
    raw = cloud.raw
    for path in ("", "/servers", f"/servers/{server.id}"):
        found = raw.get(f"{path}/actions/{action.id}").json()["action"]
        assert found["command"] == "stop_server"
    commands = [a.command for a in server.get_actions(sort=["command:asc"])]
    assert commands == ["create_server", "start_server", "stop_server"]
    assert server.get_actions(status=["running"]) == []
    assert raw.get("/volumes/actions").json()["actions"] == []
    assert raw.get("/actions").json()["error"]["code"] == "deprecated_api_endpoint"
    assert raw.get(f"/servers/{server.id}/actions/1").status_code == 404
    assert raw.get("/servers/1/actions").status_code == 404
    server.delete().wait_until_finished()
    assert raw.get(f"/servers/{server.id}/actions").json()["actions"][-1]["status"] == "success"


def test_a_host_that_fails_fails_its_action_and_those_after_it(cloud: Cloud) -> None:
    cloud.hosts.fail.add("create")
    made = cloud.client.servers.create(
        name="web", server_type=ServerType(name="cx23"), image=Image(name="debian-13")
    )
    cloud.settled()
    for action in [made.action, *made.next_actions]:
        action.reload()
        assert action.status == "error"
        assert action.error["code"] == "action_failed"
    cloud.hosts.fail.clear()
    made.server.reload()
    assert (made.server.status, made.server.locked) == ("off", False)
    made.server.power_on().wait_until_finished()
    made.server.reload()
    assert made.server.status == "running"


def test_what_ran_when_the_api_stopped_is_taken_up(tmp_path: Path) -> None:
    hosts = NullHosts()
    store = Store(tmp_path / "cloud.db")
    with serving(store, hosts) as cloud:
        volume = cloud.client.volumes.create(10, "data", location=FSN1).volume
        cloud.settled()
        number = cloud.faults.add({"stuck": "create_server"})
        made = cloud.client.servers.create(
            name="web",
            server_type=ServerType(name="cx23"),
            image=Image(name="debian-13"),
            location=FSN1,
            volumes=[volume],
        )
    store.close()
    store = Store(tmp_path / "cloud.db")
    with serving(store, hosts) as cloud:
        # The fault is in force still, and so is the lock.
        assert cloud.client.servers.get_by_name("web").locked
        cloud.faults.remove(number)
        for action in [made.action, *made.next_actions]:
            cloud.client.actions.get_by_id(action.id).wait_until_finished()
        server = cloud.client.servers.get_by_name("web")
        assert (server.status, server.locked) == ("running", False)
        assert hosts.volumes == {volume.id: server.id}
    store.close()


def test_the_clock_can_be_moved(cloud: Cloud) -> None:
    cloud.raw.post(f"{cloud.url}/_sandbox/clock", json={"offset": -86400 * 30})
    key = cloud.client.ssh_keys.create(name="old", public_key=KEY)
    assert time.time() - key.created.timestamp() > 86400 * 29


def test_health_tells_that_it_lives(cloud: Cloud) -> None:
    assert cloud.raw.get(f"{cloud.url}/_sandbox/health").json()["status"] == "ok"


def test_every_endpoint_is_one_of_the_real_api() -> None:
    for endpoint in collect():
        path = endpoint.path.replace("{", "").replace("}", "")
        assert spec.operation(endpoint.method, path) is not None, endpoint.path


def test_an_answer_unlike_its_description_is_counted(tmp_path: Path) -> None:
    violations = Violations(tmp_path / "violations.log")
    violations.check("GET", "/servers/1", 200, b'{"server": {"id": "1"}}')
    violations.check("GET", "/no/such", 200, b"{}")
    violations.check("DELETE", "/volumes/1", 200, b"")
    violations.check("GET", "/locations", 200, b'{"locations": [], "meta": 1}')
    assert violations.checked == 4
    assert any("server.name" in line for line in violations.found)
    assert (tmp_path / "violations.log").read_text().splitlines() == violations.found


def test_a_location_is_a_number_or_a_name(cloud: Cloud) -> None:
    number = cloud.client.locations.get_by_name("nbg1").id
    volume = cloud.client.volumes.create(10, "data", location=Location(id=number)).volume
    assert volume.location.name == "nbg1"
    body = {"name": "web", "server_type": 114, "image": 310557660, "location": number}
    made = cloud.raw.post("/servers", json=body).json()
    assert made["server"]["location"]["name"] == "nbg1"
    cloud.settled()
