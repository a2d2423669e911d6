"""Demos: what the reaper decides, what it never touches, and how a last dump is kept."""

import base64
import datetime
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyrage
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow import backends, demos, reaping, saving, server
from flow.errors import FlowError
from flow.labelled import Found
from flow.project import Project
from flow.stages import Stages
from flow.state import State

NOW = 2_000_000_000
HOUR, DAY = 3600, 86400


def demo(expires: int | None, deployed: int | None = NOW - 30 * DAY, **outputs: Any) -> State:
    ends = {} if expires is None else {"expires": expires}
    return State({"url": "https://x.test", **ends, **outputs}, deployed=deployed)


def judge(found: State, mark: str = "", name: str = "feature-demo-x", now: float = NOW) -> str:
    return reaping.judge(name, found, mark, now).action


def test_a_demo_that_is_over_is_announced_first_and_ended_a_day_later() -> None:
    over = NOW - HOUR
    assert judge(demo(over)) == "announce"
    mark = f"{over}@{NOW}"
    assert judge(demo(over), mark, now=NOW + 23 * HOUR) == "keep"
    assert judge(demo(over), mark, now=NOW + 24 * HOUR) == "end"


def test_a_demo_is_announced_in_its_last_day_and_ends_when_it_said() -> None:
    end = NOW + 20 * HOUR
    assert judge(demo(end)) == "announce"
    assert judge(demo(end), f"{end}@{NOW}", now=end - 1) == "keep"
    # Announced 20 hours before: it has its 24 all the same.
    assert judge(demo(end), f"{end}@{NOW}", now=end + 1) == "keep"
    assert judge(demo(end), f"{end}@{NOW}", now=NOW + 24 * HOUR) == "end"


def test_a_push_or_a_new_date_makes_an_announcement_void() -> None:
    old, new = NOW - HOUR, NOW + 14 * DAY
    assert judge(demo(new), f"{old}@{NOW - 3 * DAY}") == "keep"
    # Even one that moved the end by little has to be announced again.
    assert judge(demo(NOW - 1), f"{old}@{NOW - 3 * DAY}") == "announce"


def test_a_demo_that_was_deployed_today_is_not_touched_whatever_its_end_says() -> None:
    over = NOW - 10 * DAY
    assert judge(demo(over, deployed=NOW - HOUR), f"{over}@{NOW - 5 * DAY}") == "keep"


def test_a_demo_with_a_date_to_come_stays_however_old_it_is() -> None:
    end = NOW + 90 * DAY
    assert judge(demo(end, deployed=NOW - 400 * DAY, until=end)) == "keep"


@pytest.mark.parametrize("name", ["prod", "staging", "dev", "somebody-elses"])
def test_what_is_no_demo_is_never_touched(name: str) -> None:
    over = NOW - 100 * DAY
    assert judge(demo(over), f"{over}@{over}", name) == "keep"


def test_a_demo_whose_first_deploy_has_not_finished_is_not_touched() -> None:
    assert judge(demo(None, deployed=None)) == "keep"


@given(
    st.integers(-30 * DAY, 30 * DAY),
    st.integers(0, 60 * DAY),
    st.one_of(st.none(), st.integers(0, 30 * DAY)),
)
def test_nothing_ends_without_a_day_of_notice(ends: int, deployed: int, told: int | None) -> None:
    expires = NOW + ends
    mark = "" if told is None else f"{expires}@{NOW - told}"
    if judge(demo(expires, deployed=NOW - deployed), mark) == "end":
        assert told is not None
        assert told >= DAY
        assert expires <= NOW
        assert deployed >= DAY


@pytest.mark.parametrize("off", [-DAY, -2 * HOUR, 2 * HOUR, DAY])
def test_a_clock_that_is_off_stops_the_reaper(off: int) -> None:
    with pytest.raises(FlowError, match="clock is off"):
        reaping.check_clock(NOW + off, NOW)


def test_hetzners_clock_decides_within_the_hour() -> None:
    assert reaping.check_clock(NOW + 60, NOW) == NOW


def thing(stack: str, expires: int | None, **more: str) -> Found:
    labels = {"managed-by": "deployment-flow", "project": "p", "stage": "demo", "stack": stack}
    labels |= {} if expires is None else {"expires": str(expires)}
    return Found("server", stack, {**labels, **more}, None)


def lost(*listed: Found, known: dict[str, bool] | None = None) -> dict[str, str]:
    found = reaping.lost(list(listed), "p", known or {}, NOW)
    return {each.environment: each.action for each in found}


def test_what_no_state_knows_is_removed_a_day_after_its_end() -> None:
    over = thing("feature-demo-gone", NOW - 2 * DAY)
    assert lost(over, thing("feature-demo-late", NOW - HOUR)) == {
        "feature-demo-gone": "lost",
        "feature-demo-late": "keep",
    }


def test_what_a_state_holds_is_not_lost() -> None:
    over = thing("feature-demo-x", NOW - 2 * DAY)
    assert lost(over, known={"feature-demo-x": True}) == {}
    assert lost(over, known={"feature-demo-x": False}) == {"feature-demo-x": "lost"}


def test_nothing_of_a_stage_of_another_project_or_without_an_end_is_ever_removed() -> None:
    over = NOW - 50 * DAY
    assert lost(thing("prod", over, stage="prod"), thing("prod", over)) == {}
    assert lost(thing("feature-demo-x", over, project="other")) == {}
    assert lost(thing("feature-demo-x", None)) == {"feature-demo-x": "keep"}
    # One part of it still has a time to come.
    both = (thing("feature-demo-y", over), thing("feature-demo-y", NOW + DAY))
    assert lost(*both) == {"feature-demo-y": "keep"}


