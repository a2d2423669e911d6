"""Expressions of workflow files, answered by a program of the toolchain.

The program reads a question a line and answers it on a line. It is started once and asked many
times; one that dies is started again at the next question.
"""

import json
import selectors
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

Mode = Literal["if", "value", "template"]
Status = Literal["success", "failure", "cancelled", "skipped"]

PROGRAM = Path(__file__).resolve().parents[3] / ".toolchain" / "bin" / "workflow-expressions"
_SECONDS = 10.0
_MARK = "${{"


class ExpressionError(ValueError):
    """An expression that GitHub would refuse; the message says why."""


class Expressions(Protocol):
    """Who evaluates."""

    def evaluate(
        self, expression: Any, context: Mapping[str, Any], mode: Mode, status: Status = "success"
    ) -> Any:
        """The value. Raises ExpressionError."""


class Program:
    """The toolchain's evaluator, safe to use from many threads."""

    def __init__(self, program: Path = PROGRAM) -> None:
        self._program = program
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def evaluate(
        self, expression: Any, context: Mapping[str, Any], mode: Mode, status: Status = "success"
    ) -> Any:
        """The value. Raises ExpressionError."""
        if mode != "if" and not (isinstance(expression, str) and _MARK in expression):
            return expression
        question = {"expression": expression, "context": context, "mode": mode, "status": status}
        with self._lock:
            answer = json.loads(self._ask(json.dumps(question).encode() + b"\n"))
        if "error" in answer:
            raise ExpressionError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the program."""
        with self._lock:
            self._end()

    def _ask(self, question: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._start()
        process = self._process
        assert process.stdin is not None  # noqa: S101 - both are pipes  # nosec B101
        assert process.stdout is not None  # noqa: S101  # nosec B101
        try:
            process.stdin.write(question)
            process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                # An answer is written whole, so that its first byte is enough to wait for.
                line = process.stdout.readline() if selector.select(_SECONDS) else b""
        except OSError:
            line = b""
        if not line:
            self._end()
            raise ExpressionError(f"{self._program.name} gave no answer in {_SECONDS:.0f} s")
        return line

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise ExpressionError(
                f"{self._program} is missing; `make toolchain` builds it"
            ) from None

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        process.wait()


class Evaluation:
    """An evaluator and what is known where it is asked."""

    def __init__(self, expressions: Expressions, context: Mapping[str, Any]) -> None:
        self._expressions = expressions
        self._context = context

    def with_(self, **more: Any) -> "Evaluation":
        """The same with more contexts."""
        return Evaluation(self._expressions, {**self._context, **more})

    def only(self, *names: str) -> "Evaluation":
        """The same with these contexts alone."""
        return Evaluation(self._expressions, {k: v for k, v in self._context.items() if k in names})

    def text(self, template: str) -> str:
        """A text with its expressions filled in."""
        return str(self._expressions.evaluate(template, self._context, "template"))

    def truth(self, template: str) -> bool:
        """A text that comes out as `true`."""
        return self.text(template).strip().lower() == "true"

    def runs(self, condition: str, status: Status) -> bool:
        """Whether a job with that `if` runs, when what it needs came out so."""
        return bool(self._expressions.evaluate(condition, self._context, "if", status))

    def value(self, node: Any) -> Any:
        """A piece of a workflow file with every expression in it replaced, types kept."""
        if isinstance(node, Mapping):
            return {str(self.value(key)): self.value(each) for key, each in node.items()}
        if isinstance(node, list | tuple):
            return [self.value(each) for each in node]
        return self._expressions.evaluate(node, self._context, "value")
