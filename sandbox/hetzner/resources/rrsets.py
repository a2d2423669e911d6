"""Record sets of a zone."""

from typing import Any

from sandbox.hetzner import dns_records, labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid, not_found
from sandbox.hetzner.jobs import job
from sandbox.hetzner.listing import Answer, page, select
from sandbox.hetzner.resources.zones import act, find_primary_zone, published, put_set
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()

ONE = "/zones/{zone}/rrsets/{name}/{type}"


def render(rrset: Record) -> dict[str, Any]:
    """A record set as the API shows it."""
    shown = ("name", "type", "ttl", "labels", "protection", "zone")
    return {
        "id": f"{rrset['name']}/{rrset['type']}",
        **{name: rrset[name] for name in shown},
        "records": rrset["records"],
    }


def _find(call: Call) -> tuple[Record, Record]:
    """The zone and the record set of the path."""
    zone, name, kind = find_primary_zone(call), call.params["name"], call.params["type"]
    rrset = call.store.get("rrset", dns_records.key(zone, name, kind), call.project)
    if rrset is None:
        raise not_found("rrset", f"{name}/{kind}")
    return zone, rrset


def _find_changeable(call: Call) -> tuple[Record, Record]:
    zone, rrset = _find(call)
    if rrset["protection"]["change"]:
        raise ApiError("protected", "record set is change protected")
    return zone, rrset


@routes.get("/zones/{zone}/rrsets")
def list_rrsets(call: Call) -> Answer:
    """All record sets of a zone."""
    zone = find_primary_zone(call)
    sets = dns_records.sets_of(call.store, zone)
    chosen = select(sets, call.query, ("name", "type"))
    return page("rrsets", call.path, chosen, render, call.query, most=100)


@routes.post("/zones/{zone}/rrsets")
def create_rrset(call: Call) -> Answer:
    """A new record set."""
    zone = find_primary_zone(call)
    rrset = put_set(call.store, zone, call.body)
    return Answer(201, {"rrset": render(rrset), "action": act(call, zone, "create_rrset")})


@routes.get(ONE)
def get_rrset(call: Call) -> Answer:
    """One record set."""
    return Answer(200, {"rrset": render(_find(call)[1])})


@routes.put(ONE)
def update_rrset(call: Call) -> Answer:
    """Its labels."""
    _, rrset = _find(call)
    if "labels" in call.body:
        labels.check(call.body["labels"])
        rrset["labels"] = call.body["labels"]
        call.store.save("rrset", rrset)
    return Answer(200, {"rrset": render(rrset)})


@routes.delete(ONE)
def delete_rrset(call: Call) -> Answer:
    """Remove it with all its records."""
    zone, rrset = _find_changeable(call)
    if rrset["type"] == "SOA":
        raise invalid(type="the SOA record set cannot be deleted")
    call.store.remove("rrset", rrset["id"])
    return Answer(201, {"action": act(call, zone, "delete_rrset")})


@routes.post(ONE + "/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Whether it may be changed or deleted."""
    zone, rrset = _find(call)
    call.store.change("rrset", rrset["id"], protection={"change": call.body["change"]})
    return Answer(201, {"action": act(call, zone, "change_rrset_protection")})


@routes.post(ONE + "/actions/change_ttl")
def change_ttl(call: Call) -> Answer:
    """Its time to live; null takes the zone's."""
    zone, rrset = _find_changeable(call)
    call.store.change("rrset", rrset["id"], ttl=call.body["ttl"])
    return Answer(201, {"action": act(call, zone, "change_rrset_ttl")})


@routes.post(ONE + "/actions/set_records")
def set_records(call: Call) -> Answer:
    """Replace its records."""
    zone, rrset = _find_changeable(call)
    records = dns_records.check_values(rrset["type"], call.body["records"])
    call.store.change("rrset", rrset["id"], records=records)
    return Answer(201, {"action": act(call, zone, "set_rrset_records")})


@routes.post(ONE + "/actions/add_records")
def add_records(call: Call) -> Answer:
    """Add records, making the record set when it is not there."""
    zone, name, kind = find_primary_zone(call), call.params["name"], call.params["type"]
    ttl = call.body.get("ttl")
    if call.store.get("rrset", dns_records.key(zone, name, kind)) is None:
        if kind not in dns_records.TYPES:
            raise invalid(type=f"'{kind}' is not a record type")
        new = {"name": name, "type": kind, "ttl": ttl, "records": call.body["records"]}
        put_set(call.store, zone, new)
    else:
        zone, rrset = _find_changeable(call)
        if ttl is not None and rrset["ttl"] not in (None, ttl):
            raise invalid(ttl="must be the record set's own")
        records = dns_records.check_values(kind, [*rrset["records"], *call.body["records"]])
        own_ttl = rrset["ttl"] if ttl is None else ttl
        call.store.change("rrset", rrset["id"], records=records, ttl=own_ttl)
    return Answer(201, {"action": act(call, zone, "add_rrset_records")})


@routes.post(ONE + "/actions/remove_records")
def remove_records(call: Call) -> Answer:
    """Take records out; without any left the record set is gone."""
    zone, rrset = _find_changeable(call)
    gone = {record["value"] for record in call.body["records"]}
    if missing := gone - {record["value"] for record in rrset["records"]}:
        raise invalid(records=f"record '{sorted(missing)[0]}' is not in the record set")
    kept = [record for record in rrset["records"] if record["value"] not in gone]
    if kept:
        call.store.change("rrset", rrset["id"], records=kept)
    else:
        call.store.remove("rrset", rrset["id"])
    return Answer(201, {"action": act(call, zone, "remove_rrset_records")})


@routes.post(ONE + "/actions/update_records")
def update_records(call: Call) -> Answer:
    """Change the comments of records."""
    zone, rrset = _find_changeable(call)
    comments = {record["value"]: record["comment"] for record in call.body["records"]}
    if missing := set(comments) - {record["value"] for record in rrset["records"]}:
        raise invalid(records=f"record '{sorted(missing)[0]}' is not in the record set")
    records = [
        {"value": r["value"], "comment": comments.get(r["value"], r["comment"])}
        for r in rrset["records"]
    ]
    call.store.change("rrset", rrset["id"], records=records)
    return Answer(200, {"action": act(call, zone, "update_rrset_records")})


for _command in (
    "create_rrset",
    "delete_rrset",
    "change_rrset_protection",
    "change_rrset_ttl",
    "set_rrset_records",
    "add_rrset_records",
    "remove_rrset_records",
    "update_rrset_records",
):
    job(_command)(published)
