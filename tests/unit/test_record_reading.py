"""Reading the record while the engine writes it: a folder's state file is rewritten in place."""

from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from planning import record

HALF_WRITTEN = "invocation returned an error: failed to load checkpoint: EOF"


class Engine:
    """Answers an invoke after so many failures."""

    def __init__(self, failures: int, message: str) -> None:
        self.failures = failures
        self.message = message
        self.calls = 0

    def invoke(self, _token: str, arguments: dict[str, str]) -> Any:
        self.calls += 1
        # In full: the engine would complete a short name with the user's default organisation.
        assert arguments == {"stackName": "a-team/deployment-flow/staging"}
        if self.calls <= self.failures:
            raise Exception(self.message)
        return SimpleNamespace(value={"outputs": {}})


def _read(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> record.Record:
    monkeypatch.setattr(pulumi.runtime, "invoke", engine.invoke)
    monkeypatch.setattr(pulumi, "get_organization", lambda: "a-team")
    monkeypatch.setattr(pulumi, "get_project", lambda: "deployment-flow")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "staging")
    monkeypatch.setattr(record, "_PAUSES", (0.0, 0.0))
    return record.read()


def test_a_half_written_state_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(2, HALF_WRITTEN)
    assert _read(monkeypatch, engine) == record.Record()
    assert engine.calls == 3


@pytest.mark.parametrize(("message", "calls"), [(HALF_WRITTEN, 3), ("incorrect passphrase", 1)])
def test_what_stays_wrong_is_said(
    message: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(99, message)
    with pytest.raises(Exception, match=message):
        _read(monkeypatch, engine)
    assert engine.calls == calls
