"""The rules of the example's migration runner, without a database."""

import importlib
import shutil
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[2] / "example"


@pytest.fixture
def migrate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The runner, as the API's image sees it."""
    monkeypatch.syspath_prepend(str(EXAMPLE / "api"))
    return importlib.import_module("fieldwork.migrate")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the migrations 1 to 11."""
    for number in range(11, 0, -1):
        (tmp_path / f"{number:04}_step.sql").write_text(f"SELECT {number};", encoding="utf-8")
    return tmp_path


def applied(migrate: ModuleType, folder: Path, count: int) -> dict[str, str]:
    return {each.name: each.checksum for each in migrate.read(folder)[:count]}


def test_migrations_are_read_in_the_order_of_their_numbers(
    migrate: ModuleType, folder: Path
) -> None:
    assert [each.number for each in migrate.read(folder)] == list(range(1, 12))


def test_the_migrations_of_the_example_follow_the_rules(migrate: ModuleType) -> None:
    assert [each.number for each in migrate.read(migrate.FOLDER)] == [1, 2]


def test_a_gap_in_the_numbers_is_refused(migrate: ModuleType, folder: Path) -> None:
    (folder / "0004_step.sql").unlink()
    with pytest.raises(migrate.MigrationError, match=r"0005_step.sql: expected number 0004"):
        migrate.read(folder)


def test_a_number_used_twice_is_refused(migrate: ModuleType, folder: Path) -> None:
    (folder / "0004_other.sql").write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(migrate.MigrationError, match=r"0004_step.sql: expected number 0005"):
        migrate.read(folder)


@pytest.mark.parametrize("name", ["12_short.sql", "0012_step.txt", "0012_Step.sql", "README.md"])
def test_a_file_with_another_name_is_refused_and_not_skipped(
    migrate: ModuleType, folder: Path, name: str
) -> None:
    (folder / name).write_text("SELECT 1;", encoding="utf-8")
    with pytest.raises(migrate.MigrationError, match=f"{name}: name it like"):
        migrate.read(folder)


def test_only_what_the_database_lacks_is_pending(migrate: ModuleType, folder: Path) -> None:
    todo = migrate.pending(migrate.read(folder), applied(migrate, folder, 9))
    assert [each.name for each in todo] == ["0010_step.sql", "0011_step.sql"]


def test_nothing_is_pending_once_all_are_applied(migrate: ModuleType, folder: Path) -> None:
    assert migrate.pending(migrate.read(folder), applied(migrate, folder, 11)) == []


def test_an_applied_migration_that_was_edited_is_refused(migrate: ModuleType, folder: Path) -> None:
    before = applied(migrate, folder, 5)
    (folder / "0003_step.sql").write_text("DROP TABLE tasks;", encoding="utf-8")
    with pytest.raises(migrate.MigrationError, match=r"0003_step.sql was changed"):
        migrate.pending(migrate.read(folder), before)


def test_a_version_older_than_its_database_is_refused(migrate: ModuleType, folder: Path) -> None:
    before = applied(migrate, folder, 11)
    (folder / "0011_step.sql").unlink()
    with pytest.raises(migrate.MigrationError, match=r"the database has 0011_step.sql"):
        migrate.pending(migrate.read(folder), before)


def test_a_migration_never_slips_in_before_an_applied_one(
    migrate: ModuleType, folder: Path
) -> None:
    before = applied(migrate, folder, 5)
    del before["0002_step.sql"]
    with pytest.raises(migrate.MigrationError, match=r"0002_step.sql comes before"):
        migrate.pending(migrate.read(folder), before)


def test_a_broken_folder_ends_the_run_with_the_reason_and_exit_code_one(
    migrate: ModuleType,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(folder / "0001_step.sql", folder / "0013_step.sql")
    monkeypatch.setenv("MIGRATIONS", str(folder))
    assert migrate.main() == 1
    assert "0013_step.sql: expected number 0012" in capsys.readouterr().err
