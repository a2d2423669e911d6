"""`flow images`: what anybody needs stays, and what could not be seen is never removed."""

import base64
import json
from typing import Any

import httpx
import pytest

from flow import locks
from flow.errors import FlowError
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME
from tests.unit.github_hub import served as served
from tests.unit.image_registry import OWN
from tests.unit.image_world import COMPOSE, World
from tests.unit.image_world import world as world
from tests.unit.promoting import merged

DEMO = "feature-demo-x"


def test_an_old_image_that_nobody_needs_is_removed_and_nothing_else(world: World) -> None:
    world.build("1.0.0", "old-branch")
    assert world.prune() == 0
    assert world.there() == {"newest"}
    assert "1 image(s)" in world.said


@pytest.mark.parametrize("stack", ["dev", "staging", "prod", DEMO, "feature-demo-drill--prod-x"])
def test_what_a_stack_runs_stays(world: World, stack: str) -> None:
    old = world.build("1.0.0")
    world.runs(stack, world.release("1.0.0", old))
    assert world.why()["1.0.0"] == [f"{stack} runs 1.0.0"]
    assert world.prune() == 0
    assert "1.0.0" in world.there()


def test_what_a_stack_can_go_back_to_stays(world: World) -> None:
    older, newer = world.build("1.0.0"), world.build("1.1.0", days=90)
    world.runs("prod", world.release("1.1.0", newer), world.release("1.0.0", older))
    assert world.why()["1.0.0"] == ["prod can go back to 1.0.0"]
    assert world.prune() == 0
    assert {"1.0.0", "1.1.0"} <= world.there()


def test_what_a_demo_sleeps_with_stays(world: World) -> None:
    old = world.build("1.0.0")
    world.runs(DEMO, world.release("1.0.0", old), asleep={"server": "7"})
    assert f"{DEMO} sleeps with 1.0.0" in world.why()["1.0.0"]
    assert world.prune() == 0
    assert "1.0.0" in world.there()


def test_the_newest_build_of_every_branch_stays_by_its_tag_and_by_its_commit(world: World) -> None:
    commit = push(world.served, "feature-demo/map", who="maintainer")
    world.build("feature-demo-map")
    world.build(commit, days=120)
    world.build("feature-demo-gone", days=130)
    assert world.prune() == 0
    assert world.there() == {"newest", "feature-demo-map", commit}


def test_a_stages_tag_stays_though_its_branch_is_not_there_now(world: World) -> None:
    world.served.repo.get_git_ref("heads/staging").delete()
    world.build("staging")
    assert world.prune() == 0
    assert "staging" in world.there()


def test_the_build_of_staging_that_the_next_release_would_be_stays(world: World) -> None:
    tested = push(world.served, "staging", {"b.txt": "new\n"}, who="maintainer")
    world.served.repo.create_pull(base="main", head="staging", title="P", body="").merge()
    push(world.served, "staging", {"c.txt": "later\n"}, who="maintainer")
    world.build(tested)
    assert world.why()[tested] == ["the next release would be this build of staging"]


def test_the_newest_releases_stay_though_none_runs_yet(world: World) -> None:
    merged(world.served, "x", "X", base="main")
    world.served.repo.create_git_release("v1.0.0", "v1.0.0", "", target_commitish="main")
    world.build("v1.0.0")
    assert world.why()["v1.0.0"] == ["release v1.0.0 is among the newest 5"]


def test_what_a_stacks_file_pins_stays(world: World) -> None:
    world.build("1.0.0")
    pinned = world.build("1.1.0")
    named = f"{{{world.prefix}/web: '{pinned}'}}"
    (world.folder / "Pulumi.staging.yaml").write_text("config:\n  p:version: 1.0.0\n")
    (world.folder / "Pulumi.dev.yaml").write_text(f"config:\n  p:digests: {named}\n")
    assert world.why()["1.0.0"] == ["the settings of staging pin it"]
    assert world.why()["1.1.0"] == ["the settings of dev pin it"]


