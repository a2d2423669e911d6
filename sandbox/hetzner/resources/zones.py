"""DNS zones. Their record sets are `rrsets.py`."""

from typing import Any

from sandbox.hetzner import dns_records, labels
from sandbox.hetzner.cloud import Call, Cloud
from sandbox.hetzner.errors import ApiError, invalid, not_found
from sandbox.hetzner.jobs import job
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.naming import check_domain, check_record_name
from sandbox.hetzner.resources.actions import begun
from sandbox.hetzner.routing import Routes
from sandbox.store import Record, Store

routes = Routes()


def find_zone(call: Call) -> Record:
    """The zone of the path, by number or by name; raises `not_found`."""
    for zone in call.owned("zone"):
        if call.params["zone"] in (str(zone["id"]), zone["name"]):
            return zone
    raise not_found("zone", call.params["zone"])


def find_primary_zone(call: Call) -> Record:
    """A zone whose records are kept here; raises `incorrect_zone_mode`."""
    zone = find_zone(call)
    if zone["mode"] != "primary":
        raise ApiError("incorrect_zone_mode", "only zones in primary mode support this")
    return zone


def render(store: Store, zone: Record) -> dict[str, Any]:
    """A zone as the API shows it."""
    shown = ("id", "name", "mode", "ttl", "labels", "protection", "primary_nameservers")
    return {
        **{name: zone[name] for name in shown},
        "created": timestamp(zone["created"]),
        "status": "ok",
        "record_count": sum(len(r["records"]) for r in dns_records.sets_of(store, zone)),
        "registrar": "other",
        "authoritative_nameservers": {
            "assigned": dns_records.NAMESERVERS,
            "delegated": dns_records.NAMESERVERS,
            "delegation_last_check": timestamp(zone["created"]),
            "delegation_status": "valid",
        },
    }


def act(call: Call, zone: Record, command: str, **args: object) -> dict[str, Any]:
    """Begin an action on a zone; what it tells of is written already."""
    action = call.cloud.jobs.begin(call.project, command, [("zone", zone["id"])], **args)
    return begun(call, action)[0]


def put_set(store: Store, zone: Record, rrset: Record) -> Record:
    """Keep a new record set in a zone; raises `invalid_input`."""
    check_record_name(rrset["name"])
    labels.check(rrset.get("labels") or {})
    others = dns_records.sets_of(store, zone)
    dns_records.check_alone(others, rrset["name"], rrset["type"])
    record = {
        "id": dns_records.key(zone, rrset["name"], rrset["type"]),
        "zone": zone["id"],
        "name": rrset["name"],
        "type": rrset["type"],
        "ttl": rrset.get("ttl"),
        "records": dns_records.check_values(rrset["type"], rrset["records"]),
        "labels": rrset.get("labels") or {},
        "protection": {"change": False},
        "created": store.now(),
    }
    if store.get("rrset", record["id"]) is not None:
        raise ApiError("uniqueness_error", "record set already exists in the zone")
    return store.add("rrset", zone["project"], record)


def new_zone(store: Store, project: str, name: str, **more: Any) -> Record:
    """Keep a new zone with its first record sets; also used to seed a sandbox."""
    check_domain(name)
    if any(zone["name"] == name for zone in store.all("zone")):
        raise ApiError(
            "uniqueness_error",
            "zone is already managed here",
            {"fields": [{"name": "name", "messages": ["is already used"]}]},
        )
    zone = {
        "name": name,
        "mode": "primary",
        "ttl": 3600,
        "labels": {},
        "protection": {"delete": False},
        "primary_nameservers": [],
        "created": store.now(),
        **more,
    }
    added = store.add("zone", project, zone)
    if added["mode"] == "primary":
        for rrset in dns_records.initial_sets():
            put_set(store, added, rrset)
    return added


@routes.get("/zones")
def list_zones(call: Call) -> Answer:
    """All zones of the project."""
    chosen = select(call.owned("zone"), call.query, ("name", "mode"))
    return page("zones", call.path, chosen, lambda z: render(call.store, z), call.query)


