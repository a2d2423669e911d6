"""The sandbox's records: they stay, they are whole, and nobody else's are seen."""

import threading
from pathlib import Path

import pytest

from sandbox.store import Store


def test_records_outlive_the_process(tmp_path: Path) -> None:
    first = Store(tmp_path / "cloud.db")
    made = first.add("server", "demo", {"name": "web"})
    first.set_setting("clock_offset", 5)
    first.close()
    second = Store(tmp_path / "cloud.db")
    assert second.get("server", made["id"]) == made
    assert second.setting("clock_offset") == 5
    assert second.add("server", "demo", {"name": "db"})["id"] > made["id"]
    second.close()


def test_a_transaction_that_fails_leaves_nothing() -> None:
    store = Store()

    def fail_half_way() -> None:
        with store.transaction():
            store.add("server", "demo", {"name": "web"})
            with store.transaction():
                store.add("volume", "demo", {"name": "data"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert store.all("server") == store.all("volume") == []


def test_another_projects_record_is_not_there() -> None:
    store = Store()
    made = store.add("server", "prod", {"name": "web"})
    assert store.get("server", made["id"], "demo") is None
    assert store.all("server", "demo") == []
    assert store.all("server") == [made]


def test_numbers_are_never_used_twice_by_many_threads() -> None:
    store = Store()
    numbers: list[int] = []

    def add() -> None:
        for _ in range(20):
            numbers.append(store.add("server", "demo", {})["id"])

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(numbers)) == 160


def test_a_deleted_record_is_not_saved_back() -> None:
    store = Store()
    made = store.add("server", "demo", {"name": "web"})
    store.remove("server", made["id"])
    store.save("server", made)
    assert store.change("server", made["id"], name="db") is None
    assert store.all("server") == []
