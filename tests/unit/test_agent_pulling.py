"""Images of a release are pulled side by side. Docker is faked, but where a process has to end."""

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import pulling
from remote.server.agent.commands import Commands, Ended
from remote.server.agent.compose import Compose
from remote.server.agent.errors import DeployError
from remote.server.agent.machine import Machine
from remote.server.agent.pulling import Pulls
from tests.unit import agent_bench
from tests.unit.agent_bench import request

IMAGES = [f"registry.example/{name}@sha256:{'0' * 64}" for name in "abcdef"]
IN_TIME = 20.0


@dataclass
class Registry(Commands):
    """Docker and a registry; `on_pull` is what happens with an image, by name."""

    on_pull: Callable[[str, threading.Event], Ended]
    here: set[str] = field(default_factory=set)
    pulled: list[str] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    """Seconds each pull was given."""

    def run(self, arguments: Sequence[str], **more: Any) -> Ended:
        reference = arguments[-1]
        if "inspect" in arguments:
            return Ended(0 if reference in self.here else 1, ())
        self.pulled.append(reference)
        self.given.append(more["seconds"])
        return self.on_pull(reference.split("@")[0][-1], more["cancelled"])


def comes(_: str, __: threading.Event) -> Ended:
    return Ended(0, ())


def pull(registry: Registry, images: Sequence[str]) -> list[str]:
    """What is said of it."""
    said: list[str] = []
    compose = Compose(registry, Machine(Path("/nowhere")), said.append)
    Pulls(compose, said.append, lambda _: None, lambda: 0.0).pull(images)
    return said


def test_four_images_are_pulled_at_once_and_never_more() -> None:
    # Each waits until four are at work; a fifth beside them would be seen by the fourth's count.
    together, lock = threading.Barrier(pulling.AT_ONCE), threading.Lock()
    at_work, most = [0], [0]

    def on_pull(name: str, _: threading.Event) -> Ended:
        with lock:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
        if name in "abcd":
            together.wait(IN_TIME)
        time.sleep(0.05)
        with lock:
            at_work[0] -= 1
        return Ended(0, ())

    registry = Registry(on_pull)
    pull(registry, IMAGES)
    assert sorted(registry.pulled) == IMAGES
    assert most == [pulling.AT_ONCE]


def test_an_image_of_two_services_is_pulled_once_and_one_that_is_here_is_not() -> None:
    registry = Registry(comes, here={IMAGES[1]})
    pull(registry, [IMAGES[0], IMAGES[1], IMAGES[0]])
    assert registry.pulled == [IMAGES[0]]


def test_each_image_has_a_line_as_it_begins_and_one_as_it_is_there() -> None:
    first_is_there = threading.Event()

    def on_pull(name: str, _: threading.Event) -> Ended:
        if name == "a":
            assert first_is_there.wait(IN_TIME)
        else:
            first_is_there.set()
            time.sleep(0.3)
        return Ended(0, ())

    said = pull(Registry(on_pull), IMAGES[:2])
    assert said[:2] == ["pulling registry.example/a", "pulling registry.example/b"]
    assert {line.split(" (")[0] for line in said[2:]} == {
        "pulled registry.example/a", "pulled registry.example/b",
    }  # fmt: skip
    assert [line[-8:] for line in said[2:]] == ["(1 of 2)", "(2 of 2)"]


def test_the_first_failure_is_told_with_its_image_and_ends_the_others() -> None:
    others, ended = threading.Barrier(3), []

    def on_pull(name: str, cancelled: threading.Event) -> Ended:
        others.wait(IN_TIME)
        if name == "b":
            return Ended(1, ("denied: access forbidden",))
        ended.append(cancelled.wait(IN_TIME))
        return Ended(None, ())

    registry = Registry(on_pull)
    with pytest.raises(DeployError, match=r"example/b@.* not be pulled: denied: access forbidden"):
        pull(registry, IMAGES[:3])
    assert ended == [True, True]
    # Nothing that was ended is tried again.
    assert len(registry.pulled) == 3


def test_after_a_failure_no_further_image_is_begun() -> None:
    registry = Registry(lambda *_: Ended(1, ("manifest unknown",)))
    with pytest.raises(DeployError, match="manifest unknown"):
        pull(registry, IMAGES)
    assert set(registry.pulled) <= set(IMAGES[: pulling.AT_ONCE])


def test_images_that_share_the_line_share_its_time_and_all_tries_end_before_the_unit_does() -> None:
    for images, seconds in ((1, 900.0), (2, 1800.0), (6, 2700.0)):
        registry = Registry(comes)
        pull(registry, IMAGES[:images])
        assert set(registry.given) == {seconds}


def test_a_pull_that_is_not_done_in_time_says_in_how_long() -> None:
    with pytest.raises(DeployError, match=r"could not be pulled: not done in 900 s; what ran"):
        pull(Registry(lambda *_: Ended(None, ())), IMAGES[:1])


def test_a_deploy_pulls_all_of_a_releases_images_before_a_job_runs(tmp_path: Path) -> None:
    bench = agent_bench.make(tmp_path)
    bench.commands.failing = {"image inspect": ["no such image"]}
    images = {"web": IMAGES[0], "db": IMAGES[1], "migrate": IMAGES[0]}
    bench.deploy(request(images=images))
    assert [step.split()[0] for step in bench.commands.steps()][:3] == ["pull", "pull", "job"]


def children(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_command_that_is_cancelled_ends_with_its_children() -> None:
    cancelled, groups = threading.Event(), []

    def hear(line: str) -> None:
        groups.append(int(line))
        cancelled.set()

    began = time.monotonic()
    ended = Commands().run(
        ["sh", "-c", "echo $$; sleep 60 & wait"], seconds=60, on_line=hear, cancelled=cancelled
    )
    assert ended.status is None
    assert time.monotonic() - began < IN_TIME
    while children(groups[0]) and time.monotonic() - began < IN_TIME:
        time.sleep(0.05)
    assert not children(groups[0])


def test_an_interrupted_command_is_not_left_behind() -> None:
    groups: list[int] = []

    def hear(line: str) -> None:
        groups.append(int(line))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Commands().run(["sh", "-c", "echo $$; exec sleep 60"], seconds=60, on_line=hear)
    assert not children(groups[0])
    assert time.monotonic() - began < IN_TIME
