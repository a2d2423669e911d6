"""Anything a team may do to an environment, in any order: the site answers, its data is whole.

A model of one demo (which version runs, what its data says, what was saved, whether it sleeps) is
driven beside the real one. Hypothesis makes up the order. Its first sequences are the same in every
run; FLOW_MODEL_EXAMPLES asks for more, at random.
"""

import functools
import json
import os
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flow import state
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1800)]
BRANCH = "feature-demo/model"
STACK = "feature-demo-model"
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
BAD = "9.9.9"
STATUSES = ("open", "mapped", "validated")
TYPES = ("cx23", "cx33")
EXAMPLES = int(os.environ.get("FLOW_MODEL_EXAMPLES") or 0)
STEPS = 7


@pytest.fixture(scope="module")
def flow(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """`flow` for a team with every version of the demo in its registry."""
    for version in VERSIONS:
        team.publish(version, BRANCH)
    team.publish(BAD, BRANCH, fault="health")
    return Flow(team, tmp_path_factory.mktemp("flow"))


def test_whatever_is_done_in_whatever_order_the_site_answers_and_no_data_is_lost(
    flow: Flow,
) -> None:
    Environment.flow = flow
    Environment.done.clear()
    try:
        run_state_machine_as_test(
            Environment,
            settings=settings(
                max_examples=EXAMPLES or 2,
                stateful_step_count=STEPS,
                derandomize=not EXAMPLES,
                database=None,
                deadline=None,
                # A sequence takes minutes: it is told as it was, not made shorter.
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    except BaseException as error:
        # Not in the sequence above it: the ones before, of which nothing else tells.
        error.add_note(f"done before, in all sequences: {dict(Environment.done)}")
        raise


def counted(work: Callable[..., None]) -> Callable[..., None]:
    """A rule, counted once it has done what it should."""

    @functools.wraps(work)
    def done(machine: "Environment", **given: Any) -> None:
        work(machine, **given)
        machine.done[work.__name__] += 1

    return done


class Environment(RuleBasedStateMachine):
    """One demo with a data volume, and the model of it."""

    flow: ClassVar[Flow]
    done: ClassVar[Counter[str]] = Counter()
    """How often each rule was done, over all sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.team = self.flow.team
        self.ran: list[str] = []
        """Versions in the order they came to run, the running one last."""
        self.status = ""
        self.backups: dict[str, str] = {}
        self.asleep = False
        self.size = TYPES[0]
        self.address = ""

    @initialize()
    def made(self) -> None:
        self._make()

    def _make(self) -> None:
        self.team.stacks.create(STACK)
        self.team.configure(STACK, volumeSize=10, serverType=self.size)
        done = self.flow.json("deploy", STACK, "--version", VERSIONS[0])
        self.ran = [done["version"]]
        self.address = str(self.team.stacks.outputs(STACK)["ipv4"])
        self.status = STATUSES[0]
        self._set(self.status)

    def teardown(self) -> None:
        if STACK in self.team.stacks.names():
            self._end()

    def _end(self) -> None:
        code, _, said = self.flow.run("demo", "end", BRANCH, "--no-dump", "--yes")
        assert code == 0, said
        assert self.team.listed() == {}
        assert STACK not in self.team.stacks.names()

    # -- what is done ------------------------------------------------------------------------------

    @precondition(lambda self: not self.asleep)
    @rule(status=st.sampled_from(STATUSES))
    @counted
    def somebody_maps(self, status: str) -> None:
        self._set(status)
        self.status = status

    @rule(version=st.sampled_from(VERSIONS))
    @counted
    def deploy(self, version: str) -> None:
        done = self.flow.json("deploy", STACK, "--version", version)
        assert done["version"] == version
        self._runs(version)
        self.asleep = False

    @precondition(lambda self: not self.asleep)
    @rule()
    @counted
    def deploy_a_bad_version(self) -> None:
        code, _, said = self.flow.run("deploy", STACK, "--version", BAD)
        assert code == 1
        assert "still serves" in said

    @precondition(lambda self: not self.asleep and len(set(self.ran)) > 1)
    @rule()
    @counted
    def roll_back(self) -> None:
        wanted = next(each for each in reversed(self.ran) if each != self.ran[-1])
        done = self.flow.json("rollback", STACK, "--to", wanted)
        assert done["version"] == wanted
        self._runs(wanted)

    @precondition(lambda self: not self.asleep)
    @rule()
    @counted
    def resize(self) -> None:
        self.size = TYPES[1 - TYPES.index(self.size)]
        self.team.configure(STACK, serverType=self.size)
        self.flow.json("deploy", STACK)

    @precondition(lambda self: not self.asleep)
    @rule()
    @counted
    def rebuild(self) -> None:
        self.flow.json("rebuild", STACK, "--yes")

    @precondition(lambda self: not self.asleep and len(self.backups) < 2)
    @rule()
    @counted
    def back_up(self) -> None:
        made = self.flow.json("backup", "create", STACK)
        self.backups[made["id"]] = self.status

    @precondition(lambda self: not self.asleep and bool(self.backups))
    @rule()
    @counted
    def restore(self) -> None:
        backup, self.status = next(iter(self.backups.items()))
        self.flow.json("backup", "restore", STACK, "--from", backup, "--yes")

    @precondition(lambda self: not self.asleep)
    @rule()
    @counted
    def sleep(self) -> None:
        self.flow.json("demo", "sleep", BRANCH, "--no-dump", "--yes")
        self.asleep = True

    @precondition(lambda self: self.asleep)
    @rule()
    @counted
    def wake(self) -> None:
        self.flow.json("demo", "wake", BRANCH)
        self.asleep = False

    @rule()
    @counted
    def end_and_make_again(self) -> None:
        self._end()
        self.asleep, self.size, self.backups = False, TYPES[0], {}
        self._make()

    # -- what always holds -------------------------------------------------------------------------

    @invariant()
    def the_site_answers_with_the_version_and_the_data_it_should_have(self) -> None:
        if not self.ran or self.asleep:
            return
        assert self._ask("GET", "/api/version")["version"] == self.ran[-1]
        assert self._status() == self.status

    @invariant()
    def nothing_is_there_twice_and_nothing_is_left(self) -> None:
        if not self.ran:
            return
        listed = {kind: len(names) for kind, names in self.team.listed().items()}
        servers = {} if self.asleep else {"servers": 1}
        assert listed == {
            **servers, "volumes": 1, "primary_ips": 2, "firewalls": 1, "ssh_keys": 1,
            "record sets": 2,
        }  # fmt: skip

    @invariant()
    def the_state_is_whole_and_says_so(self) -> None:
        if not self.ran:
            return
        found = state.parse(self.team.stacks.state(STACK))
        assert bool(found.asleep) is self.asleep
        assert (found.outputs["version"], found.outputs["ipv4"]) == (self.ran[-1], self.address)
        assert found.release["version"] == self.ran[-1]
        assert self.flow.locks(STACK) == []

    # -- how it is asked ---------------------------------------------------------------------------

    def _runs(self, version: str) -> None:
        self.ran = [*(each for each in self.ran if each != version), version]

    def _set(self, status: str) -> None:
        self._ask("PUT", "/api/tasks/1", json={"status": status})

    def _status(self) -> str:
        return str({each["id"]: each["status"] for each in self._ask("GET", "/api/tasks")}[1])

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        outputs = self.team.stacks.outputs(STACK)
        trust = ssl.create_default_context(cafile=str(self.team.trust))
        with httpx.Client(verify=trust, timeout=30, trust_env=False) as client:
            auth = ("demo", str(outputs["password"]))
            answer = client.request(method, f"{outputs['url']}{path}", auth=auth, **more)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)
