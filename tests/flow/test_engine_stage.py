"""One long-lived stage with the real engine, from its first `up` to its end.

The tests are chapters of one life: each starts where the one before it ended.
"""

import datetime
import re
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pyrage
import pytest

from flow import load, rollback, state
from flow.errors import FlowError
from flow.looking import look
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STACK = "staging"


@pytest.fixture(scope="module", autouse=True)
def first_up(team: Team) -> None:
    """The stage, made by its first `up` from the newest image of its branch."""
    team.publish("1.0.0", STACK)
    team.stacks.up(STACK)


def _ids(team: Team) -> dict[str, set[int | None]]:
    return {
        "servers": {each.id for each in team.client.servers.get_all()},
        "volumes": {each.id for each in team.client.volumes.get_all()},
        "addresses": {each.id for each in team.client.primary_ips.get_all()},
    }


def test_a_first_up_serves_the_newest_image_of_its_branch_over_https(team: Team) -> None:
    outputs = team.stacks.outputs(STACK)
    assert outputs["url"] == f"https://staging.{team.zone}"
    assert outputs["version"] == "1.0.0"
    sight = look(outputs["url"], "1.0.0", team.trust)
    assert sight.tls in ("TLSv1.2", "TLSv1.3")
    assert sight.robots == ""


def test_a_second_up_changes_nothing(team: Team) -> None:
    assert team.stacks.up(STACK).changed == 0


def test_an_up_without_a_version_keeps_what_runs_though_a_newer_image_exists(team: Team) -> None:
    team.publish("1.1.0", STACK)
    assert team.stacks.up(STACK).changed == 0
    look(team.stacks.outputs(STACK)["url"], "1.0.0", team.trust)


def test_a_new_version_changes_the_release_alone(team: Team) -> None:
    before = _ids(team)
    result = team.stacks.up(STACK, version="1.1.0")
    assert result.changed == 1, result.output
    assert _ids(team) == before
    look(team.stacks.outputs(STACK)["url"], "1.1.0", team.trust)


def test_data_outlives_a_new_version(team: Team) -> None:
    url = team.stacks.outputs(STACK)["url"]
    context = ssl.create_default_context(cafile=str(team.trust))
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        task = client.get(f"{url}/api/tasks").json()[0]["id"]
        client.put(f"{url}/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
        team.publish("1.2.0", STACK)
        team.stacks.up(STACK, version="1.2.0")
        look(url, "1.2.0", team.trust)
        after = {each["id"]: each["status"] for each in client.get(f"{url}/api/tasks").json()}
    assert after[task] == "validated"


def _at_night(folder: Path) -> dict[str, str]:
    """What GitHub tells a scheduled run, whose page is `page.md` in the folder."""
    event = folder / "event.json"
    event.write_text("{}")
    return {
        "GITHUB_EVENT_NAME": "schedule",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "example-org/fieldwork",
        "GITHUB_SHA": "0" * 40,
        "GITHUB_STEP_SUMMARY": str(folder / "page.md"),
    }


def test_the_nightly_job_saves_a_stage_with_nothing_but_a_ticket(
    team: Team, tmp_path: Path
) -> None:
    flow, key = Flow(team, tmp_path), pyrage.x25519.Identity.generate()
    code, ticket, said = flow.run("backup", "ticket", STACK)
    assert code == 0, said
    # No state, no passphrase, no token: what the job's environment on GitHub holds.
    own = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "HCLOUD_", "GITHUB_TOKEN")
    kept = {k: v for k, v in flow.environment.items() if not k.startswith(own)}
    flow.environment = {
        **kept,
        **_at_night(tmp_path),
        "BACKUP_TICKET": ticket,
        "FLOW_DUMP_RECIPIENT": str(key.to_public()),
    }
    code, _, said = flow.run("workflow", "backup")
    assert code == 0, said
    made = flow.json("backup", "list", STACK)[-1]
    assert (made["why"], made["version"]) == ("nightly", "1.2.0")
    assert made["sealed"] == str(key.to_public())
    page = (tmp_path / "page.md").read_text()
    assert made["id"] in page
    assert f"db.tasks: {made['rows']['db']['tasks']}" in page
    assert "PRIVATE KEY" not in said + page


def test_on_a_months_first_day_the_nightly_job_restores_what_it_saved_on_a_server_of_its_own(
    team: Team, tmp_path: Path
) -> None:
    flow, now = Flow(team, tmp_path), datetime.datetime.now(datetime.UTC)
    noon = now.replace(day=1, hour=12, minute=0) + datetime.timedelta(days=32)
    ahead = noon.replace(day=1) - now
    flow.environment |= _at_night(tmp_path)
    flow.environment |= {
        "FLOW_CLOCK_AHEAD": str(int(ahead.total_seconds())),
        "FLOW_APPLICATION": str(team.project.root / "example"),
    }
    before, stacks = team.listed(), team.stacks.names()
    code, _, said = flow.run("workflow", "backup")
    assert code == 0, said
    saved, _, drilled = (tmp_path / "page.md").read_text().partition("### Drill of staging")
    (made,) = re.findall(r"^`(\S+)`", saved, re.MULTILINE)
    assert f"`{made}`" in drilled
    rows = [line for line in saved.splitlines() if line.startswith("- db.")]
    assert "- db.tasks: 24" in rows
    assert [line for line in drilled.splitlines() if line.startswith("- db.")] == rows
    assert re.search(r"Restored in \d+ s, all in \d+ s", drilled)
    assert team.listed() == before
    assert team.stacks.names() == stacks


