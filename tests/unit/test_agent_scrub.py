"""Data that is restored to be scrubbed: nobody sees it before, however the restore ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote.server.agent import incoming, main, runs, scrub
from remote.server.agent.commands import Commands
from remote.server.agent.compose import Compose
from remote.server.agent.deploy import Deployer
from remote.server.agent.errors import DeployError
from remote.server.agent.machine import Machine
from remote.server.agent.releases import Store
from remote.server.agent.restore import Restorer
from tests.unit import agent_bench
from tests.unit.agent_bench import FakeProbe

ROOT = Path(__file__).parents[2]
# `docker` as the agent calls it: what runs is a file each in up/, what db holds is in /data/db, and
# a line of what was done says whether the mark stood and who was up.
DOCKER = """#!/bin/sh
DATA=$HERE/machine/data
note() {
  mark=; [ -e "$DATA/.unscrubbed" ] && mark=" marked"
  echo "$1 [$(ls "$HERE/up" | tr '\\n' ' ' | sed 's/ $//')]$mark" >> "$HERE/done"
}
case $1 in
  inspect)
    case $3.$4 in
      *restore*.app-db-1) echo "cat > $DATA/db/content; $RESTORE" ;;
      *scrub*.app-db-1) [ -z "$UNSAID" ] && echo "$SCRUB sed -i s/ada/blot/ $DATA/db/content" ;;
      *) echo ;;
    esac ;;
  exec)
    while [ "$1" != sh ]; do shift; done
    "$@"; status=$?
    case $3 in *sed*) note scrub ;; *) note restore ;; esac
    exit $status ;;
  ps)
    [ -z "$BLIND" ] || exit 1
    for each in $(ls "$HERE/up"); do
      case $* in *--quiet*) echo "app-$each-1" ;; *) echo "app-$each-1 $each" ;; esac
    done ;;
  stop) [ -z "$STUCK" ] || { echo "stop: $STUCK"; exit 1; } ;;
  rm)
    shift
    while [ "${1#--}" != "$1" ]; do shift; done
    for each in "$@"; do name=${each#app-}; rm -f "$HERE/up/${name%-1}"; done
    case $* in *app-job-migrate*) ;; *) note "remove $*" ;; esac ;;
  compose)
    case $* in
      *" ps "*)
        for each in $(ls "$HERE/up"); do
          printf '{"Name": "app-%s-1", "Service": "%s", "State": "running"}\\n' $each $each
        done ;;
      *" down "*)
        [ -z "$DOWN" ] || { echo "down: $DOWN"; exit 1; }
        rm -f "$HERE/up"/*; note down ;;
      *" run "*) touch "$HERE/up/db"; note job; exit "${JOB:-0}" ;;
      *" up "*) touch "$HERE/up/db" "$HERE/up/web"; note up ;;
    esac ;;
esac
"""


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER, first on PATH."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    (tmp_path / "up").mkdir()
    program.write_text(DOCKER)
    for name in ("runuser", "systemctl"):  # Caddy's
        (program.parent / name).write_text("#!/bin/sh\n")
    for each in program.parent.iterdir():
        each.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HERE", str(tmp_path))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One on which a release runs that has data."""
    bench = agent_bench.make(tmp_path / "machine")
    services = {name: {"image": agent_bench.PINNED.format(1)} for name in ("db", "migrate", "web")}
    files = {"compose.yaml": json.dumps({"services": services}), "Caddyfile": "# 1\n"}
    bench.deploy(agent_bench.request(files=files))
    for name in ("db", "web"):
        (tmp_path / "up" / name).touch()
    (bench.machine.data / "db/content").write_text("of the demo")
    return bench.machine


def content(machine: Machine) -> str:
    """What is in the database; empty where nothing is."""
    file = machine.data / "db/content"
    return file.read_text() if file.exists() else ""


def restorer(machine: Machine, said: list[str]) -> Restorer:
    clock = iter(range(100_000))
    return Restorer(
        machine, Commands(), FakeProbe(), said.append,
        sleep=lambda _: None, clock=lambda: float(next(clock)),
    )  # fmt: skip


def restore(machine: Machine, text: str = "ada was here", **more: Any) -> dict[str, object]:
    """Restore and scrub the service db."""
    with incoming.folder(machine) as folder:
        (folder / "0").write_text(text)
        how = {"scrubbed": True, **more}
        return restorer(machine, []).restore(folder, ["db"], **how)


def done(machine: Machine) -> list[str]:
    """What was done, each with what ran after it and whether the mark stood."""
    file = machine.root.parent / "done"
    return file.read_text().splitlines() if file.exists() else []


def nothing_was_seen(machine: Machine) -> bool:
    """Whether no step left anything but the database up while the mark stood."""
    return all("web" not in each for each in done(machine) if each.endswith(" marked"))


def test_it_is_scrubbed_before_anything_else_is_there_then_migrated_and_served(
    machine: Machine,
) -> None:
    assert restore(machine)["scrubbed"] == ["db"]
    assert done(machine) == [
        "remove app-web-1 [db]",
        "restore [db] marked",
        "scrub [db] marked",
        "job [db]",
        "up [db web]",
    ]
    assert content(machine) == "blot was here"
    assert not (machine.data / ".unscrubbed").exists()


def test_what_a_killed_deploy_or_job_left_is_removed_too(machine: Machine) -> None:
    for name in ("web.green", "job-late"):
        (machine.root.parent / "up" / name).touch()
    restore(machine)
    assert done(machine)[0] == "remove app-job-late-1 app-web-1 app-web.green-1 [db]"


def test_an_ordinary_restore_scrubs_nothing(machine: Machine) -> None:
    restore(machine, scrubbed=False)
    assert content(machine) == "ada was here"


@pytest.mark.parametrize("where", ["SCRUB", "RESTORE"])
def test_where_the_scrub_or_the_restore_fails_the_data_is_emptied_and_that_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv(where, "echo no column s3cret-token >&2; exit 3;")
    wanted = r"no column \*\*\*; the data was emptied: nothing of it was shown; .* without data"
    with pytest.raises(DeployError, match=wanted):
        restore(machine)
    assert content(machine) == ""
    assert done(machine)[-3:] == ["down [] marked", "job [db]", "up [db web]"]
    assert nothing_was_seen(machine)


def test_data_that_cannot_even_be_emptied_keeps_everything_down_until_a_deploy_can(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRUB", "exit 3;")
    monkeypatch.setenv("DOWN", "no answer")
    with pytest.raises(DeployError, match=r"and then: .* could not be emptied: .*no answer"):
        restore(machine)
    assert content(machine) == "ada was here"
    for attempt in (boot, deploy):
        with pytest.raises(DeployError, match="could not be emptied"):
            attempt(machine)
    assert nothing_was_seen(machine)
    monkeypatch.delenv("DOWN")
    boot(machine)
    assert content(machine) == ""


def boot(machine: Machine) -> None:
    deployer(machine).boot()


def deploy(machine: Machine) -> None:
    deployer(machine).deploy(agent_bench.request(2))


def again(machine: Machine) -> None:
    """A restore of the demo's own."""
    restore(machine, "its own", scrubbed=False)


def deployer(machine: Machine) -> Deployer:
    clock = iter(range(100_000))
    return Deployer(
        machine, Commands(), FakeProbe(), lambda _: None,
        sleep=lambda _: None, clock=lambda: float(next(clock)), connections=lambda _: 0,
    )  # fmt: skip


@pytest.fixture
def killed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose agent was killed outright between the restore and the end of the scrub."""
    taken = machine.state / "incoming/x"
    taken.mkdir(parents=True)
    (taken / "0").write_text("ada was here")
    code = (
        "from pathlib import Path; from remote.server.agent.machine import Machine\n"
        "from tests.unit.test_agent_scrub import restorer\n"
        f"restorer(Machine(Path({str(machine.root)!r})), []).restore(\n"
        f"    Path({str(taken)!r}), ['db'], scrubbed=True)\n"
    )
    monkeypatch.setenv("SCRUB", "sleep 60;")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    until = time.monotonic() + 30
    while not any(each.startswith("restore") for each in done(machine)):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    monkeypatch.delenv("SCRUB")
    # Of a job that was killed: Compose itself leaves it there.
    (machine.root.parent / "up/job-late").touch()
    assert content(machine) == "ada was here"
    assert list((machine.state / "incoming").glob("*.taken/0"))
    return machine


@pytest.mark.parametrize("what_comes_next", [boot, deploy, again])
def test_after_a_kill_the_next_thing_that_happens_empties_the_data_before_anything_starts(
    killed: Machine, what_comes_next: Callable[[Machine], None]
) -> None:
    what_comes_next(killed)
    assert content(killed) == ("its own" if what_comes_next is again else "")
    told = done(killed)
    after = told[told.index("restore [db] marked") + 1 :]
    assert after[:3] == ["remove app-db-1 app-job-late-1 [] marked", "down [] marked", "job [db]"]
    assert "up [db web]" in after
    assert nothing_was_seen(killed)
    assert not list((killed.state / "incoming").glob("*.taken"))


def test_a_server_that_takes_the_volume_over_empties_it_too(
    killed: Machine, tmp_path: Path
) -> None:
    # What a demo that sleeps loses: all but its volume.
    new = agent_bench.make(tmp_path / "new")
    killed.data.rename(new.machine.data)
    new.deploy(agent_bench.request(1))
    assert list((new.machine.data / "db").iterdir()) == []
    assert "".join(new.commands.steps()).count("job")


def test_a_mark_that_says_nothing_has_everything_emptied(killed: Machine) -> None:
    (killed.data / ".unscrubbed").write_text("{")
    (killed.data / "files").mkdir()
    (killed.data / "files/x").touch()
    boot(killed)
    assert list((killed.data / "files").iterdir()) == []
    assert content(killed) == ""


def test_unscrubbed_data_is_not_given_out(
    killed: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.serve("dump", killed) == 1
    assert "not scrubbed: it is not given out" in capsys.readouterr().out


def test_a_job_that_fails_on_scrubbed_data_is_told_and_the_data_stays(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB", "1")
    with pytest.raises(DeployError, match=r"back and scrubbed, but job migrate .*; .* serves"):
        restore(machine)
    assert content(machine) == "blot was here"
    assert done(machine)[-1] == "up [db web]"


@pytest.mark.parametrize("fails", ["STUCK", "BLIND"])
def test_what_cannot_be_stopped_or_listed_gets_no_data(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setenv(fails, "no answer")
    with pytest.raises(DeployError, match=r"could not be stopped.*the data was not touched"):
        restore(machine)
    assert content(machine) == "of the demo"
    assert not (machine.data / ".unscrubbed").exists()


def test_without_a_label_nothing_is_touched_nor_taken_in(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNSAID", "1")
    with pytest.raises(DeployError, match="does not say how its data is scrubbed") as error:
        restore(machine)
    assert scrub.LABEL in error.value.remedy
    part = {"service": "db", "bytes": 3, "sha256": "0" * 64}
    monkeypatch.setattr(incoming, "read_head", lambda _: {"parts": [part]})
    assert main.serve("restore-scrubbed", machine) == 1
    assert "scrubbed; nothing was changed" in capsys.readouterr().out
    assert (done(machine), content(machine)) == ([], "of the demo")


def test_what_is_public_gets_no_data_that_is_to_be_scrubbed(machine: Machine) -> None:
    release = Store(machine.state).current()
    assert release is not None
    with pytest.raises(DeployError, match="web is public and holds the data"):
        scrub.check(release, ["web"], {"web": ("app-web-1", "true")})


def test_the_verb_asks_for_a_scrub_and_the_plain_one_for_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    part = {"service": "db", "bytes": 3, "sha256": "0" * 64}
    monkeypatch.setattr(incoming, "read_head", lambda _: {"parts": [part]})
    monkeypatch.setattr(incoming, "receive", lambda *_: None)

    def deploy(_: Any, request: Any, __: str) -> dict[str, object]:
        asked.append(request["restore"])
        return {"ok": True}

    monkeypatch.setattr(runs.Runs, "deploy", deploy)
    for verb in ("restore-scrubbed", "restore"):
        assert main.serve(verb, machine) == 0
    assert [each["scrubbed"] for each in asked] == [True, False]


def test_a_folder_outside_the_data_is_never_emptied(machine: Machine, tmp_path: Path) -> None:
    (machine.data / ".unscrubbed").write_text(json.dumps({"data": ["../../keep", ".."]}))
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/x").touch()
    compose = Compose(Commands(), machine, print)
    scrub.Unscrubbed(machine, compose, print).empty(None)
    assert (tmp_path / "keep/x").exists()
    assert machine.data.is_dir()