def test_a_stages_drill_is_not_the_demos_to_remove() -> None:
    over = NOW - 2 * DAY
    assert lost(thing("feature-demo-drill--staging-ab12", over)) == {}
    assert lost(thing("feature-demo-drill-staging", over)) == {"feature-demo-drill-staging": "lost"}


def test_a_verdict_is_json_without_what_the_api_gave() -> None:
    verdict = reaping.lost([thing("feature-demo-x", NOW - 2 * DAY)], "p", {}, NOW)[0]
    assert json.loads(json.dumps(verdict.output()))["left"] == ["server feature-demo-x"]


@pytest.mark.parametrize("error", [FlowError("no answer"), KeyError("no answer")])
def test_a_demo_that_cannot_be_ended_keeps_no_other_from_its_end(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    due = [reaping.Verdict(f"feature-demo-{name}", "end", "it is over") for name in "ab"]

    def act(_: Any, verdict: reaping.Verdict, *__: Any) -> reaping.Verdict:
        if verdict is due[0]:
            raise error
        return replace(verdict, action="ended")

    monkeypatch.setattr(reaping, "plan", lambda _: (due, None))
    monkeypatch.setattr(reaping, "_act", act)
    with Stages() as stages:
        first, second = reaping.reap(cast(Project, None), stages)
    assert (first.action, second.action) == ("failed", "ended")
    assert first.why.startswith("end: ")
    assert ("no answer" in first.why) == isinstance(error, FlowError)


@pytest.mark.parametrize("text", ["soon", "2033-02-30", "2033-01-01"])
def test_a_last_day_is_a_date_to_come(text: str) -> None:
    with pytest.raises(FlowError):
        demos.last_day(text, datetime.date(2033, 5, 18))


def test_a_stages_branch_is_no_demo() -> None:
    with pytest.raises(FlowError, match="no demo"):
        demos.stack_for("development")
    assert demos.stack_for("feature-demo/x") == demos.stack_for("feature-demo-x")


# -- the last dump -----------------------------------------------------------------------------

RELEASE = State({"ssh": "ssh root@192.0.2.7"}, release={"prefix": "r.test/x", "version": "1"})


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the agent answer a dump with these messages."""

    def answer(*messages: dict[str, Any]) -> None:
        monkeypatch.setattr(server, "ask", lambda *_: iter(messages))

    return answer


def dumped(content: bytes, digest: str = "") -> list[dict[str, Any]]:
    return [
        {"dump": "db"},
        {"data": base64.b64encode(content[:3]).decode()},
        {"data": base64.b64encode(content[3:]).decode()},
        {"end": "db", "sha256": digest or hashlib.sha256(content).hexdigest()},
        {"result": {"ok": True, "dumps": ["db"], "data": ["db"]}},
    ]


def _silent(_: str) -> None:
    """Progress nobody reads in a test."""


def save(folder: Path) -> str | None:
    return saving.save("feature-demo-x", RELEASE, folder, _silent)


def test_a_last_dump_is_kept_encrypted_and_opens_with_the_passphrase(
    agent: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    monkeypatch.delenv(saving.RECIPIENT, raising=False)
    agent(*dumped(b"PGDMP the campaign"))
    where = save(tmp_path)
    (file,) = tmp_path.iterdir()
    assert where == str(file)
    assert file.stat().st_mode & 0o077 == 0
    assert b"campaign" not in file.read_bytes()
    assert pyrage.passphrase.decrypt(file.read_bytes(), "correct horse") == b"PGDMP the campaign"


def test_a_drills_data_is_sealed_as_the_data_is_that_it_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for group in ("PROD", "DEMO"):
        monkeypatch.setenv(f"PULUMI_CONFIG_PASSPHRASE_{group}", f"of {group}")
    monkeypatch.delenv(saving.RECIPIENT, raising=False)
    sealed = saving.sealer("feature-demo-drill--prod-ab12")(b"rows")
    assert pyrage.passphrase.decrypt(sealed, "of PROD") == b"rows"


def test_a_last_dump_opens_with_the_teams_key_where_there_is_one(
    agent: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pyrage.x25519.Identity.generate()
    monkeypatch.setenv(saving.RECIPIENT, str(key.to_public()))
    agent(*dumped(b"the campaign"))
    save(tmp_path)
    (file,) = tmp_path.iterdir()
    assert pyrage.decrypt(file.read_bytes(), [key]) == b"the campaign"


def test_a_dump_that_was_cut_is_an_error_and_leaves_no_file(
    agent: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    agent(*dumped(b"the campaign", digest="0"))
    with pytest.raises(FlowError, match="was cut"):
        save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_data_that_no_service_says_how_to_save_stops_the_end(
    agent: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    agent({"result": {"ok": True, "dumps": [], "data": ["db"]}})
    with pytest.raises(FlowError, match=r"no service says how it is saved") as raised:
        save(tmp_path)
    assert "--no-dump" in raised.value.remedy
    agent({"result": {"ok": True, "dumps": [], "data": []}})
    assert save(tmp_path) is None


def test_without_a_key_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(backends.PASSPHRASE, raising=False)
    monkeypatch.delenv(saving.RECIPIENT, raising=False)
    with pytest.raises(FlowError, match="nothing to encrypt"):
        save(tmp_path)


def test_on_a_runner_a_dump_with_nowhere_to_go_stops_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("FLOW_DUMPS", "REGISTRY_PUSH_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FlowError, match="nowhere to go"):
        saving.save("feature-demo-x", RELEASE, None, _silent)


def test_a_server_is_found_by_the_login_its_stack_tells() -> None:
    assert server.login(RELEASE) == ("root", "192.0.2.7", 22)
    given_host = State({"ssh": "ssh -p 2222 ada@2001:db8::7"})
    assert server.login(given_host) == ("ada", "2001:db8::7", 2222)