def test_an_image_of_one_name_for_all_versions_stays_as_it_is_and_as_it_was(world: World) -> None:
    before = world.build("17", image="db")
    now = world.build("17", days=90, image="db")
    world.build("16", days=200, image="db")
    web = world.build("1.0.0")
    world.runs("prod", world.release("1.0.0", web, db=before))
    found = world.why()
    assert found[before] == ["prod runs 1.0.0"]
    assert found["17"] == ["the Compose file of prod names it"]
    assert world.prune() == 0
    assert {before, now} <= world.registry.digests(world.name("db"))
    assert world.there("db") == {"17"}


def test_a_part_that_only_a_needed_image_without_a_tag_shares_stays(world: World) -> None:
    part = world.build("part")
    name = world.name("web")
    before = world.registry.push_index(name, "1.0.0", (part, "linux", "amd64"))
    now = world.registry.push_index(name, "1.0.0", (part, "linux", "amd64"), ("x", "a", "b"))
    del world.registry.tags[name, "part"]
    world.runs("prod", world.release("1.0.0", before))
    assert world.prune() == 0
    assert {before, part} <= world.registry.digests(name)
    assert now not in world.registry.digests(name)


def test_an_index_goes_with_its_parts_and_one_that_stays_keeps_its_own(world: World) -> None:
    name = world.name("web")
    parts = [world.build(each, days=100 + at) for at, each in enumerate(("a", "b"))]
    kept, gone = (
        world.registry.push_index(name, f"1.{at}", (part, "linux", "amd64"))
        for at, part in enumerate(parts)
    )
    for tag in ("a", "b"):
        del world.registry.tags[name, tag]
    world.runs("prod", world.release("1.0", kept))
    assert world.prune() == 0
    left = world.registry.digests(name)
    assert {kept, parts[0]} <= left
    assert not {gone, parts[1]} & left


def test_dumps_and_images_of_others_are_not_even_listed(world: World) -> None:
    world.build("feature-demo-y-20310531", image="dumps")
    compose = COMPOSE + '  dumps: {image: "${IMAGES}/dumps:1"}\n'
    found = world.release("1", world.build("1"), dumps=world.build("2", image="dumps"))
    world.runs("prod", {**found, "compose": compose})
    assert world.prune() == 0
    assert world.there("dumps") == {"feature-demo-y-20310531", "2"}
    assert not [each for each in world.registry.asked if "redis" in str(each.url)]


@pytest.mark.parametrize(("days", "keep", "left"), [
    ("30", "9", {"newest", "20", "40"}), ("30", "1", {"newest", "20"}),
    ("10", "2", {"newest", "20"}), ("10", "1", {"newest"}),
])  # fmt: skip
def test_how_old_and_how_many_are_options(
    world: World, days: str, keep: str, left: set[str]
) -> None:
    world.build("20", days=20)
    world.build("40", days=40)
    assert world.flow("prune", "--yes", "--older-than", days, "--keep", keep) == 0
    assert world.there() == left


def test_without_options_what_is_younger_than_30_days_and_the_newest_10_stay(
    world: World,
) -> None:
    for number in range(12):
        world.build(str(number), days=29 + number)
    assert world.flow("prune", "--yes") == 0
    assert world.there() == {"newest", *map(str, range(9))}


# -- what cannot be seen ------------------------------------------------------------------------


@pytest.fixture
def old(world: World) -> World:
    """With an image that nobody needs, as far as is seen."""
    world.build("1.0.0")
    return world


def refused(world: World, *words: str, code: int = 1) -> None:
    """The command does not go on, and removes nothing."""
    assert world.prune() == code
    for word in words:
        assert word in world.said
    assert "1.0.0" in world.there()


def test_a_stack_whose_record_cannot_be_read_is_named_and_nothing_is_removed(old: World) -> None:
    old.stacks.states["prod"] = FlowError("the state of prod cannot be read: wrong passphrase")
    refused(old, "prod: the state of prod cannot be read: wrong passphrase")


