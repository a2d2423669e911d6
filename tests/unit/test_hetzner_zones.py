"""Zones and record sets through the official client."""

import pytest
from hcloud.zones import ZonePrimaryNameserver, ZoneRecord

from sandbox import credentials, serve
from sandbox.hetzner.resources.zones import new_zone
from sandbox.store import Store
from tests.unit.hetzner_cloud import Cloud, refused
from tests.unit.hetzner_cloud import cloud as cloud


def records(rrset: object) -> list[str]:
    return sorted(record.value for record in rrset.records)  # type: ignore[attr-defined]


def test_a_new_zone_has_its_name_servers(cloud: Cloud) -> None:
    made = cloud.client.zones.create(name="example.test", mode="primary", labels={"a": "b"})
    made.action.wait_until_finished()
    zone = cloud.client.zones.get("example.test")
    assert (zone.id, zone.ttl, zone.record_count) == (made.zone.id, 3600, 4)
    assert [rrset.id for rrset in zone.get_rrset_all()] == ["@/SOA", "@/NS"]
    with refused("invalid_input"):
        zone.get_rrset("@", "SOA").delete_rrset()
    with refused("uniqueness_error"):
        cloud.client.zones.create(name="example.test", mode="primary")
    with refused("uniqueness_error"):
        cloud.client_for("p" * 64).zones.create(name="example.test", mode="primary")


def test_a_zone_is_changed_protected_and_deleted(cloud: Cloud) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    assert zone.update(labels={"x": "y"}).labels == {"x": "y"}
    zone.change_ttl(60).wait_until_finished()
    zone.change_protection(delete=True).wait_until_finished()
    with refused("protected"):
        zone.delete()
    zone.change_protection(delete=False).wait_until_finished()
    with refused("incorrect_zone_mode"):
        zone.change_primary_nameservers([ZonePrimaryNameserver(address="192.0.2.1")])
    zone.delete().action.wait_until_finished()
    assert cloud.client.zones.get_all() == []
    assert cloud.store.all("rrset") == []


def test_a_record_set_lives_through_all_its_changes(cloud: Cloud) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    made = zone.create_rrset(
        name="www", type="A", ttl=60, records=[ZoneRecord("203.0.113.10", comment="first")]
    )
    made.action.wait_until_finished()
    rrset = made.rrset
    assert (rrset.id, rrset.ttl, records(rrset)) == ("www/A", 60, ["203.0.113.10"])
    with refused("uniqueness_error"):
        zone.create_rrset(name="www", type="A", records=[ZoneRecord("203.0.113.10")])
    rrset.add_rrset_records([ZoneRecord("203.0.113.11")]).wait_until_finished()
    with refused("invalid_input"):
        rrset.add_rrset_records([ZoneRecord("203.0.113.11")])
    with refused("invalid_input"):
        rrset.add_rrset_records([ZoneRecord("203.0.113.12")], ttl=120)
    rrset.update_rrset_records([ZoneRecord("203.0.113.11", comment="b")]).wait_until_finished()
    rrset.change_rrset_ttl(None).wait_until_finished()
    rrset = zone.get_rrset("www", "A")
    assert rrset.ttl is None
    assert {r.value: r.comment for r in rrset.records} == {
        "203.0.113.10": "first",
        "203.0.113.11": "b",
    }
    rrset.remove_rrset_records([ZoneRecord("203.0.113.10")]).wait_until_finished()
    with refused("invalid_input"):
        rrset.remove_rrset_records([ZoneRecord("203.0.113.10")])
    with refused("invalid_input"):
        rrset.update_rrset_records([ZoneRecord("203.0.113.10", comment="x")])
    rrset.set_rrset_records([ZoneRecord("203.0.113.20")]).wait_until_finished()
    assert records(zone.get_rrset("www", "A")) == ["203.0.113.20"]
    assert rrset.update_rrset(labels={"a": "b"}).labels == {"a": "b"}
    rrset.change_rrset_protection(change=True).wait_until_finished()
    for act in (
        rrset.delete_rrset,
        lambda: rrset.change_rrset_ttl(60),
        lambda: rrset.set_rrset_records([ZoneRecord("203.0.113.21")]),
    ):
        with refused("protected"):
            act()
    rrset.change_rrset_protection(change=False).wait_until_finished()
    rrset.delete_rrset().action.wait_until_finished()
    with refused("not_found"):
        zone.get_rrset("www", "A")


def test_records_added_make_their_set_and_the_last_one_takes_it_along(cloud: Cloud) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    path = f"/zones/{zone.id}/rrsets/api/AAAA/actions"
    body = {"records": [{"value": "2001:db8::1"}], "ttl": 300}
    assert cloud.raw.post(f"{path}/add_records", json=body).status_code == 201
    assert zone.get_rrset("api", "AAAA").ttl == 300
    body = {"records": [{"value": "2001:db8::1"}]}
    assert cloud.raw.post(f"{path}/remove_records", json=body).status_code == 201
    assert cloud.raw.get(f"/zones/{zone.id}/rrsets/api/AAAA").status_code == 404


