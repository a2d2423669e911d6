"""The work behind servers' actions: what the records say, done to the hosts."""

from sandbox.hetzner import addresses, catalogue, labels
from sandbox.hetzner.cloud import Cloud
from sandbox.hetzner.jobs import LOCKING, job, server_of
from sandbox.hosts.interface import Hosts, HostSpec, Rule
from sandbox.store import Record, Store


def server_type(name: str) -> Record:
    """A server type by the name a record keeps."""
    return next(kind for kind in catalogue.server_types() if kind["name"] == name)


def image(number: int) -> Record:
    """An image by the number a record keeps."""
    return next(image for image in catalogue.images() if image["id"] == number)


def spec_of(store: Store, server: Record) -> HostSpec:
    """Everything a host is made from."""
    kind = server_type(server["server_type"])
    ips = addresses.of_server(store, server["id"])
    return HostSpec(
        server_id=server["id"],
        name=server["name"],
        image=image(server["image"])["name"],
        user_data=server["user_data"],
        ssh_keys=tuple(server["keys"]),
        root_password_hash=server["root_password_hash"],
        cores=int(kind["cores"]),
        memory_gb=float(kind["memory"]),
        ipv4=addresses.host_address(ips["ipv4"]) if "ipv4" in ips else None,
        ipv6=addresses.host_address(ips["ipv6"]) if "ipv6" in ips else None,
    )


def firewalls_of(store: Store, server: Record) -> list[Record]:
    """The firewalls that hold for a server, directly or by its labels."""
    return [
        firewall
        for firewall in store.all("firewall", server["project"])
        if any(_applies(target, server) for target in firewall["applied_to"])
    ]


def _applies(target: Record, server: Record) -> bool:
    if target["type"] == "server":
        return bool(target["server"]["id"] == server["id"])
    return labels.matches(target["label_selector"]["selector"], server["labels"])


def rules_of(store: Store, server: Record) -> tuple[Rule, ...] | None:
    """The rules of all its firewalls together; None without a firewall."""
    firewalls = firewalls_of(store, server)
    if not firewalls:
        return None
    return tuple(
        Rule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=None if rule["port"] == "any" else rule["port"],
            networks=tuple(
                rule["source_ips"] if rule["direction"] == "in" else rule["destination_ips"]
            ),
        )
        for firewall in firewalls
        for rule in firewall["rules"]
    )


def note_power(store: Store, hosts: Hosts, number: int) -> None:
    """Write what a server is doing that was switched from inside, not by an action."""
    state = hosts.state(number)
    with store.transaction():
        server = store.get("server", number)
        if server is None or state == "missing":
            return
        switching = any(entry["command"] in LOCKING for entry in server["busy"])
        if not switching and server["status"] in ("running", "off"):
            store.change("server", number, status=state)


def _server(cloud: Cloud, action: Record) -> Record:
    found = cloud.store.get("server", server_of(action) or 0)
    if found is None:
        raise LookupError("the server is gone")
    return found


def _boot(cloud: Cloud, server: Record) -> None:
    """Run the host, making it first if this is its first start."""
    store, hosts, number = cloud.store, cloud.hosts, server["id"]
    store.change("server", number, status="starting")
    state = hosts.state(number)
    if state == "missing":
        hosts.create(spec_of(store, server))
        # From here on the hosts keep both through every start.
        hosts.set_firewall(number, rules_of(store, server))
        for volume in store.all("volume", server["project"]):
            if volume["server"] == number:
                hosts.attach_volume(volume["id"], number, False)
    elif state == "off":
        hosts.power_on(number)
    cloud.faults.on_boot(server)
    store.change("server", number, status="running")


def _halt(cloud: Cloud, server: Record) -> None:
    """Off at once; a host that was never started is off already."""
    if cloud.hosts.state(server["id"]) == "running":
        cloud.hosts.power_off(server["id"])


@job("create_server")
def create_server(cloud: Cloud, action: Record) -> None:
    """Make the host; one that is not to start is made at its first start."""
    server = _server(cloud, action)
    if action["args"]["start"]:
        _boot(cloud, server)
    else:
        cloud.store.change("server", server["id"], status="off")


@job("start_server")
def start_server(cloud: Cloud, action: Record) -> None:
    """Power on."""
    _boot(cloud, _server(cloud, action))


