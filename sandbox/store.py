"""What the sandbox knows, in one SQLite file that outlives the process.

A record is a JSON object of one kind (`server`, `volume`, `zone` …) with an `id`
and the `project` that owns it. Identifiers come from one sequence for all kinds,
so that the number of a volume is never the number of a server. Nothing is
cached: the DNS and metadata services read the same records, and so does the
next process.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Record = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, project TEXT NOT NULL, body TEXT NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS records_of_a_project ON records (kind, project);
CREATE TABLE IF NOT EXISTS sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

FIRST_ID = 4_000_001


class Store:
    """Records by kind, safe to use from many threads.

    With no path the records live in memory, for tests. One transaction runs at
    a time; nested ones join the outer. Keep slow work out of them.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            # User data and password hashes are in it.
            path.touch(mode=0o600)
            path.chmod(0o600)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(
            str(path) if path else ":memory:",
            check_same_thread=False,
            isolation_level=None,
            timeout=10,
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together, or not at all when it raises."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def next_number(self, sequence: str, first: int = 1) -> int:
        """The next number of a sequence that is never used twice."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO sequences VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value=value+1",
                (sequence, first),
            )
            row = self._connection.execute(
                "SELECT value FROM sequences WHERE name=?", (sequence,)
            ).fetchone()
            return int(row[0])

    def add(self, kind: str, project: str, record: Record) -> Record:
        """Keep a new record and return it with its `id` and `project`.

        A record that brings an `id` (a record set: `www/A` in its zone) keeps it.
        """
        with self.transaction():
            number = self.next_number("id", FIRST_ID)
            whole = {"id": number, **record, "project": project}
            self._connection.execute(
                "INSERT INTO records (kind, id, project, body, number) VALUES (?, ?, ?, ?, ?)",
                (kind, str(whole["id"]), project, json.dumps(whole), number),
            )
            return whole

    def get(self, kind: str, record_id: int | str, project: str | None = None) -> Record | None:
        """One record, or None; with a project, None also when another owns it."""
        with self._lock:
            row = self._connection.execute(
                "SELECT body, project FROM records WHERE kind=? AND id=?", (kind, str(record_id))
            ).fetchone()
        if row is None or (project is not None and row[1] != project):
            return None
        return _load(row[0])

    def all(self, kind: str, project: str | None = None) -> list[Record]:
        """The records of a kind, oldest first; of every project without one."""
        query, values = "SELECT body FROM records WHERE kind=?", [kind]
        if project is not None:
            query, values = query + " AND project=?", [kind, project]
        with self._lock:
            rows = self._connection.execute(query + " ORDER BY number", values).fetchall()
        return [_load(row[0]) for row in rows]

    def save(self, kind: str, record: Record) -> None:
        """Overwrite a record; one deleted meanwhile stays deleted."""
        with self.transaction():
            self._connection.execute(
                "UPDATE records SET body=? WHERE kind=? AND id=?",
                (json.dumps(record), kind, str(record["id"])),
            )

    def change(self, kind: str, record_id: int | str, **changes: Any) -> Record | None:
        """Set some keys of a record; None when it is gone."""
        with self.transaction():
            record = self.get(kind, record_id)
            if record is not None:
                record.update(changes)
                self.save(kind, record)
            return record

    def remove(self, kind: str, record_id: int | str) -> None:
        """Forget a record; a missing one is fine."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM records WHERE kind=? AND id=?", (kind, str(record_id))
            )

    def forget(self, project: str) -> None:
        """Forget every record of a project."""
        with self.transaction():
            self._connection.execute("DELETE FROM records WHERE project=?", (project,))

    def setting(self, name: str, default: Any = None) -> Any:
        """A value kept under a name, or the default."""
        with self._lock:
            row = self._connection.execute(
                "SELECT value FROM settings WHERE name=?", (name,)
            ).fetchone()
        return default if row is None else json.loads(row[0])

    def set_setting(self, name: str, value: Any) -> None:
        """Keep any JSON value under a name."""
        with self.transaction():
            self._connection.execute(
                "INSERT INTO settings VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value=excluded.value",
                (name, json.dumps(value)),
            )

    def now(self) -> float:
        """Epoch seconds of the sandbox's clock, which a test may move."""
        return time.time() + float(self.setting("clock_offset", 0.0))


def _load(body: str) -> Record:
    record: Record = json.loads(body)
    return record
