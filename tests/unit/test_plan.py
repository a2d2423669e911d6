"""From settings and record to what is deployed, and where."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import settings
from components import guard
from components.environment import EnvironmentArgs
from planning import cloud, images, plan, releases
from planning.record import Record, Recorded
from settings_model import Settings
from tests.unit.conftest import PROJECT, Engine, run

COMPOSE = """\
services:
  web:
    image: ${IMAGES}/web:${VERSION}
    labels:
      deployment-flow.http: "80"
"""
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "compose.yaml").write_text(COMPOSE)
    return tmp_path


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Tags the registry has, and the versions they are; add to it in a test."""
    tags: dict[str, str] = {}

    def resolve(
        compose: Mapping[str, Any], prefix: str, *, version: str, **_: object
    ) -> images.Pins:
        if version not in tags:
            raise images.NoImageError(f"there is no image {prefix}/web:{version}")
        names = dict.fromkeys(compose["services"], f"{prefix}/web@{DIGEST}")
        return images.Pins(version=tags[version], revision="", images=names)

    monkeypatch.setattr(images, "resolve", resolve)
    return tags


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lines.append)
    return lines


@pytest.fixture
def sold(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Locations that have room; none is asked of the network."""
    locations = {"fsn1", "nbg1", "hel1"}
    monkeypatch.setattr(
        cloud,
        "place",
        lambda **wanted: next(each for each in wanted["locations"] if each in locations),
    )
    monkeypatch.setattr(cloud, "check_change", lambda **_: None)
    monkeypatch.setattr(cloud, "orphan", lambda **_: None)
    monkeypatch.setattr(cloud, "attached_to", lambda **_: None)
    monkeypatch.setattr(cloud, "lasting", lambda **_: {})
    monkeypatch.setattr(cloud, "was_full", lambda **_: False)
    return locations


def wanted(root: Path, stack: str = "staging", **values: str) -> Settings:
    return settings.parse(
        project=PROJECT,
        stack=stack,
        values={"images": "r.example/app", "zone": "example.org", "application": "app", **values},
        secret_names=set(),
        hcloud_token="t",
        hcloud_endpoint="http://api.invalid/v1",
        now=0,
        root=root,
    )


def kept(version: str = "1.0.0", compose: str = COMPOSE) -> dict[str, Any]:
    images_ = {"web": f"r.example/app/web@{DIGEST}"}
    return releases.Kept(version, "abc", images_, "r.example/app", compose).output()


def made(
    engine: Engine, found: Settings, where: plan.Place, allowed: list[guard.Problem] | None = None
) -> EnvironmentArgs:
    """plan.arguments, with an engine to make outputs in."""
    out: list[EnvironmentArgs] = []
    release = releases.Kept(**kept())
    run(
        engine,
        found.stack,
        lambda: out.append(plan.arguments(found, where, release, None, allowed or [])),
    )
    return out[0]


def resource(kind: str, **properties: Any) -> Recorded:
    return Recorded(kind, f"staging-{kind.lower()}", {"id": "1", **properties})


# -- what is deployed --------------------------------------------------------------------------


def test_a_first_up_takes_the_newest_image_of_the_stages_branch(
    application: Path, registry: dict[str, str]
) -> None:
    registry["staging"] = "1.2.3"
    found = releases.choose(wanted(application), Record())
    assert (found.version, found.compose) == ("1.2.3", COMPOSE)


def test_an_up_without_a_version_keeps_what_runs_and_asks_no_registry(
    application: Path, registry: dict[str, str]
) -> None:
    (application / "app" / "compose.yaml").write_text("services: {}")
    found = releases.choose(wanted(application), Record(release=kept()))
    assert found.output() == kept()
    assert registry == {}


def test_a_version_that_was_asked_for_is_deployed_with_this_checkouts_compose_file(
    application: Path, registry: dict[str, str]
) -> None:
    registry["2.0.0"] = "2.0.0"
    found = releases.choose(
        wanted(application, version="2.0.0"), Record(release=kept("1.0.0", "old"))
    )
    assert (found.version, found.compose) == ("2.0.0", COMPOSE)


def test_asking_for_the_version_that_runs_changes_nothing(
    application: Path, registry: dict[str, str]
) -> None:
    assert registry == {}
    found = releases.choose(wanted(application, version="1.0.0"), Record(release=kept()))
    assert found.output() == kept()


def test_a_demo_without_an_image_of_its_own_starts_with_developments_and_says_so(
    application: Path, registry: dict[str, str], said: list[str]
) -> None:
    registry["development"] = "3.0.0"
    found = releases.choose(wanted(application, "feature-demo-x"), Record())
    assert found.version == "3.0.0"
    assert "web:feature-demo-x" in said[0]
    assert "this is development, 3.0.0" in said[0]


def test_a_stage_without_an_image_is_an_error_that_names_the_image(
    application: Path, registry: dict[str, str]
) -> None:
    registry["development"] = "3.0.0"
    with pytest.raises(releases.Unreleasable, match="web:staging") as caught:
        releases.choose(wanted(application), Record())
    assert "Nothing was changed" in str(caught.value)


def test_a_compose_file_that_cannot_be_deployed_stops_before_anything_is_made(
    engine: Engine, application: Path, registry: dict[str, str]
) -> None:
    broken = COMPOSE + "    privileged: true\n"
    (application / "app" / "compose.yaml").write_text(broken)
    registry["staging"] = "1.0.0"
    found = wanted(application)
    release = releases.choose(found, Record())
    place = plan.Place("fsn1")
    with pytest.raises(releases.Unreleasable, match="privileged"):
        run(engine, "staging", lambda: plan.arguments(found, place, release, None, []))
    assert engine.registered == []


def test_a_changed_file_of_the_application_is_released_under_the_version_that_runs(
    application: Path, registry: dict[str, str]
) -> None:
    registry["1.0.0"] = "1.0.0"
    mounted = COMPOSE + '    volumes: ["./site.conf:/site.conf:ro"]\n'
    (application / "app" / "compose.yaml").write_text(mounted)
    releases_: list[releases.Kept] = []
    for text in ("one", "one", "two"):
        (application / "app" / "site.conf").write_text(text)
        running = releases_[-1].output() if releases_ else None
        releases_.append(
            releases.choose(wanted(application, version="1.0.0"), Record(release=running))
        )
    assert releases_[0] is not releases_[1]
    assert releases_[0] == releases_[1] != releases_[2]
    assert "content: two" in releases_[2].compose


def test_a_file_that_cannot_be_in_a_release_stops_before_a_registry_is_asked(
    application: Path, registry: dict[str, str]
) -> None:
    mounted = COMPOSE + '    volumes: ["./missing.conf:/site.conf:ro"]\n'
    (application / "app" / "compose.yaml").write_text(mounted)
    with pytest.raises(
        releases.Unreleasable, match=r"app/compose.yaml: .*\n.*missing.conf"
    ) as error:
        releases.choose(wanted(application), Record())
    assert "Nothing was changed" in str(error.value)
    assert registry == {}


@pytest.mark.parametrize(("stack", "warned"), [("staging", True), ("feature-demo-x", False)])
def test_what_a_compose_file_may_not_mean_is_said_where_data_stays(
    engine: Engine, application: Path, said: list[str], stack: str, *, warned: bool
) -> None:
    found = wanted(application, stack)
    release = releases.Kept(**kept())
    run(engine, stack, lambda: plan.arguments(found, plan.Place("fsn1"), release, None, []))
    assert any("compose.yaml: services.web.labels: nothing here" in each for each in said) is warned


@pytest.mark.parametrize("wanted_release", ["r1-abc", "1.0.0"])
def test_a_rollback_is_to_a_recorded_release_whole_and_asks_no_registry(
    application: Path, registry: dict[str, str], wanted_release: str
) -> None:
    earlier = (
        {"id": "r2-abc", "since": 2, "release": kept("2.0.0")},
        {"id": "r1-abc", "since": 1, "release": kept("1.0.0", "of then")},
    )
    last = Record(release=kept("2.0.0"), releases=earlier)
    found = releases.choose(wanted(application, rollback=wanted_release), last)
    assert (found.version, found.compose) == ("1.0.0", "of then")
    assert registry == {}


def test_a_rollback_to_what_is_not_kept_names_what_is(application: Path) -> None:
    last = Record(releases=({"id": "r2-abc", "since": 2, "release": kept("2.0.0")},))
    with pytest.raises(releases.Unreleasable, match=r"no release 1.0.0; it keeps 2.0.0 \(r2-abc"):
        releases.choose(wanted(application, rollback="1.0.0"), last)


def test_a_record_of_another_shape_is_no_release() -> None:
    assert releases.Kept.of({"version": "1"}) is None
    assert releases.Kept.of(None) is None


# -- where -------------------------------------------------------------------------------------


def test_a_first_server_goes_to_the_first_location_with_room(
    application: Path, sold: set[str]
) -> None:
    sold.remove("fsn1")
    assert plan.place(wanted(application), Record()) == plan.Place("nbg1")


def test_a_server_stays_where_it_is_whatever_is_preferred_now(
    application: Path, sold: set[str]
) -> None:
    sold.clear()
    last = Record((resource("Server", location="hel1", serverType="cx23"),), {"url": "x"})
    assert plan.place(wanted(application), last) == plan.Place("hel1")


def test_data_without_a_server_says_where_the_next_one_goes(
    application: Path, sold: set[str]
) -> None:
    sold.clear()
    last = Record((resource("Volume", location="hel1"),), {"url": "x"})
    assert plan.place(wanted(application), last) == plan.Place("hel1")


def test_after_a_first_up_found_no_room_the_next_location_is_tried(
    engine: Engine, application: Path, sold: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sold
    last = Record((resource("PrimaryIp", location="fsn1"), resource("Volume", location="fsn1")))
    # One that was killed is gone on with where it was.
    assert plan.place(wanted(application), last) == plan.Place("fsn1")
    monkeypatch.setattr(cloud, "was_full", lambda **given: given["location"] == "fsn1")
    found = plan.place(wanted(application), last)
    assert found == plan.Place("nbg1", moves=True)
    assert plan.check(wanted(application), last, found) == []
    assert made(engine, wanted(application), found)["server"]["protects_data"] is False


def test_addresses_hetzner_protects_are_not_given_up_for_another_location(
    application: Path, sold: set[str]
) -> None:
    assert sold
    last = Record((resource("PrimaryIp", location="fsn1", deleteProtection=True),))
    assert plan.place(wanted(application, "prod"), last) == plan.Place("fsn1")


def test_a_server_whose_making_was_cut_short_is_adopted(
    application: Path, sold: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sold
    asked: dict[str, Any] = {}

    def orphan(**question: Any) -> cloud.Orphan:
        asked.update(question)
        return cloud.Orphan("42", "nbg1")

    monkeypatch.setattr(cloud, "orphan", orphan)
    last = Record((resource("PrimaryIp", location="nbg1"),))
    assert plan.place(wanted(application), last) == plan.Place("nbg1", adopt="42")
    assert asked["name"] == "deployment-flow-staging"
    assert asked["addresses"] == ["1"]


def test_an_attachment_the_state_lost_is_adopted(
    application: Path, sold: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sold
    monkeypatch.setattr(cloud, "attached_to", lambda **_: "1")
    both = (resource("Server", location="fsn1"), resource("Volume", location="fsn1"))
    found = plan.place(wanted(application), Record(both, {"url": "x"}))
    assert found.adopt_attachment == "1"
    attached = Record((*both, resource("VolumeAttachment")), {"url": "x"})
    assert plan.place(wanted(application), attached).adopt_attachment is None


# -- what must not be lost ---------------------------------------------------------------------

FINISHED = {"url": "https://x", "protected": True}
LIVE = (
    resource("Server", name="s", location="fsn1", image="debian-13"),
    resource("Volume", name="v", location="fsn1", size=10),
    resource("PrimaryIp", name="a", location="fsn1", ipAddress="203.0.113.10"),
    resource("ZoneRrset", zone="example.org"),
)


def test_settings_that_lose_nothing_pass(application: Path, sold: set[str]) -> None:
    assert sold
    found = wanted(application)
    last = Record(LIVE, FINISHED)
    assert plan.check(found, last, plan.place(found, last)) == []


def test_a_loss_stops_an_up_and_the_word_lets_the_server_go_but_not_its_data(
    engine: Engine, application: Path, sold: set[str]
) -> None:
    assert sold
    last = Record(LIVE, FINISHED)
    changed = wanted(application, image="debian-14")
    with pytest.raises(plan.Refused, match="image: debian-13 → debian-14"):
        plan.check(changed, last, plan.place(changed, last))
    confirmed = wanted(application, image="debian-14", confirm="replace-server-1")
    where = plan.place(confirmed, last)
    allowed = plan.check(confirmed, last, where)
    server = made(engine, confirmed, where, allowed)["server"]
    assert server["keeps_first_boot"] is False
    assert server["protects_data"] is True


def test_leaving_a_location_from_the_list_is_a_loss(application: Path, sold: set[str]) -> None:
    assert sold
    moved = wanted(application, locations='["hel1"]')
    last = Record(LIVE, FINISHED)
    with pytest.raises(plan.Refused, match="locations: fsn1 → hel1"):
        plan.check(moved, last, plan.place(moved, last))


def test_a_demo_may_lose_anything(application: Path, sold: set[str]) -> None:
    assert sold
    demo = wanted(application, "feature-demo-x", image="debian-14")
    last = Record(LIVE, FINISHED)
    allowed = plan.check(demo, last, plan.place(demo, last))
    assert {each.kind for each in allowed} == {"server"}


def test_a_protected_server_is_not_shut_down_for_a_deletion_that_is_refused(
    engine: Engine,
    application: Path,
) -> None:
    for protected in (True, False):
        prod = wanted(application, "prod", protected=str(protected).lower())
        server = made(engine, prod, plan.Place("fsn1"))["server"]
        assert server["protects_server"] is protected
        assert server["clean_shutdown"] is not protected


@pytest.mark.parametrize("held_on_to", [True, False])
def test_a_server_that_is_named_is_let_go_first_and_is_new_only_in_the_run_after(
    engine: Engine, application: Path, sold: set[str], said: list[str], held_on_to: bool
) -> None:
    assert sold
    on = resource("Server", name="s", location="fsn1", image="debian-13")
    flags = {"deleteProtection": held_on_to, "shutdownBeforeDeletion": False}
    last = Record((Recorded(on.type, on.name, {**on.properties, **flags}), *LIVE[1:]), FINISHED)
    prod = wanted(application, "prod", confirm="replace-server-1")
    where = plan.place(prod, last)
    server = made(engine, prod, where, plan.check(prod, last, where))["server"]
    assert server["protects_server"] is False
    assert server["clean_shutdown"] is False
    # What takes effect at first boot must not replace it before it was shut down.
    assert server["keeps_first_boot"] is held_on_to
    assert server["protects_data"]
    assert server["protects_data_at_hetzner"]
    assert "nothing protects server s (1)" in said[0]
    other = wanted(application, "prod", confirm="replace-server-2")
    assert plan.check(other, last, where) == []
