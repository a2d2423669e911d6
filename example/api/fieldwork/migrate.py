"""Applies the migrations that the database lacks, each once and in order.

A migration is a file `NNNN_what_it_does.sql` of plain SQL, numbered from 0001 without gaps. Each
runs in a transaction of its own together with the row that records it, so that a failing one
leaves nothing behind; it stops the run, and with it the deploy. Applied files are history: one
that was edited or removed is refused. Old and new code meet the same tables during a deploy, so a
migration only adds, or removes what the version before no longer uses; there is no way down.
"""

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fieldwork import faults

FOLDER: Final = Path(__file__).resolve().parent.parent / "migrations"
NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# Any number, the same in every copy: two runs at once take turns.
LOCK: Final = 7_201_732_001


class MigrationError(Exception):
    """What is wrong with the migrations, and what to do about it."""


@dataclass(frozen=True)
class Migration:
    """One file: its number, its name with `.sql`, and its text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """The migrations in `folder` by number; refuses other names, gaps and numbers used twice."""
    found = []
    for path in sorted(folder.iterdir()):
        matched = NAME.fullmatch(path.name)
        if matched is None:
            raise MigrationError(f"{path.name}: name it like 0007_what_it_does.sql")
        found.append(Migration(int(matched[1]), path.name, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, start=1):
        if migration.number != expected:
            raise MigrationError(
                f"{migration.name}: expected number {expected:04}; numbers run from 0001, "
                "each used once, without gaps"
            )
    return found


def pending(migrations: Sequence[Migration], applied: Mapping[str, str]) -> list[Migration]:
    """The migrations to apply, given the checksums of the applied ones by name."""
    missing = sorted(set(applied) - {migration.name for migration in migrations})
    if missing:
        raise MigrationError(
            f"the database has {missing[0]}, which this version lacks: deploy a version that has it"
        )
    for migration in migrations:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(
                f"{migration.name} was changed after it was applied: restore it and put the "
                "change into a new migration"
            )
    todo = [migration for migration in migrations if migration.name not in applied]
    if todo and len(migrations) - len(todo) >= todo[0].number:
        raise MigrationError(f"{todo[0].name} comes before an applied one: give it a new number")
    return todo


def apply(migrations: Sequence[Migration]) -> list[str]:
    """Applies what is pending to the database of libpq's environment; returns the names."""
    import psycopg  # here: the functions above serve where no libpq is installed

    with psycopg.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = connection.execute("SELECT name, checksum FROM migrations").fetchall()
        done = []
        for migration in pending(migrations, dict(rows)):
            try:
                with connection.transaction():
                    connection.execute(migration.sql.encode())
                    connection.execute(
                        "INSERT INTO migrations (name, checksum) VALUES (%s, %s)",
                        [migration.name, migration.checksum],
                    )
            except psycopg.Error as error:
                raise MigrationError(
                    f"{migration.name} failed and left no trace: {error}"
                ) from error
            print(f"migrate: applied {migration.name}", flush=True)
            done.append(migration.name)
        return done


def main() -> int:
    """Exit code 0 when the database has every migration, else 1 with the reason."""
    try:
        migrations = read(Path(os.environ.get("MIGRATIONS", FOLDER)))
        if faults.present("migration"):
            number = len(migrations) + 1
            migrations.append(
                Migration(number, f"{number:04}_fault.sql", "ALTER TABLE nowhere ADD x int")
            )
        done = apply(migrations)
    except MigrationError as error:
        print(f"migrate: {error}", file=sys.stderr)
        return 1
    print(f"migrate: {len(done)} applied, {len(migrations)} in all", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
