"""A team, GitHub, Hetzner and an engine as the rehearsal's acts see them, where all is well.

A test changes one thing, and the act that looks at it has to fail.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console

from components import naming
from flow import load, rollback, state
from flow.errors import FlowError
from flow.promotion import steps
from flow.stages import Stages
from flow.story import acts, failing, recovering

SHA = "c0ffee" * 6
BEFORE, GOOD = "1.0.0", "1.1.0"


class World:
    """What the acts look at; `team` is who plays them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        #: What Hetzner lists of a stack, one answer after the other; the last one stays.
        self.listed = [["server 7"], ["server 7"], []]
        self.stacks = ["dev", "staging", "prod"]
        self.environments = ["dev", "staging", "prod"]
        self.answers = False
        self.password, self.robots = "hush", "noindex"
        self.comment = (
            "https://x.test: behind a password; it ends on Sunday, it costs 0.20 EUR a day, net"
        )
        self.reminder = "it ends soon"
        self.deployment = SimpleNamespace(state="success", environment_url="https://x.test")
        self.pulls = [SimpleNamespace(number=3, user=SimpleNamespace(login="actions[bot]"))]
        self.missing: list[str] = []
        self.promotion = SimpleNamespace(done="opened", text="printed", url="/pull/2", branch="f")
        self.second_promotion = SimpleNamespace(done="open", url="/pull/2")
        self.refusal: str | None = "#5 is open"
        self.notes = "## New"
        self.images = {"staging": "sha256:1", "prod": "sha256:1"}
        self.bad_release: str | None = "not well; 1.1.0 still serves"
        #: Requests that are lost under each load, one load after the other.
        self.losses: list[list[str]] = [[], []]
        #: The version that runs after a rollback to a release, by the release's id.
        self.rolled = {"before": BEFORE, "now": GOOD}
        self.version = GOOD
        self.rebuilt = {"server": {"before": "7", "after": "8"}, "down_seconds": 40.0}
        self.after_rebuild: dict[str, str] = {"release": "1-8"}
        self.task = "validated"
        self.rows = {"db": {"tasks": 9}}
        self.restored = {"db": {"tasks": 9}}
        self._promoted = 0
        self._rebuilt_outputs: dict[str, str] = {}
        self._patch(monkeypatch)
        project: Any = SimpleNamespace(
            stacks=self._engine(), credentials={"trust": "/trust.pem"}, directory=folder
        )
        by: Any = SimpleNamespace(
            client=lambda _: SimpleNamespace(get_repo=lambda _: self._repository()),
            token=lambda _: "token",
            url="http://github.test",
        )
        self.team = acts.Team(project, by, Stages(Console(file=io.StringIO())), folder)
        self.team.runs = self._runs()
        for person in (self.team.developer, self.team.maintainer, self.team.reviewer):
            for name, does in {
                "change": lambda *_: SHA,
                "merge": lambda *_: SHA,
                "approve": lambda *_: None,
                "delete": lambda *_: None,
            }.items():
                monkeypatch.setattr(person, name, does)
        monkeypatch.setattr(self.team, "listed", self._listed)

    def _patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def parse(stack: Any) -> Any:
            return SimpleNamespace(images=self.images.get(str(stack), ""), releases=[])

        def look(url: str, version: str, *_: Any, **__: Any) -> Any:
            return SimpleNamespace(url=url, version=version, tls="TLS", robots=self.robots)

        def get(*_: Any, **__: Any) -> Any:
            if not self.answers:
                raise httpx.ConnectError("nobody is there")

        def promote_staging(*_: Any) -> Any:
            self._promoted += 1
            return self.promotion if self._promoted == 1 else self.second_promotion

        def promote_prod(_: Any) -> Any:
            self._promoted += 1
            if self._promoted == 1 and self.refusal is not None:
                raise FlowError(self.refusal)
            return SimpleNamespace(url="/pull/4")

        @contextmanager
        def on(*_: Any) -> Iterator[Any]:
            yield SimpleNamespace(lost=self.losses.pop(0), sent=100)

        @contextmanager
        def clocks(_: Any) -> Iterator[Any]:
            yield lambda _seconds: None

        def release(_: Any) -> Any:
            return SimpleNamespace(title="v1.1.0", text=self.notes, url="/releases/1")

        monkeypatch.setattr(acts, "look", look)
        monkeypatch.setattr(acts, "clocks", clocks)
        monkeypatch.setattr(httpx, "get", get)
        monkeypatch.setattr(state, "parse", parse)
        monkeypatch.setattr(steps, "promote_staging", promote_staging)
        monkeypatch.setattr(steps, "promote_prod", promote_prod)
        monkeypatch.setattr(steps, "release", release)
        monkeypatch.setattr(steps, "missing_below", lambda _: self.missing)
        monkeypatch.setattr(failing, "publish", lambda *_, **__: {})
        monkeypatch.setattr(load, "on", on)
        now = SimpleNamespace(id="now", version=GOOD)
        before = SimpleNamespace(id="before", version=BEFORE)
        monkeypatch.setattr(rollback, "releases", lambda _: [now, before])
        monkeypatch.setattr(rollback, "target", lambda *_: before)
        monkeypatch.setattr(recovering, "_flow", self._flow)
        monkeypatch.setattr(recovering, "_api", lambda *_: [{"id": 1, "status": self.task}])

    def _engine(self) -> Any:
        def up(_stack: str, _note: Any, version: str = "", settings: Any = None) -> None:
            if settings:
                self.version = self.rolled[settings["rollback"]]
            elif self.bad_release is not None:
                raise FlowError(self.bad_release)

        def outputs(stack: str) -> dict[str, str]:
            demo = naming.stage_of_stack(stack) == "demo"
            return {
                "url": "https://x.test",
                "password": self.password if demo else "",
                "version": self.version,
                "expires": "2000000000",
                "ipv4": "198.51.100.7",
                "release": "1-7",
                **self._rebuilt_outputs,
            }

        return SimpleNamespace(
            up=up, outputs=outputs, names=lambda: self.stacks, state=lambda stack, **_: stack
        )

    def _repository(self) -> Any:
        def comments() -> list[Any]:
            return [SimpleNamespace(body=each) for each in (self.comment, self.reminder)]

        deployment = SimpleNamespace(get_statuses=lambda: [self.deployment])
        return SimpleNamespace(
            get_commit=lambda _: SimpleNamespace(get_comments=comments),
            get_deployments=lambda **_: [deployment],
            get_environments=lambda: [SimpleNamespace(name=each) for each in self.environments],
            get_pulls=lambda **_: self.pulls,
            create_issue=lambda *_, **__: SimpleNamespace(number=5, edit=lambda **_: None),
        )

    def _runs(self) -> Any:
        return SimpleNamespace(
            newest=lambda: 1,
            appears=lambda *_: SimpleNamespace(),
            done=lambda *_: [],
            waits=lambda *_: None,
            approve=lambda *_: ["flow-prod"],
            spans=[],
        )

    def _listed(self, _stack: str, _project: str = "") -> list[str]:
        return self.listed.pop(0) if len(self.listed) > 1 else self.listed[0]

    def _flow(self, _team: Any, *arguments: str) -> Any:
        if arguments[0] == "rebuild":
            self._rebuilt_outputs = self.after_rebuild
            return self.rebuilt
        made = {"id": "b1", "rows": self.rows}
        if arguments[1] == "create":
            return made
        return {"rows": self.restored, "server": "drill", "bytes": 9, "restore_seconds": 2.0}
