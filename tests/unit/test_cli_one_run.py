"""What holds for one run leaves the team's files alone; a destroy checks, looks, then forgets."""

import datetime
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from flow import deploying, destroying, state
from flow.errors import FlowError
from flow.labelled import Cloud, Found
from flow.project import Project
from flow.results import Result
from flow.run_settings import run_settings
from flow.stacks import NoStackError, Stacks
from flow.stages import Stages
from flow.state import State


def test_settings_for_one_run_are_a_copy_and_the_teams_file_stays_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "Pulumi.dev.yaml"
    own.write_text(
        "encryptionsalt: v1:salt\nconfig:\n  p:version: 1.0.0\n  application: here\n"
        "  hcloud:token: {secure: v1:xyz}\n"
    )
    before = own.read_bytes()
    with run_settings(tmp_path, "p", "dev", {"version": "2.0.0", "application": "/there"}) as file:
        assert file is not None
        made = yaml.safe_load(Path(file).read_text())
        assert own.read_bytes() == before
    assert made == {
        "encryptionsalt": "v1:salt",
        "config": {
            "p:version": "2.0.0",
            "p:application": "/there",
            "hcloud:token": {"secure": "v1:xyz"},
        },
    }
    assert not Path(file).exists()
    assert own.read_bytes() == before


def test_a_stack_without_a_file_has_settings_for_one_run_all_the_same(tmp_path: Path) -> None:
    with run_settings(tmp_path, "p", "feature-demo-x", {"version": "2.0.0"}) as file:
        assert yaml.safe_load(Path(str(file)).read_text()) == {"config": {"p:version": "2.0.0"}}
    assert list(tmp_path.iterdir()) == []


def test_without_settings_for_one_run_there_is_no_copy(tmp_path: Path) -> None:
    with run_settings(tmp_path, "p", "dev", {}) as file:
        assert file is None


def test_a_backend_that_cannot_be_read_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    program = tmp_path / "bin/pulumi"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nif sys.argv[1:] == ['version']:\n"
        "    print('v3.256.0'); sys.exit()\n"
        "sys.exit('error: unable to open bucket s3://state: no such bucket')\n"
    )
    program.chmod(0o755)
    with pytest.raises(FlowError, match="no such bucket") as raised:
        Stacks(tmp_path, {}, program).names()
    assert "PULUMI_BACKEND_URL" in raised.value.remedy


class _Engine:
    """Stacks that note what is asked of them."""

    def __init__(self, *exist: str) -> None:
        self.exist = set(exist)
        self.asked: list[tuple[Any, ...]] = []

    def up(self, name: str, _: Any, settings: Mapping[str, Any]) -> Result:
        self.asked.append(("up", name, dict(settings)))
        if name not in self.exist:
            raise NoStackError(f"there is no stack {name}")
        return Result({"create": 1}, "")

    def create(self, name: str) -> None:
        self.asked.append(("create", name))
        self.exist.add(name)

    def state(self, _: str) -> dict[str, Any]:
        return {}

    def settings(self, _: str) -> dict[str, str]:
        return {}

    def destroy(self, name: str, _: Any) -> Result:
        self.asked.append(("destroy", name))
        return Result({"delete": 3}, "")

    def remove(self, name: str, *, keep_file: bool) -> None:
        self.asked.append(("remove", name, keep_file))


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Project, _Engine]:
    """A project whose engine is a note-taker; dev exists, and nothing has a Hetzner token."""
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    engine = _Engine("dev")
    monkeypatch.setattr(Project, "stacks", property(lambda _: engine))
    monkeypatch.delenv("HCLOUD_TOKEN", raising=False)
    return Project(tmp_path, tmp_path), engine


def test_a_demos_stack_is_made_where_it_is_missing(team: tuple[Project, _Engine]) -> None:
    project, engine = team
    wish = deploying.Wish("feature-demo-x", version="1.0.0", until="2031-05-31")
    with Stages() as stages:
        deploying.deploy(project, wish, stages)
    settings = {"version": "1.0.0", "until": "2031-05-31"}
    up = ("up", "feature-demo-x", settings)
    assert engine.asked == [up, ("create", "feature-demo-x"), up]


def certificate(
    tls: str, handed_over: str = "2031-05-31T09:00:10.5Z", hostname: str = "app.example.org"
) -> str:
    """What is said of a deploy that began at 09:00 and left this in the state."""
    outputs = {"hostname": hostname, "ipv4": "203.0.113.9"}
    release = "urn:pulumi:dev::p::command:local:Command::dev-release"
    found = state.parse(
        {
            "resources": [
                {"type": "pulumi:pulumi:Stack", "outputs": outputs},
                {"type": "deployment-flow:index:Deployment", "outputs": {"tls": tls}},
                {"type": "command:local:Command", "urn": release, "modified": handed_over},
            ]
        }
    )
    begun = datetime.datetime(2031, 5, 31, 9, tzinfo=datetime.UTC).timestamp()
    return deploying.told_certificate(found, begun)


def test_a_deploy_that_got_no_certificate_says_which_record_is_missing() -> None:
    said = certificate("pending")
    assert said.startswith("warning: app.example.org has no certificate yet")
    assert "no other deploy is needed" in said
    assert "Next: have the DNS record of app.example.org say 203.0.113.9" in said


def test_a_name_made_of_its_address_has_no_record_to_correct() -> None:
    said = certificate("pending", hostname="x.203-0-113-9.sslip.io")
    assert "DNS record" not in said
    assert "as it does for sslip.io, a name of your own" in said


def test_of_one_that_is_there_or_was_awaited_at_an_earlier_deploy_nothing_is_said() -> None:
    assert certificate("issued") == certificate("off") == ""
    assert certificate("pending", "2031-05-31T08:59:59Z") == ""


def test_a_stages_stack_is_never_made_by_a_deploy(team: tuple[Project, _Engine]) -> None:
    project, engine = team
    with pytest.raises(NoStackError), Stages() as stages:
        deploying.deploy(project, deploying.Wish("prod"), stages)
    assert engine.asked == [("up", "prod", {})]


@pytest.mark.parametrize(("stack", "kept"), [("dev", True), ("feature-demo-x", False)])
def test_a_stages_file_outlives_its_stack_and_a_demos_does_not(
    team: tuple[Project, _Engine], stack: str, kept: bool
) -> None:
    project, engine = team
    with Stages() as stages:
        destroying.destroy(project, stack, stages)
    assert engine.asked == [("destroy", stack), ("remove", stack, kept)]


def test_a_protected_stage_is_refused_and_told_how_to_lose_it() -> None:
    with pytest.raises(FlowError, match="prod is protected") as raised:
        destroying.check("prod", State({"protected": True, "url": "https://x.test"}))
    assert "protected false -s prod" in raised.value.remedy
    destroying.check("feature-demo-x", State({"protected": True}))


def test_what_a_destroy_left_behind_is_an_error_and_the_stack_stays(
    team: tuple[Project, _Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, engine = team
    monkeypatch.setenv("HCLOUD_TOKEN", "t0")
    asked: list[str] = []

    def listed(_: Cloud, selector: str) -> list[Found]:
        asked.append(selector)
        return [Found("volume", "data", {}, None)]

    monkeypatch.setattr(Cloud, "listed", listed)
    with pytest.raises(FlowError, match="left behind: volume data"), Stages() as stages:
        destroying.destroy(project, "feature-demo-x", stages)
    assert asked == ["managed-by=deployment-flow,project=p,stack=feature-demo-x"]
    assert engine.asked == [("destroy", "feature-demo-x")]
