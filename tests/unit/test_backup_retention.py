"""Which backups are kept: newest of days, weeks and months; never none, and never by a calendar."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.backups import retention
from flow.backups.records import ASKED, NIGHTLY, SAFETY, Backup, Part
from flow.backups.retention import Policy, superseded
from flow.errors import FlowError

DAY = 86400
NOW = int(datetime.datetime(2031, 5, 31, 12, tzinfo=datetime.UTC).timestamp())
PART = Part("db", 10, "0" * 64, 20, "1" * 64)


def backup(time: int, why: str = NIGHTLY, word: str = "0000") -> Backup:
    when = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return Backup(
        f"{when:%Y%m%dT%H%M%SZ}-{word}", "staging", "staging", "1", "", "r", time, 1.0, why,
        "passphrase", (PART,),
    )  # fmt: skip


def days(backups: list[Backup]) -> list[int]:
    """How many days before NOW each was made, oldest first."""
    return [round((NOW - each.time) / DAY) for each in backups]


def kept(backups: list[Backup], policy: Policy, now: int = NOW) -> list[Backup]:
    gone = superseded(backups, policy, now)
    return [each for each in backups if each not in gone]


def test_a_year_of_nights_leaves_days_weeks_and_months() -> None:
    nights = [backup(NOW - number * DAY) for number in range(400, -1, -1)]
    assert days(kept(nights, Policy(daily=3, weekly=2, monthly=3))) == [61, 31, 6, 2, 1, 0]


def test_of_a_day_the_newest_is_kept() -> None:
    morning, noon = backup(NOW - 3600), backup(NOW, ASKED)
    assert kept([morning, noon], Policy(1, 0, 0), NOW + 2 * DAY) == [noon]


def test_one_of_today_is_kept_whatever_was_made_after_it() -> None:
    morning, noon = backup(NOW - 3600, ASKED), backup(NOW)
    assert kept([morning, noon], Policy(1, 0, 0)) == [morning, noon]


def test_days_without_a_backup_do_not_count_when_backups_stop_the_old_ones_stay() -> None:
    old = [backup(NOW - (1000 + number) * DAY) for number in range(5, 0, -1)]
    assert kept(old, Policy(daily=5, weekly=0, monthly=0)) == old


def test_one_for_safety_stands_for_no_day_and_goes_after_a_week() -> None:
    nightly, safety = backup(NOW - 3600), backup(NOW - 60, SAFETY)
    assert kept([nightly, safety], Policy(1, 0, 0)) == [nightly, safety]
    later = backup(NOW + 8 * DAY)
    assert kept([nightly, safety, later], Policy(2, 0, 0), NOW + 8 * DAY) == [nightly, later]


@given(
    st.lists(
        st.tuples(st.integers(0, 900 * 24), st.sampled_from([NIGHTLY, ASKED, SAFETY])),
        min_size=1,
        max_size=60,
    ),
    st.builds(Policy, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
)
def test_whatever_there_is_the_newest_stays_and_doing_it_twice_changes_nothing(
    made: list[tuple[int, str]], policy: Policy
) -> None:
    backups = [
        backup(NOW - hours * 3600, why, f"{number:04x}") for number, (hours, why) in enumerate(made)
    ]
    left = kept(backups, policy)
    newest = max(backups, key=lambda each: (each.time, each.id))
    assert newest in left
    regular = [each for each in backups if each.why != SAFETY]
    if regular:
        assert max(regular, key=lambda each: (each.time, each.id)) in left
    assert superseded(left, policy, NOW) == []
    standing = [each for each in left if each.why != SAFETY]
    old = [each for each in standing if each.time <= NOW - DAY]
    assert len(old) <= max(policy.daily + policy.weekly + policy.monthly, 1)
    per_day = {each.time // DAY for each in regular}
    kept_days = {each.time // DAY for each in standing}
    assert set(sorted(per_day, reverse=True)[: policy.daily]) <= kept_days


def test_a_policy_is_days_weeks_and_months(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(retention.VARIABLE, raising=False)
    assert retention.policy() == Policy(7, 5, 12)
    monkeypatch.setenv(retention.VARIABLE, "14, 8,24")
    assert retention.policy() == Policy(14, 8, 24)
    monkeypatch.setenv(retention.VARIABLE, "all")
    with pytest.raises(FlowError, match="BACKUP_KEEP"):
        retention.policy()
