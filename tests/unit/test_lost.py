"""What an `up` that was killed has left at Hetzner: whose it is, and what becomes of it."""

from typing import Any

import pytest
from hcloud.locations import Location
from hcloud.servers import ServerCreatePublicNetwork

from planning import cloud as hetzner
from planning import lasting
from planning.record import Record, Recorded
from settings_model import Settings
from tests.unit.hetzner_cloud import FSN1, KEY, Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.test_plan import application as application
from tests.unit.test_plan import wanted

LABELS = {"stack": "staging", "project": "app"}
NAME = "app-staging"


def ask(cloud: Cloud) -> dict[str, Any]:
    return {"token": "d" * 64, "endpoint": f"{cloud.url}/v1"}


def found(cloud: Cloud, **other: Any) -> dict[str, str]:
    return hetzner.lasting(
        **ask(cloud),
        **{
            "name": NAME,
            "labels": LABELS,
            "location": "fsn1",
            "kinds": {"ipv4", "ipv6", "volume"},
            **other,
        },
    )


@pytest.fixture
def made(cloud: Cloud) -> dict[str, Any]:
    """A stage's addresses and volume, which nothing uses."""
    return {
        **{
            kind: cloud.client.primary_ips.create(
                type=kind, name=f"{NAME}-{kind}", location=FSN1, auto_delete=False,
                assignee_type="server", labels=LABELS,
            ).primary_ip
            for kind in ("ipv4", "ipv6")
        },
        "volume": cloud.client.volumes.create(
            size=10, name=f"{NAME}-data", location=FSN1, labels=LABELS
        ).volume,
    }  # fmt: skip


def test_a_stages_addresses_and_volume_are_found_by_name_and_labels(
    cloud: Cloud, made: dict[str, Any]
) -> None:
    assert found(cloud) == {kind: str(each.id) for kind, each in made.items()}
    assert found(cloud, kinds={"volume"}) == {"volume": str(made["volume"].id)}
    assert found(cloud, labels={**LABELS, "stack": "prod"}) == {}
    assert found(cloud, location="nbg1") == {}


def test_what_something_uses_is_another_states(cloud: Cloud, made: dict[str, Any]) -> None:
    net = ServerCreatePublicNetwork(ipv4=made["ipv4"], enable_ipv6=False)
    server = cloud.server(location=Location(name="fsn1"), public_net=net)
    made["volume"].attach(server).wait_until_finished()
    assert found(cloud) == {"ipv6": str(made["ipv6"].id)}


def test_that_a_location_was_full_is_noted_and_still_of_this_stack(
    cloud: Cloud, made: dict[str, Any]
) -> None:
    def full(location: str = "fsn1", address: object = made["ipv4"].id) -> bool:
        return hetzner.was_full(**ask(cloud), address=str(address), location=location)

    assert not full()
    hetzner.mark_full(**ask(cloud), addresses=[str(made["ipv4"].id)], location="fsn1")
    assert full()
    assert not full("nbg1")
    assert not full(address=made["ipv6"].id)
    assert not full(address=99)
    assert found(cloud, kinds={"ipv4"}) == {"ipv4": str(made["ipv4"].id)}


def delete(cloud: Cloud, kind: str, name: str, **other: Any) -> bool:
    inputs = {"name": name, "labels": {**LABELS, "expires": "2"}, **other}
    return hetzner.delete_left_over(**ask(cloud), kind=kind, wanted=inputs)


def test_what_a_killed_up_left_is_deleted_where_it_is_this_stacks(
    cloud: Cloud, made: dict[str, Any]
) -> None:
    labels = {**LABELS, "expires": "1"}
    cloud.client.ssh_keys.create(name="k", public_key=KEY, labels=labels)
    cloud.client.firewalls.create(name="f", labels=labels)
    for kind, name in (
        *(("SshKey", "k"), ("Firewall", "f")),
        *(("PrimaryIp", f"{NAME}-ipv4"), ("Volume", f"{NAME}-data")),
    ):
        assert not delete(cloud, kind, name, labels={"stack": "prod"})
        assert delete(cloud, kind, name)
        assert not delete(cloud, kind, name)


def test_what_is_used_or_protected_or_old_is_not_deleted(
    cloud: Cloud, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made["ipv6"].change_protection(delete=True).wait_until_finished()
    assert not delete(cloud, "PrimaryIp", f"{NAME}-ipv6")
    monkeypatch.setattr(hetzner, "YOUNG_SECONDS", -1)
    assert not delete(cloud, "Volume", f"{NAME}-data")


def settings(application: Any, cloud: Cloud, stack: str) -> Settings:
    return wanted(application, stack).model_copy(
        update={"hcloud_endpoint": f"{cloud.url}/v1", "hcloud_token": _Token()}
    )


class _Token:
    def get_secret_value(self) -> str:
        return "d" * 64


def test_only_what_the_state_lacks_is_asked_for_and_never_for_a_demo(
    cloud: Cloud, application: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def note(**given: Any) -> dict[str, str]:
        asked.append(given["kinds"])
        return {}

    monkeypatch.setattr(hetzner, "lasting", note)
    whole = tuple(
        Recorded(kind, f"staging-{name}", {})
        for kind, name in (("PrimaryIp", "ipv4"), ("PrimaryIp", "ipv6"), ("Volume", "volume"))
    )
    lasting.lost(settings(application, cloud, "staging"), Record(whole), "fsn1")
    lasting.lost(settings(application, cloud, "feature-demo-x"), Record(), "fsn1")
    assert asked == []
    lasting.lost(settings(application, cloud, "staging"), Record(whole[:1]), "fsn1")
    assert asked == [{"ipv6", "volume"}]