def test_what_a_failing_migration_left_is_undone_by_the_command_its_failure_names(
    team: Team,
) -> None:
    outputs, (server,) = team.stacks.outputs(STACK), team.client.servers.get_all()
    context = ssl.create_default_context(cafile=str(team.trust))
    team.publish("1.4.0", STACK, fault="migration")
    with httpx.Client(
        verify=context, trust_env=False, timeout=20, base_url=str(outputs["url"])
    ) as client:
        task = client.get("/api/tasks").json()[0]["id"]
        client.put(f"/api/tasks/{task}", json={"status": "mapped"}).raise_for_status()
        named = []
        for _ in range(2):
            with pytest.raises(FlowError) as refused:
                team.stacks.up(STACK, version="1.4.0")
            named += re.findall(
                r"`(\S+ --restore \S+)`", f"{refused.value.problem} {refused.value.remedy}"
            )
            # People go on working with the version that still serves.
            client.put(f"/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
        first, again = named
        # However often it is tried, what was there before the first try can be had.
        assert again == first
        put_back = subprocess.run(
            ["docker", "exec", f"flow-server-{server.id}", *first.split()],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert put_back.returncode == 0, put_back.stdout + put_back.stderr
        after = {each["id"]: each["status"] for each in client.get("/api/tasks").json()}
    assert after[task] == "mapped"
    team.stacks.up(STACK)
    look(str(outputs["url"]), "1.2.0", team.trust)


def test_a_version_that_takes_all_memory_is_refused_and_the_old_one_serves(team: Team) -> None:
    before = team.stacks.outputs(STACK)
    team.publish("1.3.0", STACK, fault="memory")
    with pytest.raises(FlowError) as refused:
        team.stacks.up(STACK, version="1.3.0")
    assert "killed: out of memory" in refused.value.problem
    look(before["url"], before["version"], team.trust)
    # Nobody has to say which version is good.
    team.stacks.up(STACK)
    assert team.stacks.outputs(STACK)["version"] == before["version"]
    assert team.stacks.up(STACK).changed == 0
    look(before["url"], before["version"], team.trust)


def test_a_rollback_brings_back_what_ran_before_and_loses_no_request(team: Team) -> None:
    outputs = team.stacks.outputs(STACK)
    before = rollback.target(
        STACK, rollback.releases(state.parse(team.stacks.state(STACK)).releases), None
    )
    assert (outputs["version"], before.version) == ("1.2.0", "1.1.0")
    with load.on(outputs["url"], team.trust) as seen:
        team.stacks.up(STACK, settings={"rollback": before.id})
    look(outputs["url"], "1.1.0", team.trust)
    assert (seen.lost, seen.sent > 50) == ([], True)
    # To the byte what ran then: not a release of its own.
    assert team.stacks.outputs(STACK)["release"] == before.id
    assert team.stacks.up(STACK).changed == 0
    team.stacks.up(STACK, version="1.2.0")
    look(outputs["url"], "1.2.0", team.trust)


def test_a_bigger_server_is_made_of_the_same_one(team: Team) -> None:
    before = _ids(team)
    team.configure(STACK, serverType="cx33")
    result = team.stacks.up(STACK)
    assert result.changed >= 1
    # A resize restarts the server: the `up` does not end before the application is well again.
    assert "is live at" in result.output or "already runs and is well" in result.output
    assert _ids(team) == before
    server = team.client.servers.get_all()[0]
    assert server.server_type is not None
    assert server.server_type.name == "cx33"
    look(team.stacks.outputs(STACK)["url"], "1.2.0", team.trust)


def test_a_refresh_finds_what_was_changed_by_hand_and_an_up_puts_it_right(team: Team) -> None:
    firewall = team.client.firewalls.get_all()[0]
    rules = firewall.rules or []
    firewall.set_rules([rule for rule in rules if rule.port != "443"])
    found = team.stacks.refresh(STACK)
    assert found.changed == 1, found.output
    repaired = team.stacks.up(STACK)
    assert repaired.changed == 1, repaired.output
    ports = {rule.port for rule in team.client.firewalls.get_all()[0].rules or []}
    assert "443" in ports


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [("volumeSize", 0, "volume"), ("image", "debian-12", "server"), ("zone", None, "zone")],
)
def test_an_up_that_would_lose_something_is_refused_and_names_the_setting(
    team: Team, key: str, value: object, names: str
) -> None:
    before = _ids(team), team.listed()
    kept = {"volumeSize": 10, "image": None, "zone": team.zone}
    # Without a zone a host name is needed: give the same one, so that nothing else changes.
    also = {"hostname": f"staging.{team.zone}"} if key == "zone" else {}
    team.configure(STACK, **{key: "" if value is None else value}, **also)
    try:
        with pytest.raises(FlowError) as refused:
            team.stacks.up(STACK)
    finally:
        team.configure(STACK, **{key: kept[key]}, **dict.fromkeys(also))
    said = refused.value.problem
    assert f"{key}:" in said
    assert names in said
    assert "Nothing was changed" in said
    assert (_ids(team), team.listed()) == before


def test_after_a_refusal_nothing_is_left_to_do(team: Team) -> None:
    assert team.stacks.up(STACK).changed == 0


def test_a_protected_stage_is_not_destroyed(team: Team) -> None:
    before = team.listed()
    with pytest.raises(FlowError, match="protect"):
        team.stacks.destroy(STACK)
    assert team.listed() == before
    look(team.stacks.outputs(STACK)["url"], "1.2.0", team.trust)


def test_once_its_protection_is_off_a_stage_goes_whole(team: Team) -> None:
    team.configure(STACK, protected=False)
    team.stacks.up(STACK)
    started = time.monotonic()
    team.stacks.destroy(STACK)
    assert time.monotonic() - started < 120
    assert team.listed() == {}
