"""What is done and said when Hetzner fails in the middle of an `up`."""

from typing import Any

import pytest
from hcloud.servers import ServerCreatePublicNetwork
from hcloud.zones import ZoneRecord

from planning import cloud as hetzner
from planning import rescue
from planning.rescue import Failure, Stage
from tests.unit.hetzner_cloud import FSN1, Cloud
from tests.unit.hetzner_cloud import cloud as cloud

STAGE = Stage(
    stack="staging",
    server_type="cx33",
    location="fsn1",
    next_location="nbg1",
    deadline=600,
    protected=True,
)
UP = "pulumi up -s staging"


def failed(said: str, kind: str = "Server", operation: str = "create") -> Failure:
    return Failure(kind, operation, [said])


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (failed("no room (resource_unavailable)"), ("fsn1", f"{UP}, which tries nbg1")),
        (
            failed("no room (resource_unavailable)", operation="update"),
            ("no server was changed", f"pulumi config set serverType … -s staging && {UP}"),
        ),
        (failed("no place (placement_error)"), ("fsn1", f"{UP}, which tries nbg1")),
        (failed("full (no_space_left_in_location)", "Volume"), ("fsn1", "'locations[0]' nbg1", UP)),
        (failed("context deadline exceeded: [4]"), ("600 s", "cloudDeadline", UP)),
        (failed("limit reached (rate_limit_exceeded)"), ("rate limit", UP)),
        (failed("server limit (resource_limit_exceeded)", "PrimaryIp"), ("console", UP)),
        (failed("no (forbidden)"), ("pulumi config set --secret hcloud:token -s staging", UP)),
        (failed("name (uniqueness_error)", "Volume"), ("-l stack=staging", UP)),
        (failed("out of order (service_error)"), (UP,)),
    ],
)
def test_every_failure_names_the_next_command(failure: Failure, words: tuple[str, ...]) -> None:
    text = rescue.advice(failure, STAGE)
    assert "Next" in text
    for each in words:
        assert each in text


def test_a_protected_stage_is_not_told_to_destroy_itself() -> None:
    late = failed("Timeout while waiting on action(s)")
    assert "destroy" not in rescue.advice(late, STAGE)
    demo = Stage(**{**vars(STAGE), "protected": False})
    assert "pulumi destroy -s staging" in rescue.advice(late, demo)


@pytest.mark.parametrize(
    ("failure", "may_exist"),
    [
        (failed("unexpected EOF"), True),
        (failed("server name is already used (uniqueness_error)"), True),
        (failed('Post "https://api.hetzner.cloud/v1/servers": context deadline exceeded'), True),
        (failed("hcloud: server responded with status code 502"), True),
        # The provider knows the server then, and so does the state: it must not be deleted.
        (failed("context deadline exceeded: remaining running actions: [4]"), False),
        (failed("it failed (action_failed)"), False),
        (failed("unexpected EOF", operation="update"), False),
        (failed("unexpected EOF", kind="Volume"), False),
    ],
)
def test_a_server_may_be_lost_only_where_its_making_was_not_answered(
    failure: Failure, may_exist: bool
) -> None:
    assert rescue.lost(failure) is may_exist


def test_a_rate_limit_is_waited_out_until_the_deadline() -> None:
    said = "limit reached (rate_limit_exceeded)"
    assert rescue.rate_limited(failed(said), 600)
    tries = 600 // rescue.RATE_PAUSE_SECONDS
    assert not rescue.rate_limited(Failure("Server", "create", [said] * (tries + 1)), 600)
    assert not rescue.rate_limited(Failure("Server", "create", ["other", said]), 600)


def test_addresses_are_read_out_of_a_servers_inputs() -> None:
    inputs = {"publicNets": [{"ipv4": 7.0, "ipv4Enabled": True, "ipv6": 8.0}]}
    assert rescue.addresses_of(inputs) == ["7", "8"]
    assert rescue.addresses_of(None) == []


def test_a_record_set_that_was_given_up_names_the_next_command() -> None:
    text = rescue.overdue("The record set staging-a", STAGE)
    for each in ("staging-a", "600 s", "cloudDeadline", "https://status.hetzner.com", UP):
        assert each in text
    assert "destroy" not in text


TAKEN = "it exists (uniqueness_error)"


