"""Pulumi's commands as a person types them, and what every failure has to show them."""

import os
import re
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Self

from sandbox.faults import Faults
from tests.flow.team import Team

SECRET_SETTINGS = ("PULUMI_CONFIG_PASSPHRASE", "HCLOUD_TOKEN", "REGISTRY_PASSWORD")


@dataclass(frozen=True)
class Typed:
    """One command's end."""

    code: int
    said: str = field(repr=False)
    """All it printed, both streams."""
    seconds: float


class Person:
    """Somebody of a team, at a shell, with a cloud that goes wrong."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.project = team.zone.removesuffix(".test")
        """The team's Hetzner project: faults are given its name, so that they strike no other."""
        self.faults = Faults(str(team.project.credentials["endpoint"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.close()

    def up(self, stack: str, without: Collection[str] = ()) -> Typed:
        """`pulumi up -s stack --yes`, in an environment without some of its variables."""
        return self.types("up", stack, without)

    def destroy(self, stack: str) -> Typed:
        """`pulumi destroy -s stack --yes`."""
        return self.types("destroy", stack)

    def types(self, command: str, stack: str, without: Collection[str] = ()) -> Typed:
        """A command of Pulumi's that asks before it acts. Nothing it prints may be secret."""
        environment = {**os.environ, **self.team.project.environment()}
        secret = [environment[name] for name in SECRET_SETTINGS]
        for name in without:
            del environment[name]
        started = time.monotonic()
        done = subprocess.run(
            ["pulumi", command, "-s", stack, "--yes", "--skip-preview", "--color", "never"],
            env=environment,
            cwd=self.team.project.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=240,
            check=False,
        )
        typed = Typed(done.returncode, done.stdout, time.monotonic() - started)
        for name, value in zip(SECRET_SETTINGS, secret, strict=True):
            assert value not in typed.said, f"{name} was printed"
        assert "PRIVATE KEY" not in typed.said
        return typed

    def converges(self, stack: str) -> None:
        """An `up` goes through, and the next one has nothing to do."""
        repaired = self.up(stack)
        assert repaired.code == 0, repaired.said
        check_nothing_to_do(self.up(stack))

    def destroys(self, stack: str) -> Typed:
        """A destroy goes through, and nothing with the stack's label is left."""
        ended = self.destroy(stack)
        assert ended.code == 0, ended.said
        assert self.team.listed(f"stack={stack}") == {}
        return ended


def check_nothing_to_do(typed: Typed) -> None:
    """An `up` found everything as it is to be."""
    assert typed.code == 0, typed.said
    counts = typed.said.partition("Resources:\n")[2].partition("\n\n")[0]
    assert re.fullmatch(r"\s*\d+ unchanged", counts), typed.said


def check_failure(typed: Typed, *, cause: str, next_command: str) -> None:
    """A command ended as a failure has to: with a code, its cause, and what to type next."""
    assert typed.code != 0, typed.said
    assert cause in typed.said, typed.said
    steps = [line for line in re.split(r"[Nn]ext[:,]", typed.said)[1:] if next_command in line]
    assert steps, typed.said
    assert "Traceback" not in typed.said, typed.said
