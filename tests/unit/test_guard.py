"""The guard: what an `up` must not lose in passing, and how a person allows it."""

from dataclasses import replace
from typing import Any

import pytest

from components import guard

SERVER: dict[str, Any] = {
    "id": "42",
    "name": "deployment-flow-prod",
    "location": "fsn1",
    "image": "debian-13",
    "deleteProtection": False,
}
VOLUME: dict[str, Any] = {
    "id": "43",
    "name": "deployment-flow-prod-data",
    "location": "fsn1",
    "size": 40,
    "deleteProtection": False,
}
ADDRESS: dict[str, Any] = {
    "id": "44",
    "name": "deployment-flow-prod-ipv4",
    "ipAddress": "203.0.113.10",
    "location": "fsn1",
    "deleteProtection": False,
}
HELD = guard.Held(server=SERVER, volume=VOLUME, addresses=(ADDRESS,), zones=("example.org",))
SAME = guard.Wanted(
    location="fsn1", image="debian-13", volume_size=40, zone="example.org", makes_server=True
)


def words(held: guard.Held, wanted: guard.Wanted) -> list[str]:
    return [each.word for each in guard.compare(held, wanted)]


def test_settings_that_fit_what_there_is_lose_nothing() -> None:
    assert guard.compare(HELD, SAME) == []


def test_a_new_stack_has_nothing_to_lose() -> None:
    assert guard.compare(guard.Held(), replace(SAME, location="hel1", volume_size=0)) == []


def test_a_volume_may_grow() -> None:
    assert guard.compare(HELD, replace(SAME, volume_size=80)) == []


@pytest.mark.parametrize(
    ("change", "settings", "lost"),
    [
        ({"image": "debian-14"}, ["image"], ["replace-server-42"]),
        (
            {"location": "hel1"},
            ["locations"] * 3,
            ["delete-volume-43", "replace-server-42", "release-address-44"],
        ),
        ({"volume_size": 0}, ["volumeSize"], ["delete-volume-43"]),
        ({"volume_size": 20}, ["volumeSize"], ["delete-volume-43"]),
        ({"zone": "example.net"}, ["zone"], ["leave-zone-example.org"]),
        ({"zone": None}, ["zone"], ["leave-zone-example.org"]),
        (
            {"makes_server": False, "location": None, "image": None},
            ["host"] * 3,
            ["delete-volume-43", "replace-server-42", "release-address-44"],
        ),
    ],
)
def test_a_loss_is_found_and_the_setting_named(
    change: dict[str, Any], settings: list[str], lost: list[str]
) -> None:
    problems = guard.compare(HELD, replace(SAME, **change))
    assert [each.setting for each in problems] == settings
    assert [each.word for each in problems] == lost


def test_a_confirmed_loss_is_allowed_and_no_other() -> None:
    problems = guard.compare(HELD, replace(SAME, image="debian-14", volume_size=0))
    left = guard.unconfirmed(problems, "replace-server-42")
    assert [each.word for each in left] == ["delete-volume-43"]
    assert guard.unconfirmed(problems, "replace-server-42, delete-volume-43") == []


def test_a_word_is_good_for_one_time() -> None:
    replaced = replace(HELD, server={**SERVER, "id": "99"})
    problems = guard.compare(replaced, replace(SAME, image="debian-14"))
    assert guard.unconfirmed(problems, "replace-server-42") == problems


def test_what_hetzner_protects_needs_a_step_before() -> None:
    held = replace(HELD, server={**SERVER, "deleteProtection": True})
    problems = guard.compare(held, replace(SAME, image="debian-14"))
    assert guard.unconfirmed(problems, "replace-server-42") == problems
    assert "config set protected false" in guard.refusal("prod", problems, "replace-server-42")


def test_what_the_engine_protects_may_be_replaced_but_not_deleted_in_one_step() -> None:
    held = replace(HELD, engine_protected=True)
    shrunk = guard.compare(held, replace(SAME, volume_size=20))
    assert guard.unconfirmed(shrunk, "delete-volume-43") == []
    gone = guard.compare(held, replace(SAME, volume_size=0))
    assert guard.unconfirmed(gone, "delete-volume-43") == gone


def test_a_refusal_says_what_why_and_how() -> None:
    problems = guard.compare(HELD, replace(SAME, volume_size=0))
    text = guard.refusal("prod", problems, None)
    assert "Nothing was changed" in text
    assert "volumeSize: 40 GB → none" in text
    assert "deployment-flow-prod-data (43)" in text
    assert "pulumi config set confirm delete-volume-43 -s prod && pulumi up -s prod" in text


def test_a_server_that_is_named_is_let_go_though_no_setting_would_replace_it() -> None:
    assert guard.let_go(HELD, None) is None
    assert guard.let_go(HELD, "replace-server-7, delete-volume-43") is None
    named = guard.let_go(HELD, "replace-server-42")
    assert named is not None
    assert (named.kind, named.word, named.protected) == ("server", "replace-server-42", False)
    for flag in ("deleteProtection", "shutdownBeforeDeletion"):
        kept = guard.let_go(replace(HELD, server={**SERVER, flag: True}), "replace-server-42")
        assert kept is not None
        assert kept.protected, flag
