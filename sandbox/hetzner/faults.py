"""Things set to go wrong, through `/_sandbox/faults`.

POST takes one fault and answers it with its `id`; GET lists them with their
`hits`; DELETE on `/_sandbox/faults/<id>` ends one, on `/_sandbox/faults` all.

    {"match": {"method": "POST", "path": "/servers", "project": "demo"},
     "count": 1, "after": 0, "do": {…}}

`match` may be left out or name any of its keys; `path` (without /v1) and the
names below are shell patterns. `count` bounds how often it strikes (without it:
always), `after` lets that many pass first. `do` is one of:

    {"status": 503, "code": "service_error", "message": "…"}
        answers so and does nothing. `code` and `message` may be left out.
    {"delay": 2.5}
        waits so many seconds, then does what was asked.
    {"rate_limit": 10}
        answers 429 with RateLimit-* headers for so many seconds from now.
    {"lose_answer": "timeout"} or {"lose_answer": "cut"}
        does what was asked and answers 504, or closes the connection unanswered.
    {"stuck": "start_server"}
        an action of this command stays `running` until the fault is ended.
    {"fail_action": "create_server", "code": "…", "message": "…"}
        an action of this command ends in an error without its work being done.
    {"unavailable": {"server_type": "cx*", "location": "fsn1"}}
        servers of this type in this location answer `resource_unavailable`, and the
        list of server types says so; with "sudden": true it does not.
    {"cut_network": "name-*", "seconds": 30}
    {"refuse_ssh": "name-*", "seconds": 120}
        servers of this name, those there are and those that boot later, cannot be
        reached, or refuse SSH. For `seconds` from then on, or until ended.
"""

import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from sandbox.hetzner.errors import ApiError, invalid, not_found
from sandbox.hosts.interface import HostError, Hosts
from sandbox.store import Record, Store

OWNER = "_sandbox"
ON_REQUESTS = ("status", "delay", "rate_limit", "lose_answer")
ON_ACTIONS = ("stuck", "fail_action")
ON_HOSTS = ("cut_network", "refuse_ssh")
KINDS = (*ON_REQUESTS, *ON_ACTIONS, *ON_HOSTS, "unavailable")


@dataclass
class Counts:
    """How often a fault was matched, and how often it struck."""

    seen: int = 0
    hits: int = 0


def kind_of(fault: Record) -> str:
    """Which of `KINDS` a fault is."""
    return next(kind for kind in KINDS if kind in fault["do"])


