"""The API: tasks on the map, their statistics, and what a deploy asks: version and health."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Response
from psycopg import OperationalError
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from pydantic import BaseModel

from fieldwork import faults

faults.at_start()

# What libpq needs is in its own environment variables. A connection is tried before it is lent,
# so that a restart of the database costs no request.
pool = ConnectionPool(
    kwargs={"row_factory": dict_row},
    min_size=1,
    max_size=8,
    timeout=5,
    open=False,
    check=ConnectionPool.check_connection,
)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool without waiting for the database: a page that says so beats none."""
    pool.open(wait=False)
    yield
    pool.close(timeout=2)


app = FastAPI(title="Fieldwork", lifespan=lifespan, docs_url=None, redoc_url=None)


class Change(BaseModel):
    """A task's new status."""

    status: Literal["open", "mapped", "validated"]


def rows(query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    """The query's rows; 503 where the database cannot be reached."""
    try:
        with pool.connection() as connection:
            return connection.execute(query, values).fetchall()
    except (OperationalError, PoolTimeout) as error:
        raise HTTPException(503, "the database does not answer") from error


@app.get("/__lbheartbeat__")
def running() -> dict[str, str]:
    """Whether this process serves; asks nothing else."""
    if faults.present("health"):
        raise HTTPException(503, "this version was built to be unhealthy")
    return {"status": "ok"}


@app.get("/api/heartbeat")
def healthy() -> dict[str, str]:
    """Whether this process serves and reaches its tables."""
    running()
    rows("SELECT name FROM migrations LIMIT 1")
    return {"status": "ok"}


@app.get("/api/version")
def version() -> dict[str, str]:
    """What runs here: version and commit of the image, stage of the deployment."""
    return {
        "version": os.environ.get("FIELDWORK_VERSION", "local"),
        "commit": os.environ.get("FIELDWORK_COMMIT", "unknown"),
        "stage": os.environ.get("STAGE", "local").removeprefix("https://"),
    }


@app.get("/api/tasks")
def tasks() -> list[dict[str, Any]]:
    """Every task, by its place on the map."""
    return rows("SELECT id, x, y, status FROM tasks ORDER BY y, x")


@app.put("/api/tasks/{task}")
def change(task: int, change: Change) -> dict[str, Any]:
    """Gives a task its new status; 404 where there is no such task."""
    changed = rows(
        "UPDATE tasks SET status = %s, changed_at = now() WHERE id = %s RETURNING id, x, y, status",
        [change.status, task],
    )
    if not changed:
        raise HTTPException(404, f"there is no task {task}")
    return changed[0]


@app.get("/api/stats")
def stats(response: Response) -> dict[str, Any]:
    """The counts of the scheduled job's last round, and when that was; zeros before the first."""
    response.headers["Cache-Control"] = "no-store"
    found = rows("SELECT open, mapped, validated, refreshed_at FROM stats")
    return found[0] if found else {"open": 0, "mapped": 0, "validated": 0, "refreshed_at": None}