@routes.post("/zones")
def create_zone(call: Call) -> Answer:
    """A new zone, possibly with record sets or a zone file."""
    body = call.body
    labels.check(body.get("labels") or {})
    if body.get("zonefile") and body.get("rrsets"):
        raise invalid(rrsets="must be empty when a zone file is given")
    more = {name: body[name] for name in ("ttl", "labels", "mode") if body.get(name)}
    servers = body.get("primary_nameservers") or []
    if body["mode"] == "secondary":
        if not servers:
            raise invalid(primary_nameservers="are required in secondary mode")
        more["primary_nameservers"] = [{"port": 53, **server} for server in servers]
    zone = new_zone(call.store, call.project, body["name"], **more)
    if zone["mode"] == "primary":
        given = body.get("rrsets") or []
        if body.get("zonefile"):
            given = _replaceable(dns_records.read(zone["name"], body["zonefile"]))
        for rrset in given:
            put_set(call.store, zone, rrset)
    action = act(call, zone, "create_zone")
    return Answer(201, {"zone": render(call.store, zone), "action": action})


def _replaceable(sets: list[Record]) -> list[Record]:
    """Without start of authority and name servers, which stay the API's own."""
    return [r for r in sets if not (r["type"] in ("SOA", "NS") and r["name"] == "@")]


@routes.get("/zones/{zone}")
def get_zone(call: Call) -> Answer:
    """One zone."""
    return Answer(200, {"zone": render(call.store, find_zone(call))})


@routes.put("/zones/{zone}")
def update_zone(call: Call) -> Answer:
    """Its labels."""
    zone = find_zone(call)
    if "labels" in call.body:
        labels.check(call.body["labels"])
        zone["labels"] = call.body["labels"]
        call.store.save("zone", zone)
    return Answer(200, {"zone": render(call.store, zone)})


@routes.delete("/zones/{zone}")
def delete_zone(call: Call) -> Answer:
    """Remove a zone with everything in it."""
    zone = find_zone(call)
    if zone["protection"]["delete"]:
        raise ApiError("protected", "zone is delete protected")
    for rrset in dns_records.sets_of(call.store, zone):
        call.store.remove("rrset", rrset["id"])
    call.store.remove("zone", zone["id"])
    return Answer(201, {"action": act(call, zone, "delete_zone")})


@routes.post("/zones/{zone}/actions/change_protection")
def change_protection(call: Call) -> Answer:
    """Whether it may be deleted."""
    zone = find_zone(call)
    call.store.change("zone", zone["id"], protection={**zone["protection"], **call.body})
    return Answer(201, {"action": act(call, zone, "change_protection")})


@routes.post("/zones/{zone}/actions/change_ttl")
def change_ttl(call: Call) -> Answer:
    """The time to live of record sets that have none of their own."""
    zone = find_primary_zone(call)
    call.store.change("zone", zone["id"], ttl=call.body["ttl"])
    return Answer(201, {"action": act(call, zone, "change_ttl")})


@routes.post("/zones/{zone}/actions/change_primary_nameservers")
def change_primary_nameservers(call: Call) -> Answer:
    """Where a secondary zone is fetched from."""
    zone = find_zone(call)
    if zone["mode"] != "secondary":
        raise ApiError("incorrect_zone_mode", "only zones in secondary mode support this")
    servers = [{"port": 53, **server} for server in call.body["primary_nameservers"]]
    call.store.change("zone", zone["id"], primary_nameservers=servers)
    return Answer(201, {"action": act(call, zone, "change_primary_nameservers")})


@routes.post("/zones/{zone}/actions/import_zonefile")
def import_zonefile(call: Call) -> Answer:
    """Replace every record set by those of a zone file."""
    zone = find_primary_zone(call)
    old = _replaceable(dns_records.sets_of(call.store, zone))
    if any(rrset["protection"]["change"] for rrset in old):
        raise ApiError("protected", "a record set of the zone is change protected")
    for rrset in old:
        call.store.remove("rrset", rrset["id"])
    for rrset in _replaceable(dns_records.read(zone["name"], call.body["zonefile"])):
        put_set(call.store, zone, rrset)
    return Answer(201, {"action": act(call, zone, "import_zonefile")})


@routes.get("/zones/{zone}/zonefile")
def export_zonefile(call: Call) -> Answer:
    """All record sets as a zone file."""
    zone = find_primary_zone(call)
    sets = dns_records.sets_of(call.store, zone)
    return Answer(200, {"zonefile": dns_records.export(zone, sets)})


@job("create_zone")
@job("delete_zone")
@job("change_protection")
@job("change_ttl")
@job("change_primary_nameservers")
@job("import_zonefile")
def published(cloud: Cloud, action: Record) -> None:
    """Nothing: the DNS server reads the same records, so the change is out."""
