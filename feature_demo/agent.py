"""Talks to the deploy agent of this server, as a stack's deploy does over SSH."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final

from feature_demo.words import DemoError, Say, here

AGENT: Final = "/usr/local/lib/deployment-flow/deployment-flow-agent"


def ask(words: str, say: Say, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One verb to its result; what the agent says on the way goes to `say`. Raises DemoError."""
    result: dict[str, Any] = {}
    with _session(words) as (to_agent, from_agent):
        for line in from_agent:
            try:
                message = json.loads(line)
            except ValueError:
                message = {"log": line.rstrip()}
            if "hello" in message and request is not None:
                # Its input stays open: the end of it would mean that nobody follows any more.
                to_agent.write(json.dumps({"protocol": 1, **request}) + "\n")
                to_agent.flush()
            if "log" in message:
                say(here(str(message["log"])))
            if "result" in message:
                result = message["result"]
                break
    if result.get("ok"):
        return result
    raise DemoError(
        here(str(result.get("cause") or "the deploy agent did not answer")),
        here(str(result.get("remedy") or "look at `journalctl -u deployment-flow-deploy`")),
    )


@contextmanager
def _session(words: str) -> Iterator[tuple[IO[str], IO[str]]]:
    try:
        process = subprocess.Popen(
            [AGENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "SSH_ORIGINAL_COMMAND": words},
        )
    except OSError as error:
        raise DemoError(
            f"the deploy agent is not there ({error})", "run `feature-demo.sh update`"
        ) from None
    if process.stdin is None or process.stdout is None:  # never: both are pipes
        raise AssertionError
    try:
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=60)
