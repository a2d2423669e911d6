"""What the rehearsal's acts assert: each check sees the bad value, and ends the rehearsal."""

import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from flow.errors import FlowError
from flow.story import acts, failing, recovering
from tests.unit.story_world import BEFORE, GOOD, World

ACTS: dict[str, Callable[[acts.Team], Any]] = {
    "staging": acts.staging,
    "hotfix's way back": lambda team: acts._back_to_development(team, "the fix", "It prints."),
    "production": lambda team: acts.production(team, "It prints."),
    "demo": acts.demo,
    "outlived": acts.outlived,
    "bad release": failing.bad_release,
    "rebuilt": recovering.rebuilt,
    "drilled": recovering.drilled,
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(monkeypatch, tmp_path)


def play(world: World, act: str, **changed: Any) -> None:
    """One act, in a world that is as it should be but for what is changed."""
    if act in ("outlived", "drilled"):
        # Once while it still runs, then gone.
        world.listed = [["server 7"], []] if act == "outlived" else [[]]
    for name, value in changed.items():
        assert hasattr(world, name), name
        setattr(world, name, value)
    ACTS[act](world.team)


@pytest.mark.parametrize("act", ACTS)
def test_an_act_ends_well_where_all_is_as_it_should_be(act: str, world: World) -> None:
    play(world, act)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"listed": [["server 7"], ["server 7"], ["volume 3"]]}, "it left behind: volume 3"),
        ({"stacks": ["dev", "feature-demo-mapping-party"]}, "the stack .* is still there"),
        ({"environments": ["feature-demo-mapping-party"]}, "GitHub still has an environment"),
        ({"answers": True}, "https://x.test still answers"),
    ],
)
def test_a_demo_that_is_not_gone_is_seen(changed: dict[str, Any], said: str, world: World) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "demo", **changed)


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ("password, ends on, a day, net", "no comment says where the demo is"),
        ("https://x.test ends on, a day, net", "does not say 'password'"),
        ("https://x.test password, a day, net", "does not say 'ends on'"),
        ("https://x.test password, ends on", "does not say 'a day, net'"),
    ],
)
def test_a_comment_without_address_password_end_or_cost_is_seen(
    comment: str, said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "demo", comment=comment)


@pytest.mark.parametrize("bad", [{"password": ""}, {"robots": ""}])
def test_a_demo_that_is_open_to_all_is_seen(bad: dict[str, str], world: World) -> None:
    with pytest.raises(FlowError, match="open to the public or to search engines"):
        play(world, "demo", **bad)


@pytest.mark.parametrize(
    "bad",
    [
        SimpleNamespace(state="failure", environment_url="https://x.test"),
        SimpleNamespace(state="success", environment_url="https://other.test"),
    ],
)
def test_a_deployment_that_tells_github_something_else_is_seen(bad: Any, world: World) -> None:
    with pytest.raises(FlowError, match="the deployment says"):
        play(world, "demo", deployment=bad)


@pytest.mark.parametrize("servers", [["server 8"], []])
def test_a_server_that_was_replaced_by_a_push_is_seen(servers: list[str], world: World) -> None:
    with pytest.raises(FlowError, match="the server is another one"):
        play(world, "demo", listed=[["server 7"], servers, []])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"listed": [[]]}, "it was ended without a word"),
        ({"reminder": ""}, "no comment announces its end"),
        ({"listed": [["server 7"]]}, "it left behind: server 7"),
    ],
)
def test_a_demo_that_ends_without_a_word_or_does_not_end_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "outlived", **changed)


BOT = SimpleNamespace(number=3, user=SimpleNamespace(login="actions[bot]"))
PERSON = SimpleNamespace(number=3, user=SimpleNamespace(login="maintainer"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pulls": []}, "0 pull requests bring the fix back"),
        ({"pulls": [BOT, BOT]}, "2 pull requests bring the fix back"),
        ({"pulls": [PERSON]}, "it was not opened by the workflow"),
        ({"missing": ["abc"]}, "development still lacks"),
    ],
)
def test_a_fix_that_does_not_come_back_by_itself_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "hotfix's way back", **changed)


