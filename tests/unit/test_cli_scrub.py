"""`flow demo up --data`: what is refused before anything is made, and what is done then."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyrage
import pytest

from components import compose, plain_yaml
from flow import app, backends, costing, demos, project, state
from flow.backups import bucket, records, restoring, scrubbing, sealing
from flow.backups.keeping import Store
from flow.backups.records import Backup
from flow.backups.restoring import Restored
from flow.commands import demo as commands
from flow.deploying import Deployed
from flow.errors import FlowError
from flow.stages import Stages
from tests.unit.test_backup_records import BACKUP

EXAMPLE = Path(__file__).parents[2] / "example"
STACK = "feature-demo-x"
OF_STAGING = dataclasses.replace(
    BACKUP,
    environment="staging",
    stage="staging",
    parts=tuple(part for part in BACKUP.parts if part.service == "db"),
)


class Team:
    """A team whose engine and bucket are faked; `done` is what would have changed something."""

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, "deployment-flow"
        self.done: list[Any] = []
        self.there: list[str] = []
        self.backup: Backup = OF_STAGING
        self.stacks = SimpleNamespace(names=lambda _: self.there, state=lambda _: {})
        self.identity = b""
        # The bucket with one backup.
        self.bucket = SimpleNamespace(get=lambda _: self.identity)

    def application(self, _: str, given: Path | None) -> Path:
        return given or self.root

    def compose_file(self, _: str) -> str:
        return "compose.yaml"

    def one(self, environment: str, wanted: str | None) -> Backup:
        if wanted is not None:
            records.check_id(wanted)
        return dataclasses.replace(self.backup, environment=environment)

    def up(self, *_: Any, **more: Any) -> Deployed:
        self.done.append(("up", more["version"]))
        return Deployed(STACK, "demo", "https://x.test", "1", "", "r", "b", None, 1.0, {})

    def restore(
        self, _: Any, stack: str, __: Any, backup: Backup, ___: Stages, **how: bool
    ) -> Restored:
        self.done.append(("restore", stack, backup.environment, how))
        saved = BACKUP if how["safety"] else None
        return Restored(stack, backup, saved, {"db": {"tasks": 24}}, 1.0, 2.0)


@pytest.fixture(scope="module")
def identity() -> bytes:
    """A backup's key, sealed as staging's are; takes seconds."""
    key = str(pyrage.x25519.Identity.generate()).encode()
    return bytes(pyrage.passphrase.encrypt(key, "of staging"))


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, identity: bytes) -> Team:
    made = Team(tmp_path)
    made.identity = identity
    (tmp_path / "compose.yaml").write_text((EXAMPLE / "compose.yaml").read_text())
    monkeypatch.setattr(project, "find", lambda: made)
    monkeypatch.setattr(state, "parse", lambda _: None)
    monkeypatch.setattr(demos, "up", made.up)
    monkeypatch.setattr(restoring, "restore", made.restore)
    monkeypatch.setattr(Store, "one", lambda _, *asked: made.one(*asked))
    monkeypatch.setattr(commands, "store_of", lambda _: Store(made.bucket, "p"))  # type: ignore[arg-type]
    monkeypatch.setattr(commands, "_would", lambda *_: {"exists": False})
    cost = SimpleNamespace(output=dict)
    monkeypatch.setattr(costing, "estimate", lambda *_: cost)
    for name in (backends.PASSPHRASE, backends.of_group(backends.PASSPHRASE, backends.DEMO)):
        monkeypatch.setenv(name, "of demos")
    monkeypatch.setenv(backends.of_group(backends.PASSPHRASE, backends.NONPROD), "of staging")
    return made


def up(*more: str) -> int:
    return app.run(["demo", "up", STACK, "--data", "staging", *more])


def relabelled(team: Team, change: Callable[[str], str]) -> None:
    file = team.root / "compose.yaml"
    file.write_text(change(file.read_text()))


def test_a_demo_is_made_then_gets_the_stages_newest_data_scrubbed(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up("--version", "1", "--json") == 0
    how = {"safety": False, "scrubbed": True}
    assert team.done == [("up", "1"), ("restore", STACK, "staging", how)]
    assert json.loads(capsys.readouterr().out)["data"]["rows"] == {"db": {"tasks": 24}}


def test_a_demo_that_is_there_is_asked_for_and_its_data_saved_first(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    team.there = [STACK]
    assert up() == 2
    assert "Replace the data of feature-demo-x" in capsys.readouterr().err
    assert team.done == []
    assert up("--yes") == 0
    assert team.done[-1][-1] == {"safety": True, "scrubbed": True}
    assert "flow backup restore feature-demo-x --from" in capsys.readouterr().err


def test_without_data_nothing_is_restored(team: Team) -> None:
    assert app.run(["demo", "up", STACK]) == 0
    assert team.done == [("up", None)]


def test_a_dry_run_says_what_would_be_restored_and_does_nothing(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up("--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["would_restore_scrubbed"]["id"] == BACKUP.id
    assert up("--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{STACK} would be made, with backup {BACKUP.id} of staging" in said
    assert team.done == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("prod", "production's data never goes to a demo"),
        ("main", "production's data never goes to a demo"),
        ("feature-demo-y", "no stage whose data"),
    ],
)
def test_no_demo_gets_the_data_of_production_or_of_another_demo(
    team: Team, capsys: pytest.CaptureFixture[str], source: str, why: str
) -> None:
    assert app.run(["demo", "up", STACK, "--data", source, "--yes"]) == 2
    assert why in " ".join(capsys.readouterr().err.split())
    assert team.done == []


def test_a_backup_of_production_under_stagings_name_is_refused(team: Team) -> None:
    team.backup = dataclasses.replace(OF_STAGING, stage="prod")
    assert up() == 2
    assert team.done == []


@pytest.mark.parametrize("label", [compose.SCRUB, compose.RESTORE])
def test_without_the_label_nothing_is_made(
    team: Team, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    relabelled(team, lambda text: text.replace(f"{label}:", "x.none:"))
    assert up() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"has no label {label}" in said
    assert "Nothing was changed" in said
    assert team.done == []


def test_every_service_of_the_backup_has_to_say_how_it_is_scrubbed(
    team: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    team.backup = BACKUP
    assert up() == 1
    assert "service files in" in " ".join(capsys.readouterr().err.split())
    assert team.done == []


def test_an_empty_label_is_none(team: Team) -> None:
    described = plain_yaml.load((team.root / "compose.yaml").read_text())
    described["services"]["db"]["labels"][compose.SCRUB] = " "
    with pytest.raises(FlowError, match="has no label"):
        scrubbing.check_labels(described, Path("compose.yaml"), OF_STAGING)


def test_a_public_service_that_holds_the_data_is_refused(team: Team) -> None:
    described = plain_yaml.load((team.root / "compose.yaml").read_text())
    described["services"]["db"]["labels"][compose.HTTP] = "8080"
    with pytest.raises(FlowError, match="is public and holds the data"):
        scrubbing.check_labels(described, Path("compose.yaml"), OF_STAGING)


def test_with_a_demos_keys_alone_nothing_is_made_and_it_says_where_it_can_be_run(
    team: Team, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(backends.of_group(backends.PASSPHRASE, backends.NONPROD))
    assert up() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "does not open the backup" in said
    assert "flow-nonprod" in said

    def none(_: Any) -> Store:
        return Store(bucket.Bucket(bucket.Place.of_backups()), "p")

    for name in (bucket.BUCKET, bucket.ACCESS_KEY, bucket.SECRET_KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(commands, "store_of", none)
    assert up() == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "BACKUP_BUCKET" in said
    assert "flow-nonprod" in said
    assert team.done == []


def test_a_backup_that_is_named_needs_its_environment(team: Team) -> None:
    assert app.run(["demo", "up", STACK, "--from", BACKUP.id]) == 2
    assert up("--from", "../prod") == 2
    assert team.done == []


def test_the_examples_scrub_names_columns_its_migrations_make() -> None:
    described = plain_yaml.load((EXAMPLE / "compose.yaml").read_text())
    command = compose.labels_of(described["services"]["db"])[compose.SCRUB]
    assert "ON_ERROR_STOP=1" in command
    assert "--single-transaction" in command
    made = "\n".join(file.read_text() for file in (EXAMPLE / "api/migrations").iterdir())
    updates = re.findall(r"UPDATE (\w+) SET (\w+) = '([^']+)'", command)
    assert [(table, column) for table, column, _ in updates] == [
        ("tasks", "changed_at"),
        ("stats", "refreshed_at"),
    ]
    for table, column, _ in updates:
        body = re.search(rf"CREATE TABLE {table} \((.*?)\n\);", made, re.DOTALL)
        assert body is not None
        assert re.search(rf"^    {column} timestamptz", body[1], re.MULTILINE)


def test_the_opener_is_asked_with_the_stages_own_passphrase(team: Team) -> None:
    key = restoring.key_of(Store(team.bucket, "p"), OF_STAGING)  # type: ignore[arg-type]
    assert str(key).startswith("AGE-SECRET-KEY-")
    assert OF_STAGING.sealed == sealing.BY_PASSPHRASE
