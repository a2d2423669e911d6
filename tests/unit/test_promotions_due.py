"""The nightly job of promotions: which days they are due, and what is tried again until when."""

import datetime
import itertools
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flow.errors import FlowError
from flow.promotion import due, steps
from flow.runs import jobs
from flow.runs.run import Run
from sandbox.github.access import BOT
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served
from tests.unit.promoting import begin, merge, merged

WORKFLOW = Path(__file__).resolve().parents[2] / ".github/workflows/flow.yml"
DAY = datetime.timedelta(days=1)
# Both are due on it.
MONDAY = datetime.date(2030, 7, 1)

days = st.dates(datetime.date(2025, 1, 1), datetime.date(2060, 1, 1))


@given(first=days, count=st.integers(30, 800))
def test_over_any_days_promotions_to_staging_are_due_on_mondays_two_weeks_apart(
    first: datetime.date, count: int
) -> None:
    found = [day for n in range(count) if due.staging(day := first + n * DAY) == day]
    assert {(later - day).days for day, later in itertools.pairwise(found)} == {14}
    assert {day.isoweekday() for day in found} == {1}


def test_at_the_end_of_a_year_of_53_weeks_the_next_is_no_week_later() -> None:
    assert due.staging(datetime.date(2027, 1, 3)) == datetime.date(2026, 12, 21)
    assert due.staging(datetime.date(2027, 1, 4)) == datetime.date(2027, 1, 4)


@given(today=days)
def test_those_to_production_are_due_on_the_first_monday_of_every_odd_month(
    today: datetime.date,
) -> None:
    day = due.prod(today)
    assert day <= today
    assert (day.isoweekday(), day.month % 2) == (1, 1)
    assert day.day <= 7
    assert due.prod(day) == day
    between = [day + n * DAY for n in range(1, (today - day).days + 1)]
    assert not any(d.isoweekday() == 1 and d.month % 2 and d.day <= 7 for d in between)


@pytest.fixture
def run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The nightly run of a repository that has something for staging and for production.

    It is the Wednesday before a due day.
    """
    monkeypatch.setenv("GITHUB_API_URL", f"{served.url}/api/v3")
    monkeypatch.setenv("GITHUB_TOKEN", served.tokens["maintainer"])
    it_is(served, MONDAY - 5 * DAY)
    begin(served)
    merged(served, "hotfix/login", "fix: the login loop", base="staging")
    merged(served, "topic/map", "feat: a map")
    return Run(
        name="schedule",
        ref="refs/heads/development",
        sha="0" * 40,
        repository=FULL_NAME,
        actor="maintainer",
        event={},
        address=f"{served.url}/{FULL_NAME}/actions/runs/7",
        api=f"{served.url}/api/v3",
        token="",
        summary=tmp_path / "summary",
    )


def it_is(served: Served, day: datetime.date) -> datetime.date:
    """Set the sandbox's clock to five in the morning of a day; the day."""
    hour = datetime.datetime.combine(day, datetime.time(5), datetime.UTC)
    served.hub.store.set_setting("clock_offset", hour.timestamp() - time.time())
    return day


def opened(served: Served, base: str) -> list[str]:
    """Titles of all pull requests that promote to a branch, whatever became of them."""
    pulls = served.repo.get_pulls(state="all", base=base)
    return [pull.title for pull in pulls if steps.is_promotion(pull, served.repo)]


def test_on_the_due_day_both_are_opened_and_told(served: Served, run: Run) -> None:
    jobs.promote(run, it_is(served, MONDAY))
    assert opened(served, "staging") == ["Staging, 2030-07-01"]
    assert opened(served, "main") == ["Production"]
    assert run.summary is not None
    told = run.summary.read_text()
    for what in ("staging", "production"):
        assert f"- promotion to {what}: opened {served.url}/{FULL_NAME}/pull/" in told


