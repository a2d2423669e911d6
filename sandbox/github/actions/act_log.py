"""act's lines (one JSON object each) as a job's log and steps, the way GitHub shows them."""

import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sandbox.github.actions import last_lines
from sandbox.github.actions.act_files import LAST_STEP
from sandbox.github.actions.masking import Masker
from sandbox.github.actions.workflow import Step

_SILENT = frozenset({"set-output", "set-env", "add-path", "save-state", "summary", "debug"})
_ANNOTATIONS = frozenset({"error", "warning", "notice"})
_GROUP = re.compile(r"::(group|endgroup)::(.*)")
_EXIT = re.compile(r"exit status (\d+)")

StepRecord = dict[str, Any]


def title(step: Step) -> str:
    """What GitHub calls a step."""
    if step.name:
        return step.name
    what = step.uses or step.run.strip()
    return f"Run {what.splitlines()[0]}"


class JobLog:
    """Reads act's lines; writes the log's, with times and without secrets.

    write   takes a whole line of the log
    now     the time as the API writes it
    change  told after a step began or ended
    """

    def __init__(
        self,
        steps: Sequence[Step],
        masker: Masker,
        write: Callable[[str], None],
        now: Callable[[], str],
        change: Callable[[], None] = lambda: None,
    ) -> None:
        self._masker = masker
        self._write = write
        self._now = now
        self._change = change
        self._of = {step.id or str(number): number for number, step in enumerate(steps)}
        self.result: str | None = None
        self._last_error = ""
        self._empty = 0
        self.steps: list[StepRecord] = [
            {
                "name": title(step),
                "status": "queued",
                "conclusion": None,
                "number": number,
                "started_at": None,
                "completed_at": None,
            }
            for number, step in enumerate(steps, start=2)
        ]

    def line(self, text: str) -> None:
        """One line of the log."""
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        self._write(f"{stamp} {self._masker(text)}")

    def take(self, raw: str) -> None:
        """One line of act's."""
        try:
            said = json.loads(raw)
        except ValueError:
            if raw.startswith("Error:") and self.result is None:
                self.line(f"##[error]{raw.removeprefix('Error:').strip()}")
            return
        if not isinstance(said, dict):
            return
        where = said.get("stepID") or [""]
        if where[0] == LAST_STEP or ("jobID" in said and said["jobID"] not in self._mine):
            return
        if "stepResult" in said:
            self._step_ends()
        if "jobResult" in said:
            self.result = said["jobResult"]
        self._step(said, where)
        self._say(said)

    #: The jobs whose lines count: the others only stand for what this one needs.
    _mine: frozenset[str] = frozenset()

    def follow(self, job: str) -> None:
        """Listen to this job's lines."""
        self._mine = frozenset({job})

    def finish(self, conclusion: str) -> None:
        """Nothing comes any more: what did not run was skipped, what runs was stopped."""
        for step in self.steps:
            if step["status"] == "queued":
                step.update(status="completed", conclusion="skipped")
            elif step["status"] == "in_progress":
                step.update(status="completed", conclusion=conclusion, completed_at=self._now())
        self._change()

    def _step(self, said: Mapping[str, Any], where: Sequence[str]) -> None:
        if len(where) != 1 or where[0] not in self._of or said.get("stage") != "Main":
            return
        step = self.steps[self._of[where[0]]]
        if "stepResult" in said:
            step.update(status="completed", conclusion=said["stepResult"], completed_at=self._now())
            self._change()
        elif step["status"] == "queued" and str(said.get("msg", "")).startswith("⭐"):
            step.update(status="in_progress", started_at=self._now())
            if "${{" in step["name"]:
                first = last_lines.title(str(said.get("step", ""))).strip().splitlines()[:1] or [""]
                prefix = "Run " if step["name"].startswith("Run ") else ""
                step["name"] = self._masker(prefix + first[0].removeprefix(prefix))
            self.line(f"##[group]{step['name']}")
            self.line("##[endgroup]")
            self._change()

    def _print(self, text: str) -> None:
        # An empty line is held back: at the end of a step it is ours (last_lines.py).
        for _ in range(self._empty if text else 0):
            self.line("")
        if text:
            self._empty = 0
            self.line(text)
        else:
            self._empty += 1

    def _step_ends(self) -> None:
        for _ in range(self._empty - 1):
            self.line("")
        self._empty = 0

    def _say(self, said: Mapping[str, Any]) -> None:
        message, command = str(said.get("msg", "")), said.get("command")
        if said.get("raw_output"):
            self._last_error = ""
            self._print(message.rstrip("\r\n"))
        elif command == "add-mask":
            self._masker.add(str(said.get("arg", "")))
        elif command in _ANNOTATIONS:
            self.line(f"##[{command}]{said.get('arg', '')}")
        elif command in _SILENT:
            return
        elif found := _GROUP.search(message):
            self.line(f"##[{found[1]}]{found[2]}".rstrip())
        elif said.get("level") in ("error", "fatal"):
            code = _EXIT.fullmatch(message.strip())
            told = f"Process completed with exit code {code[1]}." if code else message.strip()
            # A composite action's step fails, and then its own: one thing went wrong.
            if told != self._last_error:
                self.line(f"##[error]{told}")
            self._last_error = told
