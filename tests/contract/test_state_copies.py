"""Copies of a state with the real engine: in a folder, and in a bucket of a real S3 gateway."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from flow import app
from flow.errors import FlowError
from flow.stacks import Stacks
from flow.state_copies import Copies
from sandbox.services import object_store
from sandbox.services.object_store import ObjectStore
from tests.contract.object_keys import KEYS
from toolchain.install import PROJECT, Installation

PROGRAM = """import pulumi
config = pulumi.Config()
pulumi.Stash("kept", input=pulumi.Output.secret("hush-hush"))
pulumi.export("word", config.get("word"))
"""
STACK = "dev"


@dataclasses.dataclass(frozen=True)
class Team:
    """A small project, its backend, and where the backend's files can be spoiled."""

    folder: Path
    environment: dict[str, str]

    @property
    def stacks(self) -> Stacks:
        return Stacks(self.folder, self.environment, PROJECT / ".toolchain/bin/pulumi")

    @property
    def copies(self) -> Copies:
        found = self.stacks.copies(STACK)
        assert found is not None
        return found

    def up(self, word: str) -> None:
        self.stacks.up(STACK, settings={"word": word})

    def ids(self) -> list[str]:
        return [each.id for each in self.copies.found(STACK)]

    def spoil(self) -> None:
        """Cut the state's file short, as a full disk does."""
        files = self.copies._files
        name = f".pulumi/stacks/small/{STACK}.json"
        content = files.read(name)
        assert content is not None
        files.write(name, content[: len(content) // 2])


@pytest.fixture(params=["folder", "bucket"])
def team(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    object_store_here: ObjectStore,
    objects_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Team:
    """A project with one stack that is up."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: small\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    backend = f"file://{tmp_path / 'state'}"
    if request.param == "bucket":
        backend = (
            f"s3://states/{request.node.name[:30].strip('[')}"
            f"?endpoint={object_store_here.endpoint}&region={object_store.REGION}"
            "&s3ForcePathStyle=true&request_checksum_calculation=when_supported"
        )
    (tmp_path / "state").mkdir()
    authority = str(objects_folder / "ca/ca.pem")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{PROJECT / '.toolchain/bin'}:/usr/bin:/bin",
        "PULUMI_HOME": str(Installation().home),
        "PULUMI_BACKEND_URL": backend,
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_OPTION_CWD": str(folder),
        "XDG_STATE_HOME": str(tmp_path / "noted"),
        "AWS_ACCESS_KEY_ID": KEYS["access_key"],
        "AWS_SECRET_ACCESS_KEY": KEYS["secret_key"],
        "SSL_CERT_FILE": authority,
        "AWS_CA_BUNDLE": authority,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    made = Team(folder, environment)
    made.stacks.create(STACK)
    made.up("one")
    return made


def test_a_state_is_copied_before_each_change_with_its_secrets_encrypted(team: Team) -> None:
    assert team.ids() == []  # there was nothing yet
    team.up("two")
    (first,) = team.copies.found(STACK)
    assert first.resources == 3
    text = team.copies.text(STACK)
    assert b"hush-hush" not in text
    outputs = json.loads(text)["deployment"]["resources"][0]["outputs"]
    assert outputs == {"word": "one"}
    team.copies.take(STACK)
    assert team.copies.take(STACK) == team.ids()[-1]  # nothing has changed meanwhile
    assert len(team.ids()) == 2


def test_a_damaged_state_is_named_and_a_copy_brings_it_back(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    made = team.copies.take(STACK)
    team.spoil()
    for arguments in (["destroy", STACK, "--yes"], ["state", "backup", STACK]):
        assert app.run(arguments) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert f"the state of {STACK} is damaged" in said
        assert f"flow state restore {STACK}" in said
    assert app.run(["status"]) == 1
    assert "flow state restore ENV" in " ".join(capsys.readouterr().err.split())
    assert team.ids() == [made]  # what is damaged takes no good copy's place
    assert app.run(["state", "restore", STACK, "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "environment": STACK, "copy": made, "before": None,
    }  # fmt: skip
    assert team.stacks.outputs(STACK) == {"word": "one"}
    assert team.stacks.destroy(STACK).changes["delete"] == 2


def test_a_wrong_passphrase_is_said_to_be_wrong_and_changes_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = team.copies.take(STACK)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "guessed")
    assert app.run(["destroy", STACK, "--yes"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"the passphrase is not the one {STACK} is encrypted with" in said
    assert "export PULUMI_CONFIG_PASSPHRASE" in said
    assert "guessed" not in said
    assert team.copies.take(STACK) == before


def test_a_stack_takes_its_copies_with_it_and_a_later_one_of_its_name_is_offered_none(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    team.up("two")
    with pytest.raises(FlowError, match=f"the stack {STACK} cannot be removed"):
        team.stacks.remove(STACK)
    assert len(team.ids()) == 1  # it is still there, and so are they
    team.stacks.destroy(STACK)
    team.stacks.remove(STACK)
    assert team.ids() == []
    team.stacks.create(STACK)
    assert app.run(["state", "restore", STACK, "--yes"]) == 1
    assert f"there is no copy of the state of {STACK}" in capsys.readouterr().err
