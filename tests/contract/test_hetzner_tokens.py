"""Tokens that will not do, with the real engine, the real provider and Hetzner's API in here."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flow.errors import FlowError
from flow.stacks import Stacks
from tests.unit.hetzner_cloud import KEY, Cloud, serving
from toolchain.install import Installation

pytestmark = pytest.mark.toolchain
GOOD = "d" * 64
WRONG = {"read-only": "e" * 64, "another project's": "p" * 64, "expired": "x" * 64}
SAID = {
    "read-only": "may only read",
    "another project's": "reaches nothing of dev",
    "expired": "does not know the token",
}
PROGRAM = f"""
import pulumi
import pulumi_hcloud
pulumi_hcloud.SshKey("key", name="key", public_key={KEY!r})
pulumi.export("url", "https://dev.test")
"""
Open = Callable[[str], Stacks]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with serving() as served:
        yield served
    served.store.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "state").mkdir()
    (made / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    (made / "__main__.py").write_text(PROGRAM)
    return made


@pytest.fixture(scope="module")
def stacks(cloud: Cloud, folder: Path) -> Open:
    """Stacks by a token; `dev` has a key at Hetzner."""
    here = Installation()
    path = [str(Path(sys.executable).parent), str(here.bin), os.environ["PATH"]]

    def open_(token: str) -> Stacks:
        environment = {
            "PATH": os.pathsep.join(path),
            "PULUMI_HOME": str(here.home),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "contract",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "HCLOUD_TOKEN": token,
            "HCLOUD_ENDPOINT": f"{cloud.url}/v1",
        }
        return Stacks(folder, environment, here.bin / "pulumi")

    made = open_(GOOD)
    made.create("dev")
    assert made.up("dev").changed
    return open_


def state_file(folder: Path) -> bytes:
    return (folder / "state/.pulumi/stacks/p/dev.json").read_bytes()


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("verb", ["up", "refresh", "destroy"])
def test_it_is_refused_before_the_engine_starts_and_no_byte_of_the_state_moves(
    stacks: Open, folder: Path, cloud: Cloud, verb: str, kind: str
) -> None:
    before = state_file(folder)
    with pytest.raises(FlowError, match=SAID[kind]) as refused:
        getattr(stacks(WRONG[kind]), verb)("dev")
    assert "Nothing was changed" in refused.value.problem
    assert "pulumi config set --secret hcloud:token -s dev" in str(refused.value.remedy)
    assert WRONG[kind] not in f"{refused.value.problem} {refused.value.remedy}"
    assert state_file(folder) == before
    assert len(cloud.raw.get("/ssh_keys").json()["ssh_keys"]) == 1


def test_a_token_that_may_only_read_does_for_a_preview(stacks: Open) -> None:
    assert stacks(WRONG["read-only"]).preview("dev").changed == 0


def test_with_the_right_one_it_goes_on_from_there(stacks: Open, cloud: Cloud) -> None:
    assert stacks(GOOD).up("dev").changed == 0
    stacks(GOOD).refresh("dev")
    stacks(GOOD).destroy("dev")
    assert cloud.raw.get("/ssh_keys").json()["ssh_keys"] == []
