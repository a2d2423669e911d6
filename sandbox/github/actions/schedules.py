"""Schedules: which workflows' time has come, by the sandbox's clock."""

import datetime
import logging
from collections.abc import Iterator

from sandbox.github.actions import records
from sandbox.github.actions.cron import Cron, CronError
from sandbox.github.actions.workflow import FOLDER, WorkflowError, parse
from sandbox.github.hub import Event, Hub
from sandbox.store import Record

log = logging.getLogger(__name__)

_SILENT_SECONDS = 60 * 86400.0
_SETTING = "schedules-seen"


class Schedules:
    """Looks at the default branches' files once a minute of the sandbox's clock.

    A clock that was moved on by hours starts each schedule in between once: that is what moving
    it is for. Where nothing was pushed to a public repository for 60 days, its schedules stop.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def due(self) -> list[Event]:
        """The events of schedules since the last call; none at the very first."""
        now = self._hub.store.now()
        seen = self._hub.store.setting(_SETTING)
        if seen is not None and now // 60 == seen // 60:
            return []
        self._hub.store.set_setting(_SETTING, now)
        if seen is None or now < seen:
            return []
        return [
            event
            for repository in self._hub.store.all("repository")
            for event in self._of(repository, seen, now)
        ]

    def _of(self, repository: Record, seen: float, now: float) -> Iterator[Event]:
        git = self._hub.git(repository)
        ref = f"refs/heads/{repository['default_branch']}"
        sha = git.resolve(ref)
        for path in git.names(sha, FOLDER.rstrip("/")) if sha else ():
            content = git.file(sha or "", path) or b""
            if b"schedule" not in content or not path.endswith((".yml", ".yaml")):
                continue
            try:
                workflow = parse(content.decode("utf-8", "replace"), path)
                crons = workflow.on["schedule"].crons if "schedule" in workflow.on else ()
                times = [(cron, Cron.parse(cron).last(seen, now)) for cron in crons]
            except (WorkflowError, CronError) as error:
                log.warning("%s: %s", path, error)
                continue
            for cron, at in times:
                if at is not None and self._lives(repository, path, workflow.title, now):
                    payload = {"schedule": cron, "workflow": path}
                    yield Event(
                        "schedule", repository["full_name"], ref, sha or "",
                        self._who(repository), payload=payload,
                    )  # fmt: skip

    def _lives(self, repository: Record, path: str, title: str, now: float) -> bool:
        known = records.workflow(self._hub, repository["full_name"], path, title)
        if known["state"] != "active" or repository["private"]:
            return bool(known["state"] == "active")
        last = max(str(repository["pushed_at"]), str(known.get("enabled_at", "")))
        if now - _seconds(last) < _SILENT_SECONDS:
            return True
        self._hub.store.change("workflow", known["id"], state="disabled_inactivity")
        return False

    def _who(self, repository: Record) -> str:
        """Whose run a schedule's is; GitHub names who last changed it, this one an owner."""
        admins = [login for login, role in repository["collaborators"].items() if role == "admin"]
        return admins[0] if admins else str(repository["owner"])


def _seconds(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp).timestamp()
