"""What a person's browser sees of runs, and where the API sends its clients for logs.

Pages are for anybody on this machine: they show what logs show, and logs hold no secrets. A log's
address carries a signature that is good for a minute, as GitHub's does.
"""

import hashlib
import hmac
import io
import secrets
import time
import zipfile
from collections.abc import Iterable
from html import escape

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.github import html
from sandbox.github.actions import records
from sandbox.github.actions.jobs import log_of
from sandbox.github.hub import Hub
from sandbox.store import Record

_KEY = secrets.token_bytes(32)
_SECONDS = 60
_NEWEST = 100
_SIGNS = {
    "success": "✓", "failure": "✗", "startup_failure": "✗", "cancelled": "⊘", "skipped": "–",
    "in_progress": "●", "waiting": "⏸", "queued": "○", "pending": "○",
}  # fmt: skip


def log_address(hub: Hub, kind: str, number: int) -> str:
    """Where a log can be had for a minute; `kind` is run (a zip of all its jobs') or job."""
    until = int(time.time()) + _SECONDS
    return f"{hub.url}/_logs/{kind}/{number}?until={until}&sig={_signature(kind, number, until)}"


def _signature(kind: str, number: int, until: int) -> str:
    return hmac.new(_KEY, f"{kind} {number} {until}".encode(), hashlib.sha256).hexdigest()


def routes(hub: Hub) -> list[Route]:
    """What is mounted beside the API."""

    def log(request: Request) -> Response:
        kind, number = request.path_params["kind"], int(request.path_params["number"])
        until = request.query_params.get("until", "0")
        given = request.query_params.get("sig", "")
        signed = until.isdecimal() and hmac.compare_digest(
            given.encode(), _signature(kind, number, int(until)).encode()
        )
        record = hub.store.get(kind, number)
        if not signed or int(until) < time.time() or record is None:
            return PlainTextResponse("this address was good for a minute\n", 403)
        if kind == "run":
            return Response(_zip(hub, record), media_type="application/zip")
        return PlainTextResponse(_text(hub, record))

    def runs(request: Request) -> Response:
        full_name = _name(request)
        found = list(reversed(hub.store.all("run", full_name)))[:_NEWEST]
        rows = (
            f"<tr><td>{_mark(run)}</td><td><a href='{escape(records.run_url(hub, run))}'>"
            f"{escape(run['display_title'])}</a></td><td>{escape(run['name'])} "
            f"#{run['run_number']}</td><td>{escape(run['event'])}</td>"
            f"<td>{escape(run['head_branch'])}</td><td>{escape(run['actor'])}</td>"
            f"<td>{run['created_at']}</td></tr>"
            for run in found
        )
        return html.page(
            f"Runs of {full_name}", ["<table>", *rows, "</table>"], moving=_moving(found)
        )

    def run(request: Request) -> Response:
        record = hub.store.get("run", request.path_params["run_id"], _name(request))
        if record is None:
            return html.nothing()
        jobs = records.jobs(hub, record)
        rows = (
            f"<tr><td>{_mark(job)}</td><td><a href='{escape(records.job_url(hub, job))}'>"
            f"{escape(job['name'])}</a></td><td>{_link(hub, job)}</td>"
            f"<td>{job['started_at'] or ''}</td><td>{job['completed_at'] or ''}</td></tr>"
            for job in jobs
        )
        what = (
            f"{escape(record['name'])} #{record['run_number']}, attempt {record['run_attempt']}: "
            f"{escape(record['event'])} by {escape(record['actor'])} on "
            f"<b>{escape(record['ref'])}</b> <code>{record['head_sha'][:12]}</code>"
        )
        body = [
            f"<p>{_mark(record)} {what}</p>",
            f"<p class=failure>{escape(record['error'])}</p>" if record["error"] else "",
            "<table><tr><th></th><th>job</th><th>environment</th><th>began</th><th>ended</th></tr>",
            *rows,
            f"</table><p><a href='{escape(hub.url)}/{_name(request)}/actions'>all runs</a></p>",
        ]
        return html.page(record["display_title"], body, moving=_moving([record]))

    def job(request: Request) -> Response:
        record = hub.store.get("job", request.path_params["job_id"], _name(request))
        if record is None:
            return html.nothing()
        steps = (
            f"<tr><td>{_mark(step)}</td><td>{escape(step['name'])}</td></tr>"
            for step in record["steps"]
        )
        above = f"{hub.url}/{record['project']}/actions/runs/{record['run_id']}"
        body = [
            f"<p>{_mark(record)} {escape(record['reason'])} {_link(hub, record)}</p><table>",
            *steps,
            f"</table><pre>{escape(_text(hub, record))}</pre>",
            f"<p><a href='{escape(above)}'>the run</a></p>",
        ]
        return html.page(record["name"], body, moving=_moving([record]))

    under = "/{owner}/{repo}/actions"
    return [
        Route("/_logs/{kind}/{number:int}", html.off_the_loop(log), methods=["GET"]),
        Route(under, html.off_the_loop(runs), methods=["GET"]),
        Route(under + "/runs/{run_id:int}", html.off_the_loop(run), methods=["GET"]),
        Route(
            under + "/runs/{run_id:int}/job/{job_id:int}", html.off_the_loop(job), methods=["GET"]
        ),
    ]


def _name(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['repo']}"


def _text(hub: Hub, job: Record) -> str:
    path = log_of(hub, job)
    return path.read_text(errors="replace") if path.exists() else ""


def _zip(hub: Hub, run: Record) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, job in enumerate(records.jobs(hub, run)):
            if text := _text(hub, job):
                archive.writestr(f"{number}_{job['name'].replace('/', '_')}.txt", text)
    return packed.getvalue()


def _mark(record: Record) -> str:
    state = record["conclusion"] or record["status"]
    return f"<span class={state} title={state}>{_SIGNS.get(state, '?')} {state}</span>"


def _link(hub: Hub, job: Record) -> str:
    """Its environment, and where that is."""
    found = [
        status["environment_url"]
        for status in hub.store.all("deployment_status", job["project"])
        if status["deployment"] == job["deployment"] and status["environment_url"]
    ]
    name = escape(job["environment"])
    if found and found[-1].startswith(("http://", "https://")):
        return f"{name} <a href='{escape(found[-1])}'>{escape(found[-1])}</a>"
    return name


def _moving(found: Iterable[Record]) -> bool:
    return any(record["status"] != records.DONE for record in found)
