"""Actions: work that takes time, and what the API says about it.

An action is written in the transaction of the request that asks for it, and its
work runs in a thread afterwards, one after another for the actions of one
request, and one at a time for each server. Each job is a function of the cloud
and the action's record and may be run again: after a restart of the API the
actions that were running are taken up from their start.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sandbox.hetzner.errors import ApiError
from sandbox.hosts.interface import HostError
from sandbox.store import Record, Store

if TYPE_CHECKING:
    from sandbox.hetzner.cloud import Cloud

Job = Callable[["Cloud", Record], None]
JOBS: dict[str, Job] = {}

# While one of these runs the server answers `locked` to other actions.
LOCKING = frozenset(
    {
        "create_server",
        "delete_server",
        "rebuild_server",
        "change_server_type",
        "start_server",
        "stop_server",
        "shutdown_server",
        "reboot_server",
        "reset_server",
    }
)
# These also lock it against being deleted: the machine is half-made.
LOCKING_DELETE = frozenset({"create_server", "rebuild_server", "change_server_type"})

log = logging.getLogger(__name__)


def job(command: str) -> Callable[[Job], Job]:
    """Register the work of a command."""

    def register(work: Job) -> Job:
        JOBS[command] = work
        return work

    return register


def server_of(action: Record) -> int | None:
    """The server an action is about, if any."""
    return next((r["id"] for r in action["resources"] if r["type"] == "server"), None)


class Jobs:
    """Begins, runs and ends actions.

    `pace` is the least number of seconds an action with work takes, so that
    clients see it running.
    """

    def __init__(self, store: Store, pace: float) -> None:
        self._store = store
        self._pace = pace
        self._locks: defaultdict[int, threading.RLock] = defaultdict(threading.RLock)
        self._closing = threading.Event()
        self._threads: set[threading.Thread] = set()

    def begin(
        self,
        project: str,
        command: str,
        resources: Sequence[tuple[str, int]],
        **args: Any,
    ) -> Record:
        """Write a running action; its work starts once the request is answered."""
        action = self._write(project, command, resources, args)
        server = self._store.get("server", server_of(action) or 0)
        if server is not None:
            busy = [*server["busy"], {"id": action["id"], "command": command}]
            self._store.change("server", server["id"], busy=busy)
        return action

    def done(self, project: str, command: str, resources: Sequence[tuple[str, int]]) -> Record:
        """Write an action that is over as it begins."""
        action = self._write(project, command, resources, {})
        self._end(action["id"], None)
        return self._store.get("action", action["id"]) or action

    def launch(self, cloud: "Cloud", actions: Sequence[int]) -> None:
        """Run actions one after another, away from the caller."""
        if not actions:
            return
        thread = threading.Thread(target=self._run_all, args=(cloud, list(actions)), daemon=True)
        self._threads.add(thread)
        thread.start()

    def resume(self, cloud: "Cloud") -> None:
        """Take up what an earlier process left running.

        What belongs to one server (or other resource) goes on in the order it began.
        """
        chains: defaultdict[int, list[int]] = defaultdict(list)
        for action in self._store.all("action"):
            if action["status"] == "running":
                chains[server_of(action) or action["resources"][0]["id"]].append(action["id"])
        for actions in chains.values():
            self.launch(cloud, actions)

    def cancel(self, server_id: int, message: str) -> None:
        """End what runs on a server that is going away."""
        server = self._store.get("server", server_id)
        for busy in server["busy"] if server else []:
            self._end(busy["id"], {"code": "action_cancelled", "message": message})

    def close(self, timeout: float = 5) -> None:
        """Let running work finish, for at most `timeout` seconds in all."""
        self._closing.set()
        deadline = time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0, deadline - time.monotonic()))

    def wait(self, timeout: float) -> bool:
        """Until nothing runs; False when it took longer."""
        deadline = time.monotonic() + timeout
        for thread in list(self._threads):
            thread.join(max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in list(self._threads))

    def _write(
        self,
        project: str,
        command: str,
        resources: Sequence[tuple[str, int]],
        args: dict[str, Any],
    ) -> Record:
        return self._store.add(
            "action",
            project,
            {
                "command": command,
                "status": "running",
                "progress": 0,
                "started": self._store.now(),
                "finished": None,
                "error": None,
                "resources": [{"type": kind, "id": number} for kind, number in resources],
                "args": args,
            },
        )

    def _run_all(self, cloud: "Cloud", actions: list[int]) -> None:
        failed = False
        try:
            for number in actions:
                if self._closing.is_set():
                    return
                if failed:
                    message = "an action before this one failed"
                    self._end(number, {"code": "action_failed", "message": message})
                else:
                    failed = not self._run(cloud, number)
        finally:
            self._threads.discard(threading.current_thread())

    def _run(self, cloud: "Cloud", number: int) -> bool:
        """Do one action's work; whether the next may follow."""
        action = self._store.get("action", number)
        if action is None or action["status"] != "running":
            return action is not None and action["status"] == "success"
        error: dict[str, str] | None = None
        try:
            cloud.faults.hold(action, self._closing)
            if self._closing.is_set():
                return False
            self._closing.wait(self._pace)
            self._store.change("action", number, progress=50)
            with self._locks[server_of(action) or -number]:
                action = self._store.get("action", number)
                if action is None or action["status"] != "running":
                    return False
                JOBS[action["command"]](cloud, action)
        except ApiError as failure:
            error = {"code": failure.code, "message": failure.message}
        except HostError as failure:
            error = {"code": "action_failed", "message": str(failure)}
        except Exception:
            if self._closing.is_set():
                return False
            log.exception("the work of action %s broke", number)
            error = {"code": "server_error", "message": "the sandbox failed; see its log"}
        if error is not None and action is not None:
            self._write_off(cloud, action)
        self._end(number, error)
        return error is None

    def _write_off(self, cloud: "Cloud", action: Record) -> None:
        """A server whose action failed is what its host is, not half-way for ever."""
        number = server_of(action)
        if number is None or action["command"] not in LOCKING:
            return
        try:
            running = cloud.hosts.state(number) == "running"
        except HostError:
            running = False
        self._store.change("server", number, status="running" if running else "off")

    def _end(self, number: int, error: dict[str, str] | None) -> None:
        with self._store.transaction():
            action = self._store.get("action", number)
            if action is None or action["status"] != "running":
                return
            action.update(
                status="error" if error else "success",
                progress=100,
                finished=self._store.now(),
                error=error,
            )
            self._store.save("action", action)
            server = self._store.get("server", server_of(action) or 0)
            if server is not None:
                busy = [entry for entry in server["busy"] if entry["id"] != number]
                self._store.change("server", server["id"], busy=busy)