def test_states_that_cannot_be_listed_are_named_and_nothing_is_removed(
    old: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(*_: object) -> list[str]:
        raise FlowError("the team's stacks of demo cannot be listed: no credentials")

    monkeypatch.setattr(old.stacks, "names", names)
    refused(old, "stacks of demo cannot be listed")


def test_a_stage_that_is_in_no_state_is_not_taken_for_one_that_needs_nothing(old: World) -> None:
    del old.stacks.states["prod"]
    refused(old, "there is no stack prod", "--without prod")
    assert old.prune("--without", "prod") == 0
    assert "1.0.0" not in old.there()


def test_a_state_that_the_teams_runs_keep_elsewhere_is_named(
    old: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/repos/{FULL_NAME}/environments/flow-demo"
    old.served.raw.put(path, json={}).raise_for_status()
    variable = {"name": "PULUMI_BACKEND_URL", "value": "s3://demos?endpoint=s3.test"}
    old.served.raw.post(f"{path}/variables", json=variable).raise_for_status()
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://stages?endpoint=s3.test")
    refused(old, "demo is in s3://demos?endpoint=s3.test (flow-demo)", "PULUMI_BACKEND_URL_DEMO")
    monkeypatch.setenv("PULUMI_BACKEND_URL_DEMO", "s3://demos/?endpoint=s3.test&region=x")
    assert old.prune() == 0


def test_a_stack_in_another_groups_state_is_named(old: World) -> None:
    old.stacks.elsewhere = {"prod": "demo"}
    refused(old, "prod in the state of demo")


@pytest.mark.parametrize(("broken", "told"), [
    ({"images": {}}, "names no images"), ({"images": {"web": "x:1"}}, "has no digest"),
    ({"images": {"web": "?"}}, "is no image"), ({"compose": "["}, "Compose file"),
    ({"compose": "- a"}, "Compose file"),
])  # fmt: skip
def test_a_record_that_cannot_be_understood_is_no_empty_one(
    old: World, broken: dict[str, Any], told: str
) -> None:
    release = old.release("1.0.0", old.build("1.0.0"))
    old.runs("prod", {**release, **broken})
    refused(old, "the record of prod cannot be read", told)


def test_a_record_without_the_release_it_names_is_no_empty_one(old: World) -> None:
    old.stacks.states["prod"]["resources"].pop()  # type: ignore[index]
    refused(old, "the record of prod cannot be read")


def test_github_has_to_say_which_branches_there_are(
    old: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    refused(old, "there is no GitHub token")
    monkeypatch.setenv("GITHUB_TOKEN", old.served.tokens["maintainer"])
    monkeypatch.delenv("GITHUB_REPOSITORY")
    refused(old, "no setting says which repository")


def test_a_registry_that_does_not_let_one_look_is_an_error_and_nothing_is_removed(
    old: World,
) -> None:
    old.registry.answers = [httpx.Response(403)]
    refused(old, "registry.test does not give out")


def test_while_an_update_runs_nothing_is_removed_for_what_it_deploys_is_in_no_record(
    old: World,
) -> None:
    old.stacks.locked["staging"] = locks.Holder("x", "ada", "host", 7, "2031-05-31T09:00:00Z")
    refused(old, "staging", "ada@host", code=3)


def test_where_no_push_login_is_exported_dockers_own_is_used(world: World) -> None:
    world.registry.login = "basic"
    world.build("1.0.0")
    assert world.prune() == 1
    assert "it wants a login" in world.said
    login = base64.b64encode(f"{OWN.username}:{OWN.password}".encode()).decode()
    file = world.folder / "docker/config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"auths": {"registry.test": {"auth": login}}}))
    assert world.prune() == 0
    assert world.there() == {"newest"}


# -- the removal --------------------------------------------------------------------------------


def at_the_first_deletion(world: World, happens: Any) -> None:
    """Have something happen when all is listed and the first deletion is asked for."""
    answer = world.registry.answer

    def watched(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE" and not done:
            done.append(request)
            happens()
        return answer(request)

    done: list[httpx.Request] = []
    world.hosts["registry.test"] = watched


def test_what_is_released_between_the_listing_and_the_removal_stays(world: World) -> None:
    old = world.build("1.0.0")
    release = world.release("1.0.0", old)
    at_the_first_deletion(world, lambda: world.runs("staging", release))
    assert world.prune("--json") == 0
    assert "1.0.0" in world.there()
    found = {", ".join(each["tags"]): each for each in json.loads(world.out)["images"]}
    assert (found["1.0.0"]["action"], found["1.0.0"]["why"]) == ("keep", ["staging runs 1.0.0"])


def test_parts_of_what_is_released_in_between_without_a_tag_stay(world: World) -> None:
    name = world.name("web")
    part = world.build("part")
    world.registry.push_index(name, "1.0.0", (part, "linux", "amd64"))
    del world.registry.tags[name, "part"]
    late = world.registry.put(name, "", {"manifests": [{"digest": part}], "late": True})
    release = world.release("late", late)
    at_the_first_deletion(world, lambda: world.runs("staging", release))
    assert world.prune() == 0
    assert {part, late} <= world.registry.digests(name)


def test_a_record_that_cannot_be_read_again_stops_the_removal(world: World) -> None:
    world.build("1.0.0")
    broken = FlowError("the state of prod cannot be read: gone")
    at_the_first_deletion(world, lambda: world.stacks.states.update(prod=broken))
    assert world.prune() == 1
    assert "1.0.0" in world.there()


def test_where_deletion_is_switched_off_the_error_says_what_to_do_before_anybody_is_asked(
    world: World,
) -> None:
    world.build("1.0.0")
    world.registry.deletes = False
    for arguments in (("--dry-run",), ()):
        assert world.flow("prune", "--keep", "1", *arguments) == 1
        assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in world.said
    assert "1.0.0" in world.there()


def test_a_dry_run_says_what_would_go_and_removes_nothing(world: World) -> None:
    world.build("1.0.0")
    assert world.prune("--dry-run", "--json") == 0
    told = json.loads(world.out)
    actions = {", ".join(each["tags"]): each["action"] for each in told["images"]}
    assert actions == {"newest": "keep", "1.0.0": "remove"}
    assert told["bytes"] > 0
    assert "1.0.0" in world.there()
    assert world.prune("--dry-run") == 0
    assert "would be removed" in world.out


def test_it_shows_and_asks_and_without_anybody_there_removes_nothing(world: World) -> None:
    world.build("1.0.0")
    assert world.flow("prune", "--keep", "1") == 2
    assert "1.0.0" in world.said
    assert "add --yes" in world.said
    assert "1.0.0" in world.there()


def test_after_a_yes_no_more_is_removed_than_was_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.build("1.0.0")
    monkeypatch.setattr("flow.commands.images.agree", lambda *_, **__: world.build("0.9", days=99))
    assert world.flow("prune", "--keep", "1") == 0
    assert world.there() == {"newest", "0.9"}


def test_one_that_cannot_be_removed_is_named_and_its_parts_stay(world: World) -> None:
    name = world.name("web")
    part = world.build("part")
    index = world.registry.push_index(name, "1.0.0", (part, "linux", "amd64"))
    del world.registry.tags[name, "part"]
    world.build("0.9", days=200)
    answer = world.registry.answer
    world.hosts["registry.test"] = lambda request: (
        httpx.Response(400) if request.url.path.endswith(index) and request.method == "DELETE"
        else answer(request)
    )  # fmt: skip
    assert world.prune() == 1
    assert f"{world.prefix}/web@{index}" in world.said
    assert {index, part} <= world.registry.digests(name)
    assert world.there() == {"newest", "1.0.0"}


def test_what_a_release_needs_and_no_registry_has_is_said(world: World) -> None:
    world.runs("prod", world.release("1.0.0", f"sha256:{'e' * 64}"))
    assert world.flow("list") == 0
    assert "prod runs 1.0.0, and the registry does not have it" in world.said


def test_a_person_sees_tags_age_size_and_who_needs_it(world: World) -> None:
    world.build("1.0.0", "old")
    assert world.flow("list") == 0
    line = next(each for each in world.out.splitlines() if "1.0.0" in each)
    assert line.split() == ["1.0.0,", "old", "100", "d", "0.0", "MB", "nobody", "needs", "it"]
    kept = next(each for each in world.out.splitlines() if "newest" in each)
    assert "prod runs newest" in kept
