"""Every kind of resource the sandbox's API holds; the test's settings change most of them."""

import pulumi
import pulumi_hcloud as hcloud

config = pulumi.Config()
changed = config.get_bool("changed") or False
protected = config.get_bool("protected") or False
moved = config.get_bool("moved") or False
alone = config.get_bool("alone") or False
location = "nbg1"
labels = {"stack": "changed" if changed else "first"}
public = ["0.0.0.0/0", "::/0"]

key = hcloud.SshKey("key", public_key=config.require("publicKey"), labels=labels)
ipv4 = hcloud.PrimaryIp(
    "ipv4",
    type="ipv4",
    location=location,
    auto_delete=False,
    labels=labels,
    delete_protection=protected,
)
ipv6 = hcloud.PrimaryIp("ipv6", type="ipv6", location=location, auto_delete=False)
other_ipv4 = hcloud.PrimaryIp(
    "other-ipv4",
    type="ipv4",
    location=location,
    auto_delete=False,
    # The first address of all is the server's.
    opts=pulumi.ResourceOptions(depends_on=[ipv4]),
)
firewall = hcloud.Firewall(
    "firewall",
    labels=labels,
    rules=[
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": public},
        {
            "direction": "in",
            "protocol": "tcp",
            "port": "443" if changed else "80-81",
            "source_ips": public,
            "description": "web",
        },
        {"direction": "in", "protocol": "icmp", "source_ips": public},
    ],
)
group = hcloud.PlacementGroup("group", type="spread", labels=labels)
volume = hcloud.Volume(
    "volume",
    size=20 if changed else 10,
    location=location,
    format="ext4",
    labels=labels,
    delete_protection=protected,
)
server = hcloud.Server(
    "server",
    server_type="cx33" if changed else "cx23",
    image="debian-13",
    location=location,
    ssh_keys=[key.id],
    firewall_ids=[firewall.id.apply(int)],
    placement_group_id=None if alone else group.id.apply(int),
    public_nets=[
        {
            "ipv4_enabled": True,
            "ipv4": (other_ipv4 if moved else ipv4).id.apply(int),
            "ipv6_enabled": True,
            "ipv6": ipv6.id.apply(int),
        }
    ],
    user_data="#cloud-config\n",
    labels=labels,
    delete_protection=protected,
    rebuild_protection=protected,
    shutdown_before_deletion=True,
)
hcloud.VolumeAttachment(
    "attachment", volume_id=volume.id.apply(int), server_id=server.id.apply(int), automount=False
)
hcloud.Rdns(
    "reverse",
    primary_ip_id=ipv4.id.apply(int),
    ip_address=ipv4.ip_address,
    dns_ptr="www.provider.test",
)
hcloud.Rdns(
    "reverse6",
    server_id=server.id.apply(int),
    ip_address=server.ipv6_address,
    dns_ptr="www.provider.test",
)
spare = hcloud.Firewall("spare", rules=[])
hcloud.FirewallAttachment(
    "selected", firewall_id=spare.id.apply(int), label_selectors=["role=none"]
)
zone = hcloud.Zone(
    "zone",
    name="provider.test",
    mode="primary",
    ttl=600 if changed else 300,
    labels=labels,
    delete_protection=protected,
)
hcloud.Zone(
    "fetched",
    name="fetched.test",
    mode="secondary",
    primary_nameservers=[{"address": "203.0.113.2" if changed else "203.0.113.1"}],
)
address = hcloud.ZoneRrset(
    "www",
    zone=zone.name,
    name="www",
    type="A",
    ttl=120 if changed else 60,
    records=[{"value": ipv4.ip_address}],
    labels=labels,
    change_protection=protected,
)
hcloud.ZoneRrset(
    "www6", zone=zone.name, name="www", type="AAAA", records=[{"value": server.ipv6_address}]
)
hcloud.ZoneRrset(
    "text",
    zone=zone.name,
    name="@",
    type="TXT",
    records=[{"value": '"v=spf1 -all"' if changed else '"first"'}],
)
hcloud.ZoneRecord("record", zone=zone.name, name="api", type="A", value=ipv4.ip_address)

pulumi.export("address", server.ipv4_address)
pulumi.export("device", volume.linux_device)
image = hcloud.get_image(name="debian-13", with_architecture="x86")
pulumi.export("image", hcloud.get_image(id=image.id).name)
kind = hcloud.get_server_type(name="cx23")
pulumi.export("cores", hcloud.get_server_type(id=kind.id).cores)
places = hcloud.get_locations().locations
pulumi.export("location", hcloud.get_location(id=places[0].id).name)
pulumi.export("locations", len(places))
pulumi.export("zones", zone.name.apply(lambda name: hcloud.get_zone(name=name).ttl))
pulumi.export("records", hcloud.get_zone_rrsets_output(zone=zone.name).rrsets.apply(len))
pulumi.export(
    "none",
    [
        *hcloud.get_certificates().certificates,
        *hcloud.get_load_balancers().load_balancers,
        *hcloud.get_load_balancer_types().load_balancer_types,
        *hcloud.get_networks().networks,
    ],
)
