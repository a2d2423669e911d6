"""What is in use for a moment more is waited for, and then deleted."""

from types import SimpleNamespace

import pytest
from hcloud import APIException

from flow.errors import FlowError
from flow.labelled import Cloud, Found


def address(*refusals: str) -> Found:
    """A primary IP whose deletion is refused with these codes, one after the other."""
    left = list(refusals)

    def delete() -> None:
        if left:
            raise APIException(code=left.pop(0), message="no", details=None)

    return Found("primary IP", "x-ipv4", {}, SimpleNamespace(delete=delete))


@pytest.mark.parametrize("code", ["conflict", "locked", "must_be_unassigned", "resource_in_use"])
def test_what_its_server_has_not_let_go_of_yet_is_deleted_a_moment_later(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    Cloud("t" * 64).remove(address(code, code))


def test_what_is_protected_is_not_asked_for_again() -> None:
    with pytest.raises(FlowError, match="x-ipv4 cannot be deleted"):
        Cloud("t" * 64).remove(address("protected"))
