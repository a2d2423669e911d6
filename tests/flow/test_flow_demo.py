"""A demo by `flow` alone, from its branch to gone, as a runner without the stack's file does it."""

import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pyrage
import pytest

from components import naming
from flow import reaping, state
from flow.backups import records
from flow.backups.bucket import Bucket, Place
from flow.labelled import Cloud
from flow.looking import look
from flow.project import Project
from flow.stages import Stages
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
# Its stack's name does not tell it: it has to be kept.
BRANCH = "feature-demo/Mapping Party"
DAY = 86400


@pytest.fixture(scope="module")
def flow(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """`flow` for this module's team."""
    return Flow(team, tmp_path_factory.mktemp("flow"))


@pytest.fixture(scope="module")
def stack(flow: Flow) -> str:
    """The demo, deployed with a last day, and its stack's file gone as on the next runner."""
    flow.json("build", "--version", "1.0.0", "--branch", BRANCH, "--push")
    made = flow.json("demo", "up", BRANCH, "--version", "1.0.0", "--until", "2099-05-31")
    assert made["version"] == "1.0.0"
    assert made["branch"] == BRANCH
    name = str(made["environment"])
    flow.settings_file(name).unlink()
    return name


def test_a_demo_is_up_and_says_so(flow: Flow, team: Team, stack: str) -> None:
    (row,) = flow.json("demo", "list")
    assert (row["environment"], row["branch"], row["version"]) == (stack, BRANCH, "1.0.0")
    assert row["health"] == "healthy"
    assert row["cost_a_day"] > 0
    would = flow.json("demo", "up", BRANCH, "--dry-run")["cost"]
    assert (would["a_day"], would["more_a_day"]) == (row["cost_a_day"], 0)
    assert len(row["commit"]) == 40
    password = str(team.stacks.outputs(stack)["password"])
    assert look(row["url"], "1.0.0", team.trust, password=password).version == "1.0.0"


def test_a_push_from_a_checkout_without_the_stacks_file_keeps_date_and_branch(
    flow: Flow, stack: str
) -> None:
    built = flow.json("build", "--version", "1.1.0", "--branch", BRANCH, "--push")
    assert all(image["digest"].startswith("sha256:") for image in built["images"].values())
    application = str(flow.team.project.root / "example")
    done = flow.json("deploy", stack, "--version", "1.1.0", "--application", application)
    assert (done["version"], done["branch"]) == ("1.1.0", BRANCH)
    assert time.strftime("%F", time.gmtime(done["expires"])) == "2099-05-31"
    assert not flow.settings_file(stack).exists()


@pytest.mark.parametrize("kind", ["expired", "read-only", "another project's"])
def test_a_token_that_will_not_do_is_refused_and_the_state_is_as_it_was_to_the_byte(
    flow: Flow, team: Team, stack: str, kind: str, tmp_path: Path
) -> None:
    said = {
        "expired": "Hetzner does not know the token",
        "read-only": "may only read",
        "another project's": "reaches nothing of",
    }[kind]
    token = team.tokens.get(kind) or secrets.token_hex(32)
    wrong = Flow(team, tmp_path)
    wrong.environment["HCLOUD_TOKEN"] = token
    before, listed = team.state_file(stack), team.listed()
    deploy = ["--version", "1.1.0", "--application", str(team.project.root / "example")]
    running = {
        "flow deploy": wrong.start("deploy", stack, *deploy),
        "flow destroy": wrong.start("destroy", stack, "--yes"),
        "pulumi up": wrong.pulumi("up", "--yes", "--stack", stack),
    }
    ended = {name: (*each.communicate(timeout=60), each.wait()) for name, each in running.items()}
    for name, (out, err, code) in ended.items():
        text = " ".join((out + err).split())
        assert code != 0, name
        assert said in text, f"{name}: {text}"
        assert "Nothing was changed" in text, f"{name}: {text}"
        assert f"pulumi config set --secret hcloud:token -s {stack}" in text, f"{name}: {text}"
        assert token not in text, name
    assert team.state_file(stack) == before
    assert team.listed() == listed


def test_with_the_right_token_the_same_deploy_goes_through(
    flow: Flow, team: Team, stack: str
) -> None:
    application = str(team.project.root / "example")
    done = flow.json("deploy", stack, "--version", "1.1.0", "--application", application)
    assert (done["version"], set(done["changes"])) == ("1.1.0", {"same"})


def test_what_plain_pulumi_would_do_with_another_projects_token_is_as_the_documents_say(
    flow: Flow, team: Team, stack: str, tmp_path: Path
) -> None:
    wrong = Flow(team, tmp_path)
    wrong.environment["HCLOUD_TOKEN"] = team.tokens["another project's"]
    out, _ = wrong.pulumi("refresh", "--preview-only", "--stack", stack).communicate(timeout=60)
    assert "hcloud:index:Server" in out
    assert re.search(r"- \d+ to delete", out), out
    destroy = wrong.pulumi("destroy", "--preview-only", "--stack", stack)
    destroy.communicate(timeout=60)
    assert destroy.returncode == 0, "nothing looks at the token"
    text = (team.project.root / "docs/servers.md").read_text()
    assert "`pulumi up --refresh`, `pulumi refresh` and `pulumi destroy` ask nothing first" in text


def test_the_log_of_a_service_is_shown_and_no_secret_with_it(
    flow: Flow, team: Team, stack: str
) -> None:
    said = flow.json("logs", stack, "api", "--lines", "20")["lines"]
    assert any("Application startup complete" in line for line in said)
    assert str(team.stacks.outputs(stack)["password"]) not in str(said)
    code, _, err = flow.run("logs", stack, "nosuch")
    assert code == 1
    assert "api, db, migrate, schedule, web" in err


def test_a_backup_brings_back_what_it_was_made_of_and_a_drill_proves_it(
    flow: Flow, team: Team, stack: str
) -> None:
    set_task(team, stack, 1, "mapped")
    made = flow.json("backup", "create", stack)
    assert made["rows"]["db"]["tasks"] == 24
    assert flow.json("backup", "list", stack)[-1]["id"] == made["id"]
    set_task(team, stack, 1, "validated")

    done = flow.json("backup", "restore", stack, "--from", made["id"], "--yes")
    assert task(team, stack, 1) == "mapped"
    assert done["rows"] == made["rows"]
    back = flow.json("backup", "restore", stack, "--from", done["safety"], "--yes")
    assert task(team, stack, 1) == "validated"
    assert back["stopped_seconds"] < 60

    drilled = flow.json("backup", "drill", stack, "--from", made["id"])
    assert drilled["rows"] == made["rows"]
    assert (drilled["bytes"], drilled["lost"]) == (made["bytes"], [])
    assert drilled["server"] not in team.stacks.names()
    assert team.listed(f"stack={drilled['server']}") == {}
    # What was drilled on was another server: here nothing has changed.
    assert task(team, stack, 1) == "validated"


def test_a_demo_starts_from_a_stages_data_scrubbed_or_not_at_all(
    flow: Flow, team: Team, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = next(b for b in flow.json("backup", "list", stack) if b["why"] == "asked")
    as_stagings(flow, made, monkeypatch)
    text = (team.project.root / "example/compose.yaml").read_text()
    scrubbed = "SELECT 'scrubbed', count(*) FROM tasks WHERE changed_at < '2001-01-01'"

    def up(folder: str, compose: str, source: str = "staging") -> tuple[int, str, str]:
        (flow.folder / folder).mkdir()
        (flow.folder / folder / "compose.yaml").write_text(compose)
        # With a version: without one the running release stays, and its Compose file with it.
        new = ("--version", "1.1.0", "--application", str(flow.folder / folder))
        return flow.run("demo", "up", BRANCH, *new, "--data", source, "--yes", "--json")

    code, _, err = up("unsaid", text.replace("deployment-flow.scrub:", "x.scrub:"))
    assert (code, "deployment-flow.scrub" in err, "Nothing was changed" in err) == (1, True, True)
    code, _, err = up("prod", text, "prod")
    assert (code, "production's data never goes to a demo" in err) == (2, True)
    assert task(team, stack, 1) == "validated"

    code, out, err = up("told", text.replace('ORDER BY 1"', f'ORDER BY 1" --command="{scrubbed}"'))
    assert code == 0, err
    data = json.loads(out)["data"]
    assert data["rows"]["db"] == {**made["rows"]["db"], "scrubbed": 24}
    assert data["safety"] is not None
    assert task(team, stack, 1) == "mapped"

    code, _, err = up("broken", text.replace("--single-transaction", "--no-such-option"))
    assert (code, "the data was emptied" in err) == (1, True), err
    assert "the application serves again, without data" in err
    assert task(team, stack, 1) == "open"


def as_stagings(flow: Flow, backup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a demo's backup where staging's are: no staging runs here."""
    for name in ("BUCKET", "ENDPOINT", "REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"BACKUP_{name}", flow.environment[f"BACKUP_{name}"])
    monkeypatch.setenv("SSL_CERT_FILE", flow.environment["SSL_CERT_FILE"])
    own = flow.team.project
    bucket = Bucket(Place.of_backups())
    name = Project(own.root, own.folder, own.environment()).name
    above = records.folder(name, backup["environment"], backup["id"])
    for key in bucket.listed(above):
        content = bucket.get(key)
        if key.endswith(records.FILE):
            record = json.loads(content) | {"environment": "staging", "stage": "staging"}
            content = json.dumps(record).encode()
        file = key.removeprefix(above)
        bucket.put(records.folder(name, "staging", backup["id"]) + file, content)


def set_task(team: Team, stack: str, number: int, status: str) -> None:
    """Change the application's data as its users do."""
    ask(team, stack, "PUT", f"/api/tasks/{number}", json={"status": status})


def task(team: Team, stack: str, number: int) -> str:
    """The status of one area of the map."""
    found = {each["id"]: each["status"] for each in ask(team, stack, "GET", "/api/tasks")}
    return str(found[number])


def ask(team: Team, stack: str, method: str, path: str, **more: Any) -> Any:
    """One request to the demo's API, as somebody with its password."""
    outputs = team.stacks.outputs(stack)
    trust = ssl.create_default_context(cafile=str(team.trust))
    with httpx.Client(verify=trust, timeout=20, trust_env=False) as client:
        auth = ("demo", str(outputs["password"]))
        answer = client.request(method, f"{outputs['url']}{path}", auth=auth, **more)
    return answer.raise_for_status().json()


def test_two_deploys_at_once_do_not_meet_and_a_stopped_one_leaves_no_lock(
    flow: Flow, stack: str
) -> None:
    # The first is still at work when the second comes: its deploy waits on the server.
    (server,) = state.parse(flow.team.stacks.state(stack)).find("Server")
    waits = ["flock", "/var/lib/deployment-flow/lock", "sleep", "20"]
    subprocess.run(
        ["docker", "exec", "--detach", f"flow-server-{server['id']}", *waits], check=True
    )
    first = flow.start("deploy", stack, "--version", "1.0.0")
    try:
        deadline = time.monotonic() + 60
        while not flow.locks(stack) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert flow.locks(stack), "the first deploy took no lock"
        code, _, err = flow.run("deploy", stack, "--version", "1.1.0")
        assert code == 3
        assert "another update of" in err
        assert "(pid " in err
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=120)
    finally:
        if first.poll() is None:
            first.kill()
            first.wait()
    assert first.returncode == 130, said
    assert flow.locks(stack) == []
    assert _engines(flow) == []
    assert flow.json("deploy", stack, "--version", "1.1.0")["version"] == "1.1.0"


def _engines(flow: Flow) -> list[str]:
    """Processes that work on this team's state."""
    mark = f"PULUMI_BACKEND_URL={flow.environment['PULUMI_BACKEND_URL']}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


def test_a_killed_deploys_lock_is_broken_by_the_next_which_converges(
    flow: Flow, stack: str
) -> None:
    killed = flow.start("deploy", stack, "--version", "1.0.0", start_new_session=True)
    deadline = time.monotonic() + 60
    while not flow.locks(stack) and time.monotonic() < deadline:
        time.sleep(0.1)
    (lock,) = (flow.team.project.directory / "state/.pulumi/locks").glob(f"**/{stack}/*.json")
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    killed.communicate(timeout=120)
    assert killed.returncode == 1
    code, out, err = flow.run("deploy", stack, "--version", "1.1.0", "--json")
    assert code == 0, err
    assert "is broken: that process is dead" in err
    assert json.loads(out)["version"] == "1.1.0"
    assert flow.locks(stack) == []


def test_a_demo_sleeps_without_a_server_and_wakes_as_it_was(
    flow: Flow, team: Team, stack: str
) -> None:
    with browser(team, stack) as client:
        task = client.get("/api/tasks").json()[0]["id"]
        client.put(f"/api/tasks/{task}", json={"status": "validated"}).raise_for_status()
        tasks = client.get("/api/tasks").json()
    before, things = team.stacks.outputs(stack), listed(team, stack)
    shown = ssl.get_server_certificate((before["hostname"], 443))
    slept = flow.json("demo", "sleep", BRANCH, "--yes", "--dump-to", str(flow.folder / "slept"))
    secret = team.project.environment()["PULUMI_CONFIG_PASSPHRASE"]
    dump = pyrage.passphrase.decrypt(Path(slept["dump"]).read_bytes(), secret)
    assert dump.startswith(b"PGDMP")
    left = listed(team, stack)
    assert left == {kind: names for kind, names in things.items() if kind != "servers"}
    assert {"volumes", "primary_ips", "record sets"} <= set(left)
    (row,) = flow.json("demo", "list")
    assert (row["health"], row["asleep"], row["version"]) == ("asleep", True, "1.1.0")
    assert row["saved_a_day"] > 0
    assert row["cost_a_day"] > 0
    code, _, err = flow.run("logs", stack)
    assert (code, f"flow demo wake {stack}" in err) == (1, True)
    assert flow.json("demo", "sleep", BRANCH, "--yes")["changes"] == {}
    woken = flow.json("demo", "wake", BRANCH)
    after = team.stacks.outputs(stack)
    same = ("url", "version", "password", "ipv4", "ipv6", "expires", "known_hosts")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    # Its second half is a hash with a key of the server's own.
    assert after["release"].partition("-")[0] == before["release"].partition("-")[0]
    assert "asleep" not in after
    look(woken["url"], "1.1.0", team.trust, password=str(after["password"]))
    # Of which an authority gives a name a few a week only.
    assert ssl.get_server_certificate((before["hostname"], 443)) == shown
    assert listed(team, stack) == things
    with browser(team, stack) as client:
        assert client.get("/api/tasks").json() == tasks


def test_a_push_to_a_demo_that_sleeps_wakes_it_with_the_new_version(
    flow: Flow, team: Team, stack: str
) -> None:
    flow.json("demo", "sleep", BRANCH, "--yes", "--no-dump")
    # A new date is none of its waking.
    assert flow.json("demo", "extend", BRANCH, "--until", "2099-06-30")["version"] == "1.1.0"
    assert "servers" not in listed(team, stack)
    done = flow.json("deploy", stack, "--version", "1.0.0")
    assert time.strftime("%F", time.gmtime(done["expires"])) == "2099-06-30"
    look(done["url"], "1.0.0", team.trust, password=str(team.stacks.outputs(stack)["password"]))
    with browser(team, stack) as client:
        assert client.get("/api/tasks").json()[0]["status"] == "validated"


def listed(team: Team, stack: str) -> dict[str, list[str]]:
    """What the API lists of a demo; a label's value is not always its stack's name."""
    return team.listed(f"stack={naming.label_value(stack)}")


def browser(team: Team, stack: str) -> httpx.Client:
    """The example on a demo, as somebody with its password reaches it."""
    outputs = team.stacks.outputs(stack)
    trusted = ssl.create_default_context(cafile=str(team.trust))
    login = ("demo", str(outputs["password"]))
    return httpx.Client(
        base_url=outputs["url"], auth=login, verify=trusted, timeout=20, trust_env=False
    )


def test_the_reaper_leaves_a_dated_demo_and_removes_only_what_states_lost_long_ago(
    flow: Flow, team: Team, stack: str
) -> None:
    def address(name: str, expires: float, **labels: str) -> None:
        made = {"managed-by": "deployment-flow", "project": "deployment-flow", "stage": "demo"}
        team.client.primary_ips.create(
            type="ipv4",
            name=name,
            location=team.client.locations.get_by_name("fsn1"),
            labels={**made, "stack": name, "expires": str(int(expires)), **labels},
        )

    now = time.time()
    address("feature-demo-lost", now - 2 * DAY)
    address("feature-demo-late", now - 3600)
    address("feature-demo-other", now - 2 * DAY, project="other")
    address("staging", now - 2 * DAY, stage="staging")
    planned = {each["environment"]: each for each in flow.json("demo", "reap", "--dry-run")}
    assert {name: each["action"] for name, each in planned.items()} == {
        stack: "keep",
        "feature-demo-lost": "lost",
        "feature-demo-late": "keep",
    }
    assert "feature-demo-lost" in team.listed()["primary_ips"]
    done = {each["environment"]: each["action"] for each in flow.json("demo", "reap")}
    assert done[stack] == "keep"
    assert done["feature-demo-lost"] == "removed"
    left = team.listed()["primary_ips"]
    assert "feature-demo-lost" not in left
    assert {"feature-demo-late", "feature-demo-other", "staging"} <= set(left)


def test_a_demo_that_is_over_is_announced_then_ended_with_its_data_saved(
    flow: Flow, team: Team, stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seen from the year 2099: its last day, and the days after it.
    last = int(str(team.stacks.outputs(stack)["expires"]))
    for name, value in flow.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLOW_DUMPS", str(flow.folder / "dumps"))
    project = Project(team.project.root, team.project.folder, team.project.environment())

    def reap(now: float) -> reaping.Verdict:
        # Moved and not stopped: the engine's client waits by it.
        clock = time.time
        ahead = now - clock()
        with pytest.MonkeyPatch.context() as patch, Stages() as stages:
            patch.setattr("time.time", lambda: clock() + ahead)
            patch.setattr(Cloud, "now", lambda _: clock() + ahead)
            done = {each.environment: each for each in reaping.reap(project, stages)}
        return done[stack]

    assert reap(last - 2 * DAY).action == "keep"
    assert reap(last - 3600).action == "announced"
    assert reap(last + 3600).action == "keep"
    ended = reap(last + 2 * DAY)
    assert ended.action == "ended", ended.why
    assert stack not in team.stacks.names()
    assert listed(team, stack) == {}
    dump = Path(str(ended.dump))
    secret = team.project.environment()["PULUMI_CONFIG_PASSPHRASE"]
    assert pyrage.passphrase.decrypt(dump.read_bytes(), secret).startswith(b"PGDMP")
    with pytest.raises(httpx.HTTPError):
        httpx.get(ended.url, timeout=5, trust_env=False)


def test_ending_a_demo_that_is_gone_is_fine(flow: Flow, stack: str) -> None:
    assert flow.json("demo", "end", BRANCH, "--yes")["gone"] is True
    assert stack not in flow.team.stacks.names()
