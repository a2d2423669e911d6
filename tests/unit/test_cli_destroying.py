"""What stands in the way of a destroy is said before anything is touched."""

from typing import Any

import pytest

from flow import destroying, state
from flow.errors import FlowError

PROVIDER = {"type": "pulumi:providers:github", "inputs": {"owner": "example-org"}}


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "FLOW_GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def left(*resources: dict[str, Any]) -> state.State:
    return state.parse({"resources": list(resources)})


def test_a_stack_with_a_part_at_github_is_not_destroyed_without_a_token() -> None:
    with pytest.raises(FlowError, match=r"no token to remove it with.*Nothing was changed"):
        destroying.check("feature-demo-x", left(PROVIDER))


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "FLOW_GITHUB_TOKEN"])
def test_with_a_token_in_the_environment_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "ghp_x")
    destroying.check("feature-demo-x", left(PROVIDER))


def test_a_token_of_the_stack_s_settings_is_in_its_state() -> None:
    token = {**PROVIDER, "inputs": {"owner": "example-org", "token": "ghp_x"}}
    destroying.check("feature-demo-x", left(token))


def test_a_stack_without_such_a_part_needs_none() -> None:
    destroying.check("feature-demo-x", left())