class Faults:
    """The faults in force; they are kept in the store, but for their counts.

    A count must hold though the request it was made in is refused and its
    transaction undone; it starts again with the process.
    """

    def __init__(self, store: Store, hosts: Hosts) -> None:
        self._store = store
        self._hosts = hosts
        self._lock = threading.Lock()
        self._counts: defaultdict[int, Counts] = defaultdict(Counts)

    def add(self, given: dict[str, Any]) -> Record:
        """Put one in force; raises `invalid_input` for one not understood."""
        do = given.get("do")
        if not isinstance(do, dict) or sum(kind in do for kind in KINDS) != 1:
            raise invalid(do=f"must hold exactly one of {', '.join(KINDS)}")
        if unknown := set(given) - {"match", "count", "after", "do"}:
            raise invalid(**{sorted(unknown)[0]: "is not part of a fault"})
        match = given.get("match") or {}
        if unknown := set(match) - {"method", "path", "project"}:
            raise invalid(match=f"does not know {sorted(unknown)[0]}")
        fault = {
            "match": match,
            "count": given.get("count"),
            "after": given.get("after", 0),
            "do": do,
            "since": time.time(),
            "servers": [],
        }
        added = self._store.add("fault", OWNER, fault)
        if kind_of(added) in ON_HOSTS:
            for server in self._store.all("server"):
                self._strike_host(added, server)
        return next(fault for fault in self.all() if fault["id"] == added["id"])

    def all(self) -> list[Record]:
        """Those in force, oldest first."""
        faults = self._store.all("fault")
        return [{**fault, **asdict(self._counts[fault["id"]])} for fault in faults]

    def remove(self, number: int | None = None) -> None:
        """End one, or all; what they did to hosts is undone."""
        found = [fault for fault in self.all() if number in (None, fault["id"])]
        if number is not None and not found:
            raise not_found("fault", number)
        for fault in found:
            self._store.remove("fault", fault["id"])
            for server in fault["servers"]:
                self._release_host(fault, server)

    def on_request(self, method: str, path: str, project: str) -> list[Record]:
        """The faults that strike this request."""
        return self._struck(ON_REQUESTS, method=method, path=path, project=project)

    def announced_unavailable(self, project: str, server_type: str, location: str) -> bool:
        """Whether the catalogue is to say that this type is sold out here."""
        return any(
            _names(fault, server_type, location) and not fault["do"].get("sudden")
            for fault in self._struck(("unavailable",), project=project, peek=True)
            if fault["count"] is None or fault["hits"] < fault["count"]
        )

    def check_capacity(self, project: str, server_type: str, location: str) -> None:
        """Raise `resource_unavailable` when there is to be no room."""
        for fault in self._struck(("unavailable",), project=project, peek=True):
            if _names(fault, server_type, location) and self._strike(fault):
                message = f"error during placement (no {server_type} left in {location})"
                raise ApiError("resource_unavailable", message)

    def hold(self, action: Record, closing: threading.Event) -> None:
        """Keep an action waiting, or fail it, before its work is done."""
        for fault in self._struck(ON_ACTIONS, project=action["project"], peek=True):
            do = fault["do"]
            if not fnmatchcase(action["command"], str(do[kind_of(fault)])):
                continue
            if not self._strike(fault):
                continue
            if "fail_action" in do:
                message = do.get("message", "the action failed")
                raise ApiError(do.get("code", "action_failed"), message)
            while self._store.get("fault", fault["id"]) and not closing.wait(0.2):
                now = self._store.get("action", action["id"])
                if now is None or now["status"] != "running":
                    return

    def on_boot(self, server: Record) -> None:
        """Strike a server that has just come up."""
        for fault in self.all():
            if kind_of(fault) in ON_HOSTS and server["id"] not in fault["servers"]:
                self._strike_host(fault, server)

    def _struck(
        self,
        kinds: tuple[str, ...],
        peek: bool = False,
        **request: str,
    ) -> list[Record]:
        found = []
        for fault in self.all():
            patterns = {key: fault["match"].get(key, "*") for key in request}
            fits = all(fnmatchcase(value, patterns[key]) for key, value in request.items())
            if kind_of(fault) in kinds and fits and (peek or self._strike(fault)):
                found.append(fault)
        return found

    def _strike(self, fault: Record) -> bool:
        """Count a match; whether the fault takes effect this time."""
        with self._lock:
            counts = self._counts[fault["id"]]
            spent = fault["count"] is not None and counts.hits >= fault["count"]
            over = time.time() > fault["since"] + fault["do"].get("rate_limit", float("inf"))
            early = counts.seen < fault["after"]
            strikes = not (spent or over or early)
            counts.seen += 1
            counts.hits += strikes
            return strikes

    def _strike_host(self, fault: Record, server: Record) -> None:
        kind, number = kind_of(fault), server["id"]
        owned = fnmatchcase(server["project"], fault["match"].get("project", "*"))
        if not owned or not fnmatchcase(server["name"], fault["do"][kind]):
            return
        if self._hosts.state(number) != "running" or not self._strike(fault):
            return
        getattr(self._hosts, kind)(number, True)
        with self._store.transaction():
            now = self._store.get("fault", fault["id"])
            if now is not None:
                self._store.change("fault", fault["id"], servers=[*now["servers"], number])
        if seconds := fault["do"].get("seconds"):
            timer = threading.Timer(seconds, self._release_host, (fault, number))
            timer.daemon = True
            timer.start()

    def _release_host(self, fault: Record, server: int) -> None:
        try:
            if self._hosts.state(server) == "running":
                getattr(self._hosts, kind_of(fault))(server, False)
        except HostError:
            # The server went away in between, and the fault with it.
            return


def _names(fault: Record, server_type: str, location: str) -> bool:
    """Whether an `unavailable` fault is about this type in this location."""
    where = fault["do"]["unavailable"]
    fits = fnmatchcase(server_type, where.get("server_type", "*"))
    return fits and fnmatchcase(location, where.get("location", "*"))
