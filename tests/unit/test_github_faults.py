"""Requests set to go wrong, and the sandbox's own paths, by the documents' commands."""

import re
import subprocess
import time
from pathlib import Path

import github
import pytest

from sandbox.github import rules
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sandbox-github.md"


def commands(served: Served) -> list[str]:
    """The page's commands, for this test's GitHub."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    text = "".join(blocks).replace("http://127.0.0.1:7090", served.url)
    return text.splitlines()


def test_the_pages_commands_work_one_after_the_other(served: Served) -> None:
    served.repo.create_file("x", "m", "c")
    token, fault, clear = commands(served)

    def run(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout

    made = re.findall(r"github_pat_\w+", run(token))
    limited = served.client(token=made[0]).get_repo(FULL_NAME)
    assert limited.create_file("y", "m", "c")
    refused(403, limited.create_issue, "no")
    assert '"status":502' in run(fault).replace(" ", "")
    refused(502, served.repo.create_git_release, "v1", "One", "new")
    assert served.repo.create_git_release("v1", "One", "new").tag_name == "v1"
    run(fault)
    run(clear)
    assert served.repo.create_git_release("v2", "Two", "new").tag_name == "v2"


def test_a_delay_waits_and_then_does_what_was_asked(served: Served) -> None:
    served.hub.faults.add({"do": {"delay": 0.3}, "count": 1, "match": {"method": "GET"}})
    began = time.monotonic()
    assert served.repo.name == "fieldwork"
    assert time.monotonic() - began >= 0.3


def test_a_limit_says_when_to_come_again(served: Served) -> None:
    served.hub.faults.add({"do": {"secondary_limit": 7}, "count": 1})
    answer = served.raw.get("/user")
    assert (answer.status_code, answer.headers["retry-after"]) == (403, "7")
    served.hub.faults.add({"do": {"rate_limit": 60}, "count": 1})
    answer = served.raw.get("/user")
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert int(answer.headers["x-ratelimit-reset"]) > time.time()


@pytest.mark.parametrize(
    "fault", [{}, {"do": {"explode": 1}}, {"do": {"delay": 1}, "match": {"x": 1}}]
)
def test_a_fault_that_would_never_strike_is_refused(
    served: Served, fault: dict[str, object]
) -> None:
    url = f"{served.url}/_sandbox/faults"
    assert served.raw.post(url, json=fault).status_code == 422
    assert served.raw.get(url).json() == {"faults": []}


def test_the_clock_can_be_moved_past_a_tokens_end(served: Served) -> None:
    token = served.hub.tokens.mint("developer", expires=time.time() + 3600)
    assert served.client(token=token).get_user().login == "developer"
    served.raw.post(f"{served.url}/_sandbox/clock", json={"offset": 7200})
    with pytest.raises(github.BadCredentialsException):
        served.client(token=token).get_user().login  # noqa: B018


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/environments/x", {"reviewers": ["maintainer"]}),
        ("POST", "/rulesets", {"name": "x", "enforcement": "active", "rules": ["deletion"]}),
        ("POST", "/git/trees", {"tree": ["x"]}),
        ("POST", "/issues", {"title": "x", "labels": 7}),
        ("PUT", "/actions/secrets/X", {"encrypted_value": 7, "key_id": []}),
        ("POST", "/actions/variables", ["X"]),
    ],
)
def test_a_request_that_makes_no_sense_is_told_what_is_wrong(
    served: Served, method: str, path: str, body: object
) -> None:
    answer = served.raw.request(method, f"/repos/{FULL_NAME}{path}", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["message"]


def test_a_fault_of_the_sandbox_itself_is_an_answer_too(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(rules, "in_force", broken)
    answer = served.raw.get(f"/repos/{FULL_NAME}/rules/branches/main")
    assert (answer.status_code, answer.json()["status"]) == (500, "500")
    assert "a mistake of ours" in caplog.text
