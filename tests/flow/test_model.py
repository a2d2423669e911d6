"""Anything a team may do to an environment, in any order: the site answers, its data is whole.

A model of one demo (which version runs, what its data says, what was saved, whether it sleeps) is
driven beside the real one. Hypothesis makes up the order. The first is that of ACTIONS, in which
all of them can be done, and the only one of a usual run; FLOW_MODEL_EXAMPLES asks for more.
"""

import json
import os
import ssl
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flow import state
from tests.flow.commands import Flow
from tests.flow.team import Team

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1800)]
BRANCH = "feature-demo/model"
STACK = "feature-demo-model"
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
BAD = "9.9.9"
TYPES = ("cx23", "cx33")
EXAMPLES = int(os.environ.get("FLOW_MODEL_EXAMPLES") or 0)
# Methods of Environment, and what they are given.
ACTIONS = (
    ("somebody_maps", "mapped"), ("deploy", "1.1.0"), ("back_up",), ("deploy_a_bad_version",),
    ("somebody_maps", "validated"), ("roll_back",), ("resize",), ("restore",), ("rebuild",),
    ("sleep",), ("wake",), ("deploy", "1.2.0"), ("end_and_make_again",),
)  # fmt: skip


@pytest.fixture(scope="module")
def flow(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """`flow` for a team with every version of the demo in its registry."""
    for version in VERSIONS:
        team.publish(version, BRANCH)
    team.publish(BAD, BRANCH, fault="health")
    return Flow(team, tmp_path_factory.mktemp("flow"))


@settings(
    max_examples=EXAMPLES or 1,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    # A sequence takes minutes: it is told as it was, not made shorter.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(order=st.permutations(ACTIONS))
def test_whatever_is_done_in_whatever_order_the_site_answers_and_no_data_is_lost(
    flow: Flow, order: Sequence[tuple[str, ...]]
) -> None:
    environment = Environment(flow)
    done: list[str] = []
    try:
        environment.made()
        environment.holds()
        for name, *given_ in order:
            if environment.can(name):
                done.append(" ".join([name, *given_]))
                getattr(environment, name)(*given_)
                environment.holds()
    except BaseException as error:
        error.add_note(f"the last of: {', '.join(done)}")
        raise
    finally:
        environment.end()
    assert EXAMPLES or len(done) == len(ACTIONS)


class Environment:
    """One demo with a data volume, and the model of it."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.team = flow.team
        self.ran: list[str] = []
        """Versions in the order they came to run, the running one last."""
        self.status = ""
        self.backups: dict[str, str] = {}
        self.asleep = False
        self.size = TYPES[0]
        self.address = ""

    def made(self) -> None:
        """The demo is there, and somebody has used it."""
        self.team.stacks.create(STACK)
        self.team.configure(STACK, volumeSize=10, serverType=self.size)
        done = self.flow.json("deploy", STACK, "--version", VERSIONS[0])
        self.ran = [done["version"]]
        self.address = str(self.team.stacks.outputs(STACK)["ipv4"])
        self.somebody_maps("open")

    def end(self) -> None:
        """It is gone, and nothing of it is left."""
        if STACK not in self.team.stacks.names():
            return
        code, _, said = self.flow.run("demo", "end", BRANCH, "--no-dump", "--yes")
        assert code == 0, said
        assert self.team.listed() == {}
        assert STACK not in self.team.stacks.names()

    def can(self, action: str) -> bool:
        """Whether it is possible as things are."""
        if action in ("deploy", "end_and_make_again"):
            return True
        if action == "wake":
            return self.asleep
        needed = {"roll_back": len(self.ran) > 1, "restore": bool(self.backups)}
        return not self.asleep and needed.get(action, True)

    def holds(self) -> None:
        """What always does."""
        self._answers()
        self._is_there_once()
        self._has_a_whole_state()

    # -- what is done ------------------------------------------------------------------------------

    def somebody_maps(self, status: str) -> None:
        self._ask("PUT", "/api/tasks/1", json={"status": status})
        self.status = status

    def deploy(self, version: str) -> None:
        done = self.flow.json("deploy", STACK, "--version", version)
        assert done["version"] == version
        self._runs(version)
        self.asleep = False

    def deploy_a_bad_version(self) -> None:
        code, _, said = self.flow.run("deploy", STACK, "--version", BAD)
        assert code == 1
        assert "still serves" in said

    def roll_back(self) -> None:
        wanted = next(each for each in reversed(self.ran) if each != self.ran[-1])
        done = self.flow.json("rollback", STACK, "--to", wanted)
        assert done["version"] == wanted
        self._runs(wanted)

    def resize(self) -> None:
        self.size = TYPES[1 - TYPES.index(self.size)]
        self.team.configure(STACK, serverType=self.size)
        self.flow.json("deploy", STACK)

    def rebuild(self) -> None:
        self.flow.json("rebuild", STACK, "--yes")

    def back_up(self) -> None:
        made = self.flow.json("backup", "create", STACK)
        self.backups[made["id"]] = self.status

    def restore(self) -> None:
        backup, self.status = next(iter(self.backups.items()))
        self.flow.json("backup", "restore", STACK, "--from", backup, "--yes")

    def sleep(self) -> None:
        self.flow.json("demo", "sleep", BRANCH, "--no-dump", "--yes")
        self.asleep = True

    def wake(self) -> None:
        self.flow.json("demo", "wake", BRANCH)
        self.asleep = False

    def end_and_make_again(self) -> None:
        self.end()
        self.asleep, self.size, self.backups = False, TYPES[0], {}
        self.made()

    # -- what always holds -------------------------------------------------------------------------

    def _answers(self) -> None:
        if self.asleep:
            return
        assert self._ask("GET", "/api/version")["version"] == self.ran[-1]
        tasks = {each["id"]: each["status"] for each in self._ask("GET", "/api/tasks")}
        assert tasks[1] == self.status

    def _is_there_once(self) -> None:
        listed = {kind: len(names) for kind, names in self.team.listed().items()}
        servers = {} if self.asleep else {"servers": 1}
        assert listed == {
            **servers, "volumes": 1, "primary_ips": 2, "firewalls": 1, "ssh_keys": 1,
            "record sets": 2,
        }  # fmt: skip

    def _has_a_whole_state(self) -> None:
        found = state.parse(self.team.stacks.state(STACK))
        assert bool(found.asleep) is self.asleep
        assert (found.outputs["version"], found.outputs["ipv4"]) == (self.ran[-1], self.address)
        assert found.release["version"] == self.ran[-1]
        assert self.flow.locks(STACK) == []

    # -- how it is asked ---------------------------------------------------------------------------

    def _runs(self, version: str) -> None:
        self.ran = [*(each for each in self.ran if each != version), version]

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        outputs = self.team.stacks.outputs(STACK)
        trust = ssl.create_default_context(cafile=str(self.team.trust))
        with httpx.Client(verify=trust, timeout=30, trust_env=False) as client:
            auth = ("demo", str(outputs["password"]))
            answer = client.request(method, f"{outputs['url']}{path}", auth=auth, **more)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)
