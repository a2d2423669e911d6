"""`flow backup` and the nightly job: what is asked first, and what a drill leaves behind."""

import dataclasses
import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flow import app, backends, deploying, destroying, project, server, state
from flow.backups import bucket, drilling, keeping, restoring, ticket
from flow.backups.keeping import Store
from flow.backups.restoring import Restored
from flow.commands import backup as commands
from flow.errors import FlowError
from flow.runs import backups as job
from flow.runs.run import Run
from flow.stages import Stages
from flow.state import State
from tests.unit.test_backup_records import BACKUP


class FakeStore:
    """Stands for the bucket: one backup, and what was asked of it."""

    def __init__(self) -> None:
        self.project = "deployment-flow"
        self.made: list[tuple[str, str]] = []
        self.bucket = SimpleNamespace(
            place=SimpleNamespace(address=lambda path: f"s3://backups/{path}")
        )

    def found(self, _: str) -> list[Any]:
        return []

    def one(self, environment: str, _: str | None) -> Any:
        return dataclasses.replace(BACKUP, environment=environment)

    def create(self, stack: str, _: State, why: str, __: Any) -> Any:
        self.made.append((stack, why))
        return dataclasses.replace(BACKUP, environment=stack, why=why)

    def prune(self, *_: Any) -> list[Any]:
        return []


class FakeStacks:
    """Stands for the engine."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.created: dict[str, str] = {}
        self.own: dict[str, dict[str, str]] = {}
        """Settings of stacks."""
        self.asked: set[tuple[str, ...]] = set()
        """Groups that were listed."""

    def names(self, groups: tuple[str, ...] = backends.GROUPS) -> list[str]:
        self.asked.add(groups)
        return [each for each in self.there if backends.group_of(each) in groups]

    def create(self, name: str) -> None:
        self.there.append(name)

    def settings(self, name: str) -> dict[str, str]:
        return self.own.get(name, {})

    def set_secret(self, name: str, key: str, value: str) -> None:
        self.own.setdefault(name, {})[key] = value

    def state(self, name: str) -> dict[str, Any]:
        made = {"type": "hcloud:index/server:Server", "created": self.created.get(name)}
        return {"resources": [made]} if name in self.created else {}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeStore:
    """`flow` with a team whose stages all run."""
    made, stacks = FakeStore(), FakeStacks()
    team = SimpleNamespace(
        stacks=stacks, name="deployment-flow", root=tmp_path, settings=lambda _: {}
    )
    found = State({"url": "https://x.test"}, release={"version": "1"})
    monkeypatch.setattr(project, "find", lambda: team)
    monkeypatch.setattr(commands, "store_of", lambda _: made)
    monkeypatch.setattr(state, "parse", lambda _: found)
    monkeypatch.setattr(restoring, "check", lambda *_: None)
    return made


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stacks that were restored into."""
    seen: list[str] = []

    def restore(_: Any, stack: str, __: State, backup: Any, ___: Stages) -> Restored:
        seen.append(stack)
        return Restored(stack, backup, backup, {"db": {"tasks": 24}}, 1.0, 2.0)

    monkeypatch.setattr(restoring, "restore", restore)
    return seen


