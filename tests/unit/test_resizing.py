"""Another server type is refused while the server still runs where it could not become that."""

from typing import Any

import pytest

from planning import cloud as hetzner
from planning import staying
from planning.record import Record
from settings_model import Settings
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.test_plan import application as application
from tests.unit.test_plan import resource, wanted

TOKEN = "d" * 64


def check(cloud: Cloud, settings: Settings, **server: Any) -> None:
    here = settings.model_copy(update={"hcloud_endpoint": f"{cloud.url}/v1"})
    last = Record((resource("Server", location="fsn1", **server),), {"url": "x"})
    staying.check_room(here, TOKEN, last, "fsn1")


def test_a_bigger_type_and_one_with_the_same_disk_are_room_enough(
    cloud: Cloud, application: Any
) -> None:
    bigger = wanted(application, serverType="cx33")
    check(cloud, bigger, serverType="cx23", primaryDiskSize=40)
    smaller = wanted(application, serverType="cx23")
    check(cloud, smaller, serverType="cx33", primaryDiskSize=40)


def test_a_type_whose_disk_is_smaller_than_the_servers_is_refused(
    cloud: Cloud, application: Any
) -> None:
    smaller = wanted(application, serverType="cx23")
    with pytest.raises(hetzner.CloudError, match=r"80 GB, that one's 40 GB.*Next: .*cx33"):
        check(cloud, smaller, serverType="cx33", primaryDiskSize=80)


def test_a_type_with_another_processor_is_refused(cloud: Cloud, application: Any) -> None:
    arm = wanted(application, serverType="cax21")
    with pytest.raises(hetzner.CloudError, match=r"x86, that one's arm.*Nothing was changed"):
        check(cloud, arm, serverType="cx23", primaryDiskSize=40)


def test_a_server_that_was_let_go_of_is_made_anew_as_any_type(
    cloud: Cloud, application: Any
) -> None:
    arm = wanted(application, serverType="cax11", confirm="replace-server-1")
    held = {"serverType": "cx33", "primaryDiskSize": 80}
    check(cloud, arm, **held)
    with pytest.raises(hetzner.CloudError):
        check(cloud, arm, **held, shutdownBeforeDeletion=True)


def test_a_type_that_is_sold_no_more_may_become_another(cloud: Cloud, application: Any) -> None:
    check(cloud, wanted(application), serverType="cx11", primaryDiskSize=20)
