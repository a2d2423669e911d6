"""The scheduled job: refreshes the statistics now and every STATS_EVERY seconds, until SIGTERM.

With `--check` it tells by its exit code whether a round succeeded lately, for the health check.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

# The container's own, and the only writable place.
MARK: Final = Path("/tmp/refreshed")  # noqa: S108  # nosec B108
RETRY_SECONDS: Final = 2.0
REFRESH: Final = """
    INSERT INTO stats (id, open, mapped, validated, refreshed_at)
    SELECT 1, count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE status = 'mapped'),
        count(*) FILTER (WHERE status = 'validated'), now() FROM tasks
    ON CONFLICT (id) DO UPDATE SET open = excluded.open, mapped = excluded.mapped,
        validated = excluded.validated, refreshed_at = excluded.refreshed_at
"""


def check(every: float) -> int:
    """0 where the last good round is less than three rounds old, else 1."""
    try:
        age = time.time() - MARK.stat().st_mtime
    except FileNotFoundError:
        return 1
    return int(age > 3 * every + 10)


def run(every: float) -> int:
    """Runs until SIGTERM or SIGINT; a failed round is reported and tried again soon."""
    import psycopg  # here: the health check needs no database

    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while not stop.is_set():
        pause = every
        try:
            with psycopg.connect() as connection:
                connection.execute(REFRESH)
            MARK.touch()
            print("schedule: statistics refreshed", flush=True)
        except psycopg.Error as error:
            print(f"schedule: {error}", file=sys.stderr, flush=True)
            # After a boot the database comes up last; waiting a whole round for the second try
            # would leave this container unhealthy for as long.
            pause = min(every, RETRY_SECONDS)
        stop.wait(pause)
    return 0


if __name__ == "__main__":
    seconds = float(os.environ.get("STATS_EVERY", "60"))
    sys.exit(check(seconds) if sys.argv[1:] == ["--check"] else run(seconds))