def test_production_is_overwritten_only_where_that_is_said_besides_yes(
    store: FakeStore, restored: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backup", "restore", "prod", "--yes"]) == 2
    assert "--overwrite-production" in capsys.readouterr().err
    assert restored == []
    assert app.run(["backup", "restore", "prod", "--overwrite-production"]) == 2  # nobody to ask
    assert restored == []
    assert app.run(["backup", "restore", "prod", "--overwrite-production", "--yes"]) == 0
    assert restored == ["prod"]


def test_a_restore_asks_and_a_dry_run_does_nothing(
    store: FakeStore, restored: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["backup", "restore", "staging"]) == 2
    assert app.run(["backup", "restore", "staging", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["would_restore"]["id"] == BACKUP.id
    assert (restored, store.made) == ([], [])
    assert app.run(["backup", "restore", "staging", "--yes", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["environment"], done["safety"]) == ("staging", BACKUP.id)


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("create", "the data of staging would be kept at s3://backups/"),
        ("restore", f"the data of staging would be replaced by backup {BACKUP.id} of version"),
        ("drill", f"backup {BACKUP.id} of version"),
    ],
)
def test_a_dry_run_is_told_to_a_person_in_a_sentence(
    verb: str,
    told: str,
    store: FakeStore,
    restored: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(deploying, "application_for", lambda *_: None)
    assert app.run(["backup", verb, "staging", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(told)
    assert (restored, store.made) == ([], [])


def test_what_is_no_id_is_refused_before_it_becomes_part_of_a_path() -> None:
    empty: Any = SimpleNamespace(listed=lambda _: {})
    with pytest.raises(FlowError, match="no backup's id"):
        Store(empty, "p").one("staging", "../prod")
    with pytest.raises(FlowError, match="there is no backup of staging") as error:
        Store(empty, "p").one("staging", None)
    assert error.value.remedy == "flow backup create staging"


# -- drills ----------------------------------------------------------------------------------------


class Drill:
    """One drill with everything around it faked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stacks = FakeStacks()
        self.removed: list[str] = []
        self.wish: deploying.Wish | None = None
        self.fails: dict[str, Exception] = {}
        self.rows = {"db": {"tasks": 24}}
        self.team: Any = SimpleNamespace(stacks=self.stacks)
        monkeypatch.setattr(deploying, "deploy", self._deploy)
        monkeypatch.setattr(destroying, "destroy", self._destroy)
        monkeypatch.setattr(restoring, "restore", self._restore)

    def run(self, environment: str = "staging") -> drilling.Drilled:
        store: Any = FakeStore()
        backup = dataclasses.replace(BACKUP, environment=environment)
        with Stages() as stages:
            return drilling.drill(self.team, store, backup, stages, None)

    def _deploy(self, _: Any, wish: deploying.Wish, __: Stages) -> Any:
        self.wish = wish
        assert wish.stack in self.stacks.there
        if error := self.fails.get("deploy"):
            raise error
        return SimpleNamespace(seconds=9.0)

    def _destroy(self, _: Any, stack: str, __: Stages) -> dict[str, Any]:
        if error := self.fails.get("destroy"):
            raise error
        self.removed.append(stack)
        return {}

    def _restore(self, _: Any, stack: str, *__: Any, safety: bool = True) -> Restored:
        if error := self.fails.get("restore"):
            raise error
        assert not safety
        return Restored(stack, BACKUP, None, self.rows, 1.0, 2.0)


@pytest.fixture
def drill(monkeypatch: pytest.MonkeyPatch) -> Drill:
    return Drill(monkeypatch)


def test_a_drill_takes_the_backups_version_to_a_demo_with_an_end_and_removes_it(
    drill: Drill,
) -> None:
    done = drill.run()
    assert drill.wish is not None
    assert drill.wish.stack.startswith("feature-demo-drill--staging-")
    assert drill.wish.version == BACKUP.version
    last = datetime.date.fromisoformat(str(drill.wish.until))
    today = datetime.datetime.now(datetime.UTC).date()
    assert today < last <= today + datetime.timedelta(days=2)
    assert drill.removed == [drill.wish.stack]
    assert done.output()["rows"] == {"db": {"tasks": 24}}


@pytest.mark.parametrize("at", ["deploy", "restore"])
@pytest.mark.parametrize("error", [FlowError("no"), KeyboardInterrupt(), KeyError("x")])
def test_whatever_ends_a_drill_its_server_goes(drill: Drill, at: str, error: Exception) -> None:
    drill.fails[at] = error
    with pytest.raises(type(error)):
        drill.run()
    assert len(drill.removed) == 1


def test_a_server_that_stays_is_an_error_that_names_it_and_what_came_before(drill: Drill) -> None:
    drill.fails = {"restore": FlowError("no such role"), "destroy": FlowError("no answer")}
    with pytest.raises(FlowError, match=r"no such role; and then: feature-demo-drill-.*no answer"):
        drill.run()


def test_a_drill_that_brings_nothing_back_fails(drill: Drill) -> None:
    drill.rows = {"db": {"tasks": 0}}
    with pytest.raises(FlowError, match=r"nothing in db\.tasks"):
        drill.run()
    assert len(drill.removed) == 1


def test_what_a_killed_drill_has_left_goes_and_nothing_else(drill: Drill) -> None:
    now = datetime.datetime.now(datetime.UTC)
    hours = {
        "drill--staging-01": 4,
        "drill--staging-02": 1,
        "drill--dev-03": 9,
        "drill-staging-x": 99,
    }
    for name, ago in hours.items():
        stack = f"feature-demo-{name}"
        drill.stacks.there.append(stack)
        when = now - datetime.timedelta(hours=ago)
        drill.stacks.created[stack] = f"{when:%Y-%m-%dT%H:%M:%SZ}"
    drill.stacks.there.append("feature-demo-drill--staging-04")  # it is only just being made
    with Stages() as stages:
        assert drilling.clear(drill.team, "staging", stages) == ["feature-demo-drill--staging-01"]
    assert drill.removed == ["feature-demo-drill--staging-01"]


@pytest.mark.parametrize(
    ("environment", "group"),
    [("prod", "prod"), ("staging", "nonprod"), ("dev", "nonprod"), ("feature-demo-x", "demo")],
)
def test_a_drill_is_in_the_group_of_what_is_drilled_and_asks_no_other(
    drill: Drill, environment: str, group: str
) -> None:
    stack = drill.run(environment).stack
    assert backends.group_of(stack) == group
    assert drill.stacks.asked == {(group,)}
    assert drill.removed == [stack]


@pytest.mark.parametrize(
    ("settings", "state_of", "has"),
    [
        ({"hcloud:token": "set"}, "made with", {"hcloud:token": "set"}),
        ({}, "made with", {"hcloud:token": "made with"}),
        ({}, None, {}),
    ],
)
def test_a_drills_server_is_made_with_the_token_of_what_is_drilled(
    drill: Drill,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    state_of: str | None,
    has: dict[str, str],
) -> None:
    drill.stacks.there.append("prod")
    drill.stacks.own["prod"] = settings
    provider = {} if state_of is None else {"token": state_of}
    monkeypatch.setattr(state, "parse", lambda _: State(provider=provider))
    done = drill.run("prod")
    assert drill.stacks.own.get(done.stack, {}) == has


def test_an_environment_whose_token_cannot_be_read_is_not_drilled_with_another(
    drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(_: str) -> dict[str, str]:
        raise FlowError("the passphrase is not the one")

    drill.stacks.there.append("prod")
    monkeypatch.setattr(drill.stacks, "settings", unread)
    with pytest.raises(FlowError, match="the passphrase"):
        drill.run("prod")
    assert drill.wish is None
    assert len(drill.removed) == 1


# -- tickets and the nightly job -------------------------------------------------------------------

RUNS = State(
    {"deploy_key": "PRIVATE", "known_hosts": "ssh-ed25519 AAAA", "ssh": "ssh root@192.0.2.7",
     "password": "hush", "url": "https://x.test"},
    release={"version": "1"}, provider={"token": "hetzner"},
)  # fmt: skip


def test_a_ticket_holds_the_way_to_one_agent_and_nothing_else() -> None:
    text = ticket.issue("prod", RUNS)
    assert "hush" not in text
    assert "hetzner" not in text
    assert server.connection("prod", ticket.read(text, "prod")) == server.connection("prod", RUNS)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"environment": "prod"}'])
def test_what_is_no_ticket_or_anothers_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(FlowError, match="no ticket"):
        ticket.read(text, "prod")
    with pytest.raises(FlowError, match="one of staging"):
        ticket.read(ticket.issue("staging", RUNS), "prod")


def test_a_ticket_is_not_printed_on_a_screen(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert app.run(["backup", "ticket", "prod"]) == 2
    assert "PRIVATE" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("configured", "exported", "named"),
    [("a/set", "a/run", "a/set"), ("", "a/run", "a/run"), ("", "", "OWNER/NAME")],
)
def test_where_the_ticket_goes_names_the_application_s_repository(
    store: FakeStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    configured: str,
    exported: str,
    named: str,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(project.find(), "settings", lambda _: {"githubRepository": configured})
    monkeypatch.setenv("GITHUB_REPOSITORY", exported)
    assert app.run(["backup", "ticket", "prod"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"gh secret set BACKUP_TICKET --env flow-backup --repo {named}" in said


@pytest.fixture
def night(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Run, list[str]]:
    """A nightly run, and the drills it makes."""
    drills: list[str] = []
    monkeypatch.setenv("BACKUP_BUCKET", "backups")
    monkeypatch.delenv(ticket.VARIABLE, raising=False)
    monkeypatch.setattr(bucket, "Bucket", lambda _: None)
    monkeypatch.setattr(bucket.Place, "of_backups", lambda: None)
    monkeypatch.setattr(keeping, "Store", lambda *_: store)
    monkeypatch.setattr(deploying, "application_for", lambda *_: tmp_path)

    def drill(*arguments: Any) -> Any:
        drills.append(arguments[2].environment)
        dump = dataclasses.replace(BACKUP.parts[0], bytes=12_345_678)
        backup = dataclasses.replace(arguments[2], parts=(dump,))
        return drilling.Drilled(
            backup=backup,
            stack=drilling.stack_for(backup.environment),
            age_seconds=3 * 3600,
            rows={"db": {"tasks": 24}},
            lost=(),
            deploy_seconds=30.0,
            restore_seconds=2.0,
            seconds=40.0,
        )

    monkeypatch.setattr(drilling, "drill", drill)
    words: dict[str, Any] = dict.fromkeys(("ref", "sha", "actor", "address", "api", "token"), "")
    return (
        Run(name="schedule", repository="o/r", event={}, summary=tmp_path / "page", **words),
        drills,
    )


def test_each_night_is_saved_and_a_months_first_is_proved(
    store: FakeStore, night: tuple[Run, list[str]], tmp_path: Path
) -> None:
    run, drills = night
    job.backup(run, "staging", datetime.date(2031, 5, 31))
    assert (store.made, drills) == ([("staging", "nightly")], [])
    job.backup(run, "staging", datetime.date(2031, 6, 1))
    assert drills == ["staging"]
    page = (tmp_path / "page").read_text()
    drilled = page.partition("### Drill of staging")[2]
    assert f"`{BACKUP.id}`: 3 h old, 12.3 MB" in drilled
    assert "Restored in 2 s, all in 40 s" in drilled
    assert "- db.tasks: 24" in drilled


def test_without_a_bucket_the_night_says_so_and_goes_on(
    store: FakeStore, night: tuple[Run, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("BACKUP_BUCKET")
    job.backup(night[0], "staging", datetime.date(2031, 6, 1))
    assert store.made == []
    assert "BACKUP_BUCKET is not set" in (tmp_path / "page").read_text()


def test_production_without_a_ticket_yet_is_told_and_fails_no_night(
    store: FakeStore, night: tuple[Run, list[str]], tmp_path: Path
) -> None:
    job.backup(night[0], "prod", datetime.date(2031, 6, 2))
    assert store.made == []
    assert "BACKUP_TICKET is not set" in (tmp_path / "page").read_text()


def test_with_a_ticket_neither_a_state_is_read_nor_a_server_made(
    store: FakeStore, night: tuple[Run, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> Any:
        raise AssertionError("the state was asked for")

    monkeypatch.setattr(project.find().stacks, "state", refuse)
    monkeypatch.setenv(ticket.VARIABLE, ticket.issue("prod", RUNS))
    job.backup(night[0], "prod", datetime.date(2031, 6, 1))
    assert (store.made, night[1]) == ([("prod", "nightly")], [])