def promotion(done: str = "opened", text: str = "printed") -> Any:
    return SimpleNamespace(done=done, text=text, url="/pull/2", branch="f")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"promotion": promotion(done="open")}, "the promotion is open"),
        ({"promotion": promotion(text="")}, "does not say what is in it"),
        (
            {"second_promotion": SimpleNamespace(done="opened", url="/pull/2")},
            "a second one was opened",
        ),
        (
            {"second_promotion": SimpleNamespace(done="open", url="/pull/9")},
            "a second one was opened",
        ),
    ],
)
def test_a_promotion_that_is_none_or_comes_twice_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "staging", **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"refusal": None}, "promoted with a release blocker open"),
        ({"refusal": "GitHub is away"}, "not for #5: GitHub is away"),
        ({"notes": "## Fixed"}, "the notes tell nothing new"),
        (
            {"images": {"staging": "sha256:1", "prod": "sha256:2"}},
            "production runs images sha256:2, staging tested sha256:1",
        ),
        ({"images": {}}, "production runs images"),
    ],
)
def test_a_release_that_is_not_what_staging_tested_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "production", **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bad_release": None}, "was deployed, and it is never well"),
        ({"bad_release": "no token"}, "not for its health: no token"),
        ({"losses": [["502: bad gateway"], []]}, "1 requests were lost: .*bad gateway"),
        ({"losses": [[], ["502: bad gateway"]]}, "1 requests were lost: .*bad gateway"),
        ({"rolled": {"before": "0.9", "now": GOOD}}, f"it runs 0.9 instead of {BEFORE}"),
        ({"rolled": {"before": BEFORE, "now": BEFORE}}, f"it runs {BEFORE} instead of {GOOD}"),
    ],
)
def test_a_bad_release_that_users_notice_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "bad release", **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"rebuilt": {"server": {"before": "7", "after": "7"}, "down_seconds": 1.0}},
            "it is the server of before",
        ),
        ({"after_rebuild": {"ipv4": "198.51.100.8"}}, "ipv4 was 198.51.100.7"),
        ({"after_rebuild": {"version": BEFORE}}, f"version was {GOOD}"),
        ({"after_rebuild": {"release": "2-8"}}, "release was 1"),
        ({"after_rebuild": {"url": "https://y.test"}}, "url was https://x.test"),
        ({"task": "open"}, "what was mapped is open again"),
    ],
)
def test_a_rebuild_that_keeps_the_server_or_loses_something_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "rebuilt", **changed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"restored": {"db": {"tasks": 8}}}, "were saved, .* restored"),
        ({"rows": {"db": {}}, "restored": {"db": {}}}, "nothing was counted in it"),
        ({"listed": [["server 9"]]}, "the drill left something behind"),
    ],
)
def test_a_drill_that_proves_nothing_is_seen(
    changed: dict[str, Any], said: str, world: World
) -> None:
    with pytest.raises(FlowError, match=said):
        play(world, "drilled", **changed)


@pytest.fixture
def staging(tmp_path: Path) -> Any:
    """Who plays a recovery, with no world around."""
    outputs = {"url": "https://staging.test"}
    project = SimpleNamespace(
        directory=tmp_path,
        root=tmp_path,
        credentials={"trust": "/trust.pem"},
        surroundings=dict,
        stacks=SimpleNamespace(outputs=lambda _: outputs),
    )
    return SimpleNamespace(project=project)


def test_a_command_that_fails_is_told_with_its_last_lines(
    staging: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, "{}", "the disk is full\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(FlowError, match="flow rebuild staging ended with 1:\nthe disk is full"):
        recovering._flow(staging, "rebuild", "staging")


def test_an_application_that_answers_with_an_error_is_seen(
    staging: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, answer = httpx.Client, httpx.MockTransport(lambda _: httpx.Response(500, json=[]))
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: None)
    monkeypatch.setattr(httpx, "Client", lambda **_: client(transport=answer))
    with pytest.raises(FlowError, match="GET /api/tasks gave 500"):
        recovering._api(staging, "GET", "/api/tasks")