@job("stop_server")
def stop_server(cloud: Cloud, action: Record) -> None:
    """Power off, without asking the guest."""
    server = _server(cloud, action)
    cloud.store.change("server", server["id"], status="stopping")
    _halt(cloud, server)
    cloud.store.change("server", server["id"], status="off")


@job("shutdown_server")
def shutdown_server(cloud: Cloud, action: Record) -> None:
    """Ask the guest to stop."""
    server = _server(cloud, action)
    cloud.store.change("server", server["id"], status="stopping")
    if cloud.hosts.state(server["id"]) == "running":
        cloud.hosts.shutdown(server["id"])
    ended = cloud.hosts.state(server["id"]) != "running"
    cloud.store.change("server", server["id"], status="off" if ended else "running")


@job("reboot_server")
def reboot_server(cloud: Cloud, action: Record) -> None:
    """Ask the guest to stop, then start it again."""
    server = _server(cloud, action)
    cloud.hosts.reboot(server["id"])
    _boot(cloud, server)


@job("reset_server")
def reset_server(cloud: Cloud, action: Record) -> None:
    """Cut the power, then start again."""
    server = _server(cloud, action)
    cloud.hosts.reset(server["id"])
    _boot(cloud, server)


@job("rebuild_server")
def rebuild_server(cloud: Cloud, action: Record) -> None:
    """A fresh disk; the server runs afterwards."""
    server = _server(cloud, action)
    cloud.store.change("server", server["id"], status="rebuilding")
    if cloud.hosts.state(server["id"]) != "missing":
        cloud.hosts.rebuild(spec_of(cloud.store, server))
    _boot(cloud, server)


@job("change_server_type")
def change_server_type(cloud: Cloud, action: Record) -> None:
    """More or fewer cores and memory; the server is started afterwards."""
    server, args = _server(cloud, action), action["args"]
    kind = server_type(args["server_type"])
    cloud.store.change("server", server["id"], status="migrating")
    if cloud.hosts.state(server["id"]) != "missing":
        cloud.hosts.resize(server["id"], int(kind["cores"]), float(kind["memory"]))
    disk = kind["disk"] if args["upgrade_disk"] else server["primary_disk_size"]
    changed = cloud.store.change(
        "server", server["id"], server_type=kind["name"], primary_disk_size=disk
    )
    _boot(cloud, changed or server)


@job("delete_server")
def delete_server(cloud: Cloud, action: Record) -> None:
    """Remove the host; volumes and kept primary IPs are only let go."""
    store, number = cloud.store, server_of(action) or 0
    server = store.get("server", number)
    if server is None:
        return
    cloud.hosts.delete(number)
    for volume in store.all("volume", server["project"]):
        if volume["server"] == number:
            cloud.hosts.detach_volume(volume["id"])
    with store.transaction():
        for volume in store.all("volume", server["project"]):
            if volume["server"] == number:
                store.change("volume", volume["id"], server=None)
        for primary_ip in addresses.of_server(store, number).values():
            if primary_ip["auto_delete"]:
                store.remove("primary_ip", primary_ip["id"])
            else:
                store.change("primary_ip", primary_ip["id"], assignee_id=None)
        for firewall in store.all("firewall", server["project"]):
            kept = [t for t in firewall["applied_to"] if t.get("server", {}).get("id") != number]
            store.change("firewall", firewall["id"], applied_to=kept)
        store.remove("server", number)


@job("assign_primary_ip")
@job("unassign_primary_ip")
def move_addresses(cloud: Cloud, action: Record) -> None:
    """Give the host the addresses its records say."""
    server = cloud.store.get("server", server_of(action) or 0)
    if server is not None and cloud.hosts.state(server["id"]) != "missing":
        spec = spec_of(cloud.store, server)
        cloud.hosts.set_addresses(server["id"], spec.ipv4, spec.ipv6)


@job("set_firewall_rules")
@job("apply_firewall")
@job("remove_firewall")
def settle_firewall(cloud: Cloud, action: Record) -> None:
    """Give every host the action may have touched the rules its records say."""
    direct = server_of(action)
    numbers = [direct] if direct is not None else action["args"].get("servers", [])
    for number in numbers:
        server = cloud.store.get("server", number)
        if server is not None and cloud.hosts.state(number) != "missing":
            cloud.hosts.set_firewall(number, rules_of(cloud.store, server))