@pytest.mark.parametrize(
    ("failure", "of_a_stage", "of_a_demo"),
    [
        (failed(TAKEN, "ZoneRrset"), True, True),
        (failed(TAKEN, "Firewall"), True, True),
        (failed(TAKEN, "SshKey"), True, True),
        (failed(TAKEN, "ZoneRrset", "update"), False, False),
        # A stage's are taken back, never made anew.
        (failed(TAKEN, "Volume"), False, True),
        (failed(TAKEN, "PrimaryIp"), False, True),
        (failed("no (forbidden)", "ZoneRrset"), False, False),
        (Failure("ZoneRrset", "create", [TAKEN] * 2), False, False),
    ],
)
def test_what_is_not_worth_keeping_is_made_anew_where_its_name_is_taken(
    failure: Failure, of_a_stage: bool, of_a_demo: bool
) -> None:
    assert rescue.left_over(failure, holds_data=True) is of_a_stage
    assert rescue.left_over(failure, holds_data=False) is of_a_demo


def test_only_a_server_that_was_to_be_made_finds_a_location_full() -> None:
    said = "no room (resource_unavailable)"
    assert rescue.full(failed(said, "Server"))
    assert not rescue.full(failed(said, "Server", "update"))
    assert not rescue.full(failed(said, "Volume"))


LABELS = {"stack": "staging", "expires": "1"}
RECORDS = {"zone": "example.com", "name": "staging", "type": "A", "labels": LABELS}


def delete_records(cloud: Cloud, **other: Any) -> bool:
    wanted = {**RECORDS, "records": [{"value": "203.0.113.7"}], **other}
    return hetzner.delete_unfinished_records(
        token="d" * 64, endpoint=f"{cloud.url}/v1", wanted=wanted, seconds=5
    )


def test_a_record_set_is_deleted_only_where_it_is_this_stacks(cloud: Cloud) -> None:
    zone = cloud.client.zones.create(name="example.com", mode="primary").zone
    zone.create_rrset(
        name="staging", type="A", labels=LABELS, records=[ZoneRecord("203.0.113.7")]
    ).action.wait_until_finished()
    assert not delete_records(cloud, records=[{"value": "203.0.113.8"}])
    assert not delete_records(cloud, labels={"stack": "prod", "expires": "1"})
    assert not delete_records(cloud, labels=None)
    # A demo's end moves from run to run until one has finished.
    assert delete_records(cloud, labels={"stack": "staging", "expires": "2"})
    kinds = {each.type for each in cloud.client.zones.get_rrset_all(zone)}
    assert kinds == {"SOA", "NS"}


def test_a_record_set_that_is_not_there_any_more_is_no_reason_to_try_again(cloud: Cloud) -> None:
    cloud.client.zones.create(name="example.com", mode="primary")
    with pytest.raises(hetzner.CloudError, match="not_found"):
        delete_records(cloud)


@pytest.fixture
def address(cloud: Cloud) -> Any:
    """A primary IP, and a server `web` that holds it."""
    made = cloud.client.primary_ips.create(
        type="ipv4", name="web-ipv4", location=FSN1, assignee_type="server", auto_delete=False
    ).primary_ip
    cloud.server(public_net=ServerCreatePublicNetwork(ipv4=made, enable_ipv6=False))
    return made


def delete(cloud: Cloud, *addresses: object) -> bool:
    return hetzner.delete_unfinished(
        token="d" * 64,
        endpoint=f"{cloud.url}/v1",
        name="web",
        addresses=[str(each) for each in addresses],
        seconds=5,
    )


def test_a_server_whose_answer_was_lost_is_deleted_by_the_address_it_holds(
    cloud: Cloud, address: Any
) -> None:
    assert not delete(cloud, address.id + 1)
    assert len(cloud.client.servers.get_all()) == 1
    assert delete(cloud, address.id)
    assert cloud.client.servers.get_all() == []
    assert not delete(cloud, address.id)


def test_a_server_with_a_volume_or_a_protection_is_never_deleted(
    cloud: Cloud, address: Any
) -> None:
    (server,) = cloud.client.servers.get_all()
    server.change_protection(delete=True, rebuild=True).wait_until_finished()
    assert not delete(cloud, address.id)
    server.change_protection(delete=False, rebuild=False).wait_until_finished()
    made = cloud.client.volumes.create(size=10, name="data", location=FSN1)
    made.volume.attach(server).wait_until_finished()
    assert not delete(cloud, address.id)
    assert len(cloud.client.servers.get_all()) == 1


def test_a_server_left_off_is_started_again(cloud: Cloud) -> None:
    server = cloud.server()
    ask = {"token": "d" * 64, "endpoint": f"{cloud.url}/v1", "name": "web"}
    assert not hetzner.power_on(**ask)
    server.power_off().wait_until_finished()
    assert hetzner.power_on(**ask)
    cloud.settled()
    assert cloud.client.servers.get_by_name("web").status == "running"
