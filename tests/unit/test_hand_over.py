"""The hand-over from the operator's side, against an `ssh` that acts out what servers do."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote import deploying, hand_over, ssh
from remote.errors import HandOverError
from tests.unit import acted_ssh
from tests.unit.acted_ssh import HELLO, HOST_KEY, OK, RELEASE, ROOT, FakeSsh


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return acted_ssh.make(tmp_path, monkeypatch)


Run = Callable[..., "tuple[dict[str, object], list[str]]"]


@pytest.fixture
def deploy(fake: FakeSsh) -> Run:
    def run(request: dict[str, Any] | None = None) -> tuple[dict[str, object], list[str]]:
        said: list[str] = []
        return deploying.deploy(request or RELEASE, said.append), said

    return run


def test_a_release_is_handed_over_and_followed(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(HELLO + f"take(); say({{'log': 'pulling'}}); say({{'result': {OK!r}}})")
    answer, said = deploy()
    assert answer == {key: value for key, value in OK.items() if key != "ok"}
    assert said == ["pulling"]
    assert json.loads(fake.taken())["bundle"] == RELEASE["bundle"]


def test_that_a_release_is_behind_reaches_the_agent(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(HELLO + f"take(); say({{'result': {OK!r}}})")
    deploy({**RELEASE, "behind": True})
    assert json.loads(fake.taken())["behind"] is True


def test_nothing_is_secret_on_the_command_line_and_the_host_key_is_pinned(
    fake: FakeSsh, deploy: Run
) -> None:
    fake.acts(
        HELLO
        + "key = pathlib.Path(opts['IdentityFile'].strip('\"'))\n"
        + "(here / 'mode').write_text(oct(key.stat().st_mode & 0o777))\n"
        + "(here / 'pins').write_text(open(opts['UserKnownHostsFile'].strip('\"')).read())\n"
        + f"take(); say({{'result': {OK!r}}})"
    )
    deploy()
    [call] = fake.calls()
    line = " ".join(call)
    for secret in ("hunter2222", "registry-pass", "demo-pass", "c2VjcmV0"):
        assert secret not in line
    assert call[1:3] == ["-F", "/dev/null"]
    assert call[-3:] == ["--", "203.0.113.9", "deploy"]
    for option in ("StrictHostKeyChecking=yes", "BatchMode=yes", "ServerAliveInterval=10"):
        assert option in call
    assert (fake.folder / "mode").read_text() == "0o600"
    assert (fake.folder / "pins").read_text().split()[1:] == HOST_KEY.split()[1:]


def test_the_key_is_gone_afterwards(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(HELLO + f"take(); say({{'result': {OK!r}}})")
    deploy()
    option = next(a for a in fake.calls()[0] if a.startswith("IdentityFile="))
    assert not Path(option.split("=", 1)[1].strip('"')).exists()


def test_a_changed_host_key_stops_at_once_and_nothing_is_sent(fake: FakeSsh, deploy: Run) -> None:
    fake.acts("die('@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\\nHost key verification failed.')")
    with pytest.raises(HandOverError, match=r"another host key .* nothing was sent") as error:
        deploy()
    assert "hostKey" in error.value.remedy
    assert len(fake.calls()) == 1
    assert fake.taken() == ""


def test_a_refused_connection_is_tried_again(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(
        "if tries < 3: die('ssh: connect to host 203.0.113.9 port 22: Connection refused')\n"
        + HELLO + f"take(); say({{'result': {OK!r}}})"
    )  # fmt: skip
    assert deploy()[0]["version"] == "1.0.0"
    assert len(fake.calls()) == 3


def test_trying_to_connect_ends(
    fake: FakeSsh, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "CONNECT_SECONDS", 0.3)
    fake.acts("die('ssh: connect to host 203.0.113.9 port 22: Connection timed out')")
    with pytest.raises(HandOverError, match="does not answer on SSH") as error:
        deploy()
    assert "sshFrom" in error.value.remedy


def test_a_refused_key_is_said_so(fake: FakeSsh, deploy: Run) -> None:
    fake.acts("die('flow@203.0.113.9: Permission denied (publickey).')")
    with pytest.raises(HandOverError, match="does not accept the key") as error:
        deploy()
    assert "authorized_keys" in error.value.remedy


def test_a_line_of_a_mebibyte_comes_through_cut(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(HELLO + f"take(); say('x' * (1 << 20)); say({{'result': {OK!r}}})")
    answer, said = deploy()
    assert answer["version"] == "1.0.0"
    assert len(said[0]) < 9000
    assert "bytes more" in said[0]


def test_silence_is_a_cut_line_and_ssh_is_ended(
    fake: FakeSsh, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "SILENCE_SECONDS", 0.5)
    fake.acts(
        HELLO + "take(); say({'log': 'running job migrate'})\n"
        "(here / 'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    with pytest.raises(HandOverError, match=r"middle of a deploy.*running job migrate") as error:
        deploy()
    assert "pulumi up" in error.value.remedy
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.folder / "pid").read_text()), 0)


def test_beats_keep_a_quiet_deploy_alive(
    fake: FakeSsh, deploy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "SILENCE_SECONDS", 1)
    fake.acts(
        HELLO + "take()\nfor n in range(5): time.sleep(0.4); say({'beat': n})\n"
        f"say({{'result': {OK!r}}})"
    )
    assert deploy()[1] == []


def test_a_deploy_has_an_end_even_when_it_talks_for_ever(fake: FakeSsh, deploy: Run) -> None:
    fake.acts(HELLO + "take()\nwhile True: say({'beat': 1}); time.sleep(0.05)")
    started = time.monotonic()
    with pytest.raises(HandOverError, match="deadline"):
        deploy({**RELEASE, "deadline": 0.5})
    assert time.monotonic() - started < 5


def test_a_failed_deploy_names_cause_and_remedy(fake: FakeSsh, deploy: Run) -> None:
    failed = {"ok": False, "cause": "job migrate failed", "remedy": "correct it"}
    fake.acts(HELLO + f"take(); say({{'result': {failed!r}}})")
    with pytest.raises(HandOverError, match=r"203.0.113.9: job migrate failed") as error:
        deploy()
    assert error.value.remedy == "correct it"


def test_a_server_without_the_agent_gets_no_secret(fake: FakeSsh, deploy: Run) -> None:
    fake.acts("say('Welcome to Debian'); take()")
    with pytest.raises(HandOverError, match="did not answer as the deploy agent"):
        deploy()
    assert fake.taken() == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Host key verification failed.\nConnection closed by remote host", "host-key"),
        ("Connection refused", "refused"),
        ("Connection timed out", "timeout"),
        ("Timeout, server 203.0.113.9 not responding.", "timeout"),
        ("No route to host", "unreachable"),
        ("kex_exchange_identification: Connection reset by peer", "closed"),
        ("Permission denied (publickey).", "denied"),
        ("Could not resolve hostname x", "name"),
        ("bash: deploy: command not found", "other"),
    ],
)
def test_what_ssh_says_becomes_a_reason(text: str, reason: str) -> None:
    assert ssh.classify(text) == reason


def run_main(folder: Path, verb: str, text: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["python3", "-m", "remote.hand_over", verb], cwd=ROOT, input=text, text=True,
        capture_output=True, timeout=30, check=False,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
    )  # fmt: skip


def test_stdout_is_one_line_of_json_and_no_secret_is_ever_printed(fake: FakeSsh) -> None:
    leaks = " ".join(["hunter2222", "registry-pass", "demo-pass", "c2VjcmV0c2VjcmV0"])
    fake.acts(HELLO + f"take(); say({{'log': {leaks!r}}}); say({{'result': {OK!r}}})")
    done = run_main(fake.folder, "deploy", json.dumps(RELEASE))
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["release"] == "abcdef-1"
    assert done.stderr == "*** *** *** ***\n"


def test_a_failure_exits_1_with_cause_and_next_step_and_without_secrets(fake: FakeSsh) -> None:
    failed = {"ok": False, "cause": "hunter2222 is wrong", "remedy": "give another"}
    fake.acts(HELLO + f"take(); say({{'result': {failed!r}}})")
    done = run_main(fake.folder, "deploy", json.dumps(RELEASE))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: 203.0.113.9: *** is wrong\nnext: give another\n"


@pytest.mark.parametrize(("verb", "text"), [("deploy", "no json"), ("deploy", "[]"), ("x", "{}")])
def test_a_wrong_call_exits_2(tmp_path: Path, verb: str, text: str) -> None:
    assert run_main(tmp_path, verb, text).returncode == 2


def test_sigterm_ends_ssh_too_and_removes_the_key(fake: FakeSsh) -> None:
    fake.acts(
        HELLO + "take()\n(here / 'key').write_text(opts['IdentityFile'].strip('\"'))\n"
        "(here / 'pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        ["python3", "-m", "remote.hand_over", "deploy"], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{fake.folder}:{os.environ['PATH']}"},
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(RELEASE))
        process.stdin.close()
        give_up = time.monotonic() + 10
        while not (fake.folder / "pid").exists() or not (fake.folder / "pid").read_text():
            assert time.monotonic() < give_up
            time.sleep(0.05)
        process.terminate()
        assert process.wait(10) == 143
    assert not Path((fake.folder / "key").read_text()).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake.folder / "pid").read_text()), 0)


def test_who_is_the_actor_in_a_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    assert hand_over.who() == "ada (GitHub)"
    monkeypatch.delenv("GITHUB_ACTOR")
    assert "@" in hand_over.who()
