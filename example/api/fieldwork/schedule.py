"""The scheduled job: refreshes the statistics now and every STATS_EVERY seconds, until SIGTERM."""

import os
import signal
import sys
import threading
from types import FrameType

import psycopg

REFRESH = """
    INSERT INTO stats (id, open, mapped, validated, refreshed_at)
    SELECT 1, count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE status = 'mapped'),
        count(*) FILTER (WHERE status = 'validated'), now() FROM tasks
    ON CONFLICT (id) DO UPDATE SET open = excluded.open, mapped = excluded.mapped,
        validated = excluded.validated, refreshed_at = excluded.refreshed_at
"""


def refresh() -> None:
    """Counts the tasks once. Raises psycopg.Error."""
    with psycopg.connect() as connection:
        connection.execute(REFRESH)


def main() -> int:
    """Runs until SIGTERM or SIGINT; a failed round is reported and the next one tries again."""
    every = float(os.environ.get("STATS_EVERY", "60"))
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while not stop.is_set():
        try:
            refresh()
            print("schedule: statistics refreshed", flush=True)
        except psycopg.Error as error:
            print(f"schedule: {error}", file=sys.stderr, flush=True)
        stop.wait(every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