def test_zones_do_not_share_record_sets(cloud: Cloud) -> None:
    first = cloud.client.zones.create(name="one.test", mode="primary").zone
    second = cloud.client.zones.create(name="two.test", mode="primary").zone
    for zone, address in ((first, "203.0.113.1"), (second, "203.0.113.2")):
        zone.create_rrset(name="@", type="A", records=[ZoneRecord(address)])
    assert records(first.get_rrset("@", "A")) == ["203.0.113.1"]
    assert records(second.get_rrset("@", "A")) == ["203.0.113.2"]


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("www", "A", ["2001:db8::1"]),
        ("www", "A", ["203.0.113.1", "203.0.113.1"]),
        ("www", "A", []),
        ("www", "AAAA", ["203.0.113.1"]),
        ("www", "TXT", ["no quotes"]),
        ("www", "TXT", ['"']),
        ("www", "MX", ["mail.example.test."]),
        ("www", "CNAME", ["a.example.test.", "b.example.test."]),
        ("www", "CAA", ["letsencrypt.org"]),
        ("www", "NONSENSE", ["x"]),
        ("WWW", "A", ["203.0.113.1"]),
        ("www.", "A", ["203.0.113.1"]),
        ("a..b", "A", ["203.0.113.1"]),
        ("taken", "CNAME", ["a.example.test."]),
    ],
)
def test_what_dns_cannot_hold_is_refused(
    cloud: Cloud, name: str, kind: str, values: list[str]
) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    zone.create_rrset(name="taken", type="A", records=[ZoneRecord("203.0.113.1")])
    body = {"name": name, "type": kind, "records": [{"value": value} for value in values]}
    answer = cloud.raw.post(f"/zones/{zone.id}/rrsets", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_input"


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("*", "A", "203.0.113.1"),
        ("*.demo", "A", "203.0.113.1"),
        ("_acme-challenge.www", "TXT", '"token" "more of it"'),
        ("@", "CAA", '0 issue "letsencrypt.org"'),
        ("@", "MX", "10 mail.example.test."),
        ("_sip._tcp", "SRV", "10 5 5060 sip.example.test."),
    ],
)
def test_what_dns_can_hold_is_kept_as_written(
    cloud: Cloud, name: str, kind: str, value: str
) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    zone.create_rrset(name=name, type=kind, records=[ZoneRecord(value)])
    assert records(zone.get_rrset(name, kind)) == [value]


@pytest.mark.parametrize("name", ["Example.test", "example.test.", "test", "-a.test", "a b.test"])
def test_a_zone_needs_a_domain_name(cloud: Cloud, name: str) -> None:
    with refused("invalid_input"):
        cloud.client.zones.create(name=name, mode="primary")


@pytest.mark.parametrize(("name", "kept"), [("a.test", True), ("a.co.ke", True),
                                            ("b.a.test", False), ("b.a.co.ke", False)])  # fmt: skip
def test_there_is_no_zone_for_a_subdomain(cloud: Cloud, name: str, kept: bool) -> None:
    if kept:
        assert cloud.client.zones.create(name=name, mode="primary").zone.name == name
        return
    with refused("invalid_input") as told:
        cloud.client.zones.create(name=name, mode="primary")
    assert "subdomains are not supported" in str(told.value.details)


def test_an_older_sandbox_gets_zones_that_have_been_added_and_none_that_were_deleted() -> None:
    store = Store()
    for project, zone in (("prod", "example.test"), ("demo", "demo-of-old.test")):
        new_zone(store, project, zone)
    store.set_setting("seeded", True)

    def names() -> set[str]:
        return {zone["name"] for zone in store.all("zone")}

    serve.seed(store)
    assert names() == {*credentials.ZONES.values(), "demo-of-old.test"}
    (demo,) = (each for each in store.all("zone") if each["name"] == credentials.ZONES["demo"])
    store.remove("zone", demo["id"])
    serve.seed(store)
    assert credentials.ZONES["demo"] not in names()
    store.close()


def test_a_zone_file_goes_in_and_comes_out(cloud: Cloud) -> None:
    text = '$TTL 300\n@ IN A 203.0.113.1\nwww IN CNAME @\n@ 60 IN TXT "a b"\n'
    made = cloud.client.zones.create(name="example.test", mode="primary", zonefile=text)
    zone = made.zone
    assert [r.id for r in zone.get_rrset_all()] == ["@/SOA", "@/NS", "@/A", "@/TXT", "www/CNAME"]
    out = zone.export_zonefile().zonefile
    assert "$ORIGIN\texample.test." in out
    assert "www\t300\tIN\tCNAME\texample.test." in out
    zone.import_zonefile(out.replace("203.0.113.1", "203.0.113.2")).wait_until_finished()
    assert records(zone.get_rrset("@", "A")) == ["203.0.113.2"]
    with refused("invalid_input"):
        zone.import_zonefile("what is this")
    zone.get_rrset("@", "A").change_rrset_protection(change=True)
    with refused("protected"):
        zone.import_zonefile(text)


def test_a_secondary_zone_is_kept_elsewhere(cloud: Cloud) -> None:
    with refused("invalid_input"):
        cloud.client.zones.create(name="example.test", mode="secondary")
    servers = [ZonePrimaryNameserver(address="192.0.2.1")]
    zone = cloud.client.zones.create(
        name="example.test", mode="secondary", primary_nameservers=servers
    ).zone
    servers = [ZonePrimaryNameserver(address="192.0.2.2", port=5353)]
    zone.change_primary_nameservers(servers).wait_until_finished()
    zone = cloud.client.zones.get("example.test")
    assert [(s.address, s.port) for s in zone.primary_nameservers] == [("192.0.2.2", 5353)]
    for act in (zone.get_rrset_all, lambda: zone.change_ttl(60), zone.export_zonefile):
        with refused("incorrect_zone_mode"):
            act()
