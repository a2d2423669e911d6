"""The API takes the names and labels of any branch, and finds a stack by them."""

from hcloud.locations import Location
from hcloud.zones import ZoneRecord

from components import labels, naming
from tests.unit.conftest import PROJECT
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud

BRANCHES = [
    "feature-demo/hello",
    "feature-demo/Foo",
    "feature-demo/foo",
    "feature-demo/größe/日本",
    ";rm -rf /",
    "$(reboot)",
    "--help",
    "x" * 255,
    "feature-demo/staging",
    "feature-demo/a_b.c",
]


def test_every_branch_gets_things_of_its_own_that_its_labels_find(cloud: Cloud) -> None:
    zone = cloud.client.zones.create(name="example.test", mode="primary").zone
    for branch in BRANCHES:
        stack = naming.stack_of_branch(branch)
        name = naming.resource_name(PROJECT, stack)
        made = labels.labels(
            project=PROJECT, stack=stack, stage="demo", branch=branch, expires=1893456000
        )
        cloud.client.volumes.create(
            size=10, name=f"{name}-data", location=Location(name="fsn1"), labels=made
        )
        cloud.client.firewalls.create(name=name, labels=made)
        cloud.client.zones.create_rrset(
            zone,
            name=naming.host_label(stack),
            type="A",
            ttl=300,
            records=[ZoneRecord(value="203.0.113.10")],
            labels=made,
        )
    for branch in BRANCHES:
        stack = naming.stack_of_branch(branch)
        found = labels.selector(project=PROJECT, stack=stack)
        (volume,) = cloud.client.volumes.get_all(label_selector=found)
        assert volume.labels["branch"] == naming.branch_slug(branch)
        (rrset,) = zone.get_rrset_all(label_selector=found)
        assert rrset.name == naming.host_label(stack)