def test_the_runs_own_token_with_what_its_job_is_granted_opens_both(
    served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = yaml.safe_load(WORKFLOW.read_text())["jobs"]["promote"]
    assert job["steps"][0]["env"]["GITHUB_TOKEN"] == "${{ github.token }}"
    token = served.hub.tokens.mint(
        BOT, "workflow", permissions=job["permissions"], repositories=[FULL_NAME]
    )
    monkeypatch.setenv("GITHUB_TOKEN", token)
    # `flow init` sets this.
    allowed = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": True}
    path = f"/repos/{FULL_NAME}/actions/permissions/workflow"
    assert served.raw.put(path, json=allowed).status_code == 204
    jobs.promote(run, it_is(served, MONDAY))
    for base in ("staging", "main"):
        (pull,) = served.repo.get_pulls(state="open", base=base)
        assert pull.user.login == BOT


def test_by_hand_it_runs_as_at_night_and_never_twice_at_once() -> None:
    job = yaml.safe_load(WORKFLOW.read_text())["jobs"]["promote"]
    started = {f"github.event_name == '{name}'" for name in ("schedule", "workflow_dispatch")}
    assert set(job["if"].split(" || ")) == started
    assert job["concurrency"]["group"] == "flow-promote"


def test_where_the_due_days_run_was_dropped_the_next_one_opens_them(
    served: Served, run: Run
) -> None:
    jobs.promote(run, it_is(served, MONDAY + DAY))
    assert opened(served, "staging") == ["Staging, 2030-07-02"]
    assert opened(served, "main") == ["Production"]


def test_what_a_blocker_held_up_on_the_due_day_is_opened_by_the_first_run_without_it(
    served: Served, run: Run
) -> None:
    it_is(served, MONDAY)
    blocker = served.repo.create_issue("Cannot print", labels=[steps.BLOCKER])
    for day in (MONDAY, MONDAY + DAY):
        with pytest.raises(FlowError, match="release-blocker"):
            jobs.promote(run, it_is(served, day))
    assert opened(served, "main") == []
    blocker.edit(state="closed")
    jobs.promote(run, it_is(served, MONDAY + 2 * DAY))
    assert opened(served, "main") == ["Production"]


def test_what_was_opened_is_told_even_where_production_is_refused(served: Served, run: Run) -> None:
    it_is(served, MONDAY)
    served.repo.create_issue("Cannot print", labels=[steps.BLOCKER])
    with pytest.raises(FlowError, match="release-blocker"):
        jobs.promote(run, MONDAY)
    assert run.summary is not None
    assert "- promotion to staging: opened " in run.summary.read_text()


def test_a_blocker_that_holds_nothing_up_fails_no_run(served: Served, run: Run) -> None:
    it_is(served, MONDAY)
    merge(served, steps.promote_prod(served.repo).url)
    served.repo.create_issue("Cannot print", labels=[steps.BLOCKER])
    jobs.promote(run, it_is(served, datetime.date(2030, 9, 2)))
    assert opened(served, "main") == ["Production"]


@pytest.mark.parametrize("end", ["merged", "closed"])
def test_what_was_opened_since_the_due_day_is_not_opened_again_before_the_next(
    served: Served, run: Run, end: str
) -> None:
    jobs.promote(run, it_is(served, MONDAY))
    for base in ("staging", "main"):
        (pull,) = served.repo.get_pulls(state="open", base=base)
        pull.merge() if end == "merged" else pull.edit(state="closed")
    merged(served, "topic/list", "feat: a list")
    for later in (1, 7, 13):
        jobs.promote(run, it_is(served, MONDAY + later * DAY))
    assert len(opened(served, "staging")) == len(opened(served, "main")) == 1
    jobs.promote(run, it_is(served, MONDAY + 14 * DAY))
    assert len(opened(served, "staging")) == 2


def test_one_that_was_opened_before_the_due_day_and_merged_since_is_that_days(
    served: Served, run: Run
) -> None:
    url = steps.promote_staging(served.repo, MONDAY - 5 * DAY).url
    it_is(served, MONDAY)
    merge(served, url)
    merged(served, "topic/list", "feat: a list")
    jobs.promote(run, it_is(served, MONDAY + DAY))
    assert opened(served, "staging") == ["Staging, 2030-06-26"]


def test_one_that_was_over_before_the_due_day_is_not_that_days_though_somebody_comments_on_it(
    served: Served, run: Run
) -> None:
    url = steps.promote_staging(served.repo, MONDAY - 5 * DAY).url
    merge(served, url)
    merged(served, "topic/list", "feat: a list")
    it_is(served, MONDAY)
    served.repo.get_pull(int(url.rpartition("/")[2])).create_issue_comment("Tested by all")
    jobs.promote(run, it_is(served, MONDAY + DAY))
    assert "Staging, 2030-07-02" in opened(served, "staging")


def test_a_hotfix_of_staging_is_no_promotion_that_was_opened(served: Served, run: Run) -> None:
    it_is(served, MONDAY)
    merged(served, "hotfix/print", "fix: printing", base="staging")
    jobs.promote(run, it_is(served, MONDAY + DAY))
    assert opened(served, "staging") == ["Staging, 2030-07-02"]
