"""Which runs wait for which, what starts when, and what a restart leaves."""

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sandbox.github import pushes
from sandbox.github.actions import Actions, graph, service
from sandbox.github.actions.expressions import PROGRAM
from sandbox.github.actions.graph import Loaded
from sandbox.github.actions.runner import ACT
from sandbox.github.actions.uses import FileAt
from sandbox.github.hub import Hub
from sandbox.store import Record
from tests.sandbox.github_world import DEVELOPER, WORKFLOW, World

pytestmark = pytest.mark.toolchain

PULL = ".github/workflows/pull.yml"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    if not (ACT.exists() and PROGRAM.exists()):
        pytest.skip("act and workflow-expressions are not built; `make toolchain` builds them")
    world = World(tmp_path)
    yield world
    world.close()


def until(found: Callable[[], Any], seconds: float = 20) -> Any:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def statuses(world: World, repository: Record) -> list[str]:
    found = world.hub.store.all("run", repository["full_name"])
    return [run["conclusion"] or run["status"] for run in found]


def _are(world: World, repository: Record, number: int) -> bool:
    return len(statuses(world, repository)) == number


def three_pushes(world: World, concurrency: str, at: str = "") -> Record:
    """Three pushes while the first one's job runs until the file `go` is there."""
    fieldwork = world.repository()
    wait = f"until [ -e {world.folder}/go ]; do sleep 0.05; done"
    world.push(
        fieldwork,
        {WORKFLOW: f"{{on: push, {concurrency} jobs: {{a: {{runs-on: x, {at} steps: "
         f"[{{run: '{wait}'}}]}}}}}}"},
    )  # fmt: skip
    until(lambda: statuses(world, fieldwork) == ["in_progress"])
    for number in (2, 3):
        world.push(fieldwork, {"x": str(number)})
        until(partial(_are, world, fieldwork, number))
    return fieldwork


@pytest.mark.parametrize("level", ["run", "job"])
def test_a_waiting_one_is_replaced_by_a_newer_one(world: World, level: str) -> None:
    group = "concurrency: {group: 'deploy-${{ github.ref_name }}'},"
    where = {"run": {"concurrency": group}, "job": {"concurrency": "", "at": group}}[level]
    fieldwork = three_pushes(world, **where)
    until(lambda: statuses(world, fieldwork)[1] == "cancelled")
    assert statuses(world, fieldwork)[0] == "in_progress"
    (world.folder / "go").touch()
    world.settle()
    assert statuses(world, fieldwork) == ["success", "cancelled", "success"]


def test_with_queue_max_every_one_has_its_turn(world: World) -> None:
    fieldwork = three_pushes(world, "", "concurrency: {group: deploy, queue: max},")
    assert statuses(world, fieldwork)[0] == "in_progress"
    (world.folder / "go").touch()
    world.settle()
    assert statuses(world, fieldwork) == ["success"] * 3
    jobs = world.hub.store.all("job", fieldwork["full_name"])
    spans = [(job["started_at"], job["completed_at"]) for job in jobs]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_cancel_in_progress_ends_the_one_that_runs(world: World) -> None:
    fieldwork = three_pushes(world, "concurrency: {group: x, cancel-in-progress: true},")
    (world.folder / "go").touch()
    world.settle()
    assert statuses(world, fieldwork) == ["cancelled", "cancelled", "success"]


def test_of_more_jobs_than_runners_some_wait(world: World) -> None:
    fieldwork = world.repository()
    wait = f"{{run: 'until [ -e {world.folder}/go ]; do sleep 0.05; done'}}"
    jobs = ", ".join(f"{name}: {{runs-on: x, steps: [{wait}]}}" for name in "abc")
    world.push(fieldwork, {WORKFLOW: f"{{on: push, jobs: {{{jobs}}}}}"})

    def now() -> list[str]:
        found = world.hub.store.all("job", fieldwork["full_name"])
        return [job["status"] for job in found]

    until(lambda: now() == ["in_progress", "in_progress", "queued"])
    world.push(fieldwork, {"x": "1"})
    other = until(lambda: world.hub.store.all("run")[1:])[0]
    until(lambda: now()[3:] == ["queued"] * 3)
    # One that has no runner yet is cancelled without waiting for one.
    world.command(other, "cancel")
    until(lambda: statuses(world, fieldwork) == ["in_progress", "cancelled"])
    (world.folder / "go").touch()
    world.settle()
    assert statuses(world, fieldwork) == ["success", "cancelled"]


def test_a_forks_pull_request_gets_no_secret_and_a_token_that_only_reads(world: World) -> None:
    fieldwork = world.repository()
    world.secret(fieldwork, "KEY", "not-for-forks")
    sha = world.push(
        fieldwork,
        {
            PULL: """
on: pull_request
permissions: {contents: write, deployments: write}
jobs:
  a:
    runs-on: x
    steps:
      - env: {KEY: "${{ secrets.KEY }}", TOKEN: "${{ github.token }}"}
        run: echo "key <$KEY> token ${#TOKEN} $GITHUB_REF"; sleep 0.3
"""
        },
    )
    seen: list[Any] = []

    def pull(full_name: str) -> dict[str, Any]:
        head = {"ref": "patch", "sha": sha, "repo": {"full_name": full_name}}
        return {"pull_request": {"title": "P", "head": head, "base": {"ref": "main", "sha": sha}}}

    for full_name in (fieldwork["full_name"], "stranger/fieldwork"):
        world.tell(
            fieldwork, "pull_request", action="opened", ref="refs/pull/7/merge", sha=sha,
            payload=pull(full_name),
        )  # fmt: skip
        seen.append(
            until(lambda: [t for t in world.hub.store.all("token") if t["kind"] == "workflow"])
        )
        world.settle()
    ours, fork = world.runs(fieldwork)
    assert "key <***> token 44 refs/pull/7/merge" in world.log(ours, "a")
    assert "key <> token 44 refs/pull/7/merge" in world.log(fork, "a")
    assert seen[0][0]["permissions"]["contents"] == "write"
    assert set(seen[1][0]["permissions"].values()) == {"read"}
    assert (fork["head_branch"], fork["display_title"]) == ("patch", "P")


def test_a_deleted_branch_runs_the_default_branchs_file(world: World) -> None:
    fieldwork = world.repository()
    text = """
on: delete
jobs:
  down:
    if: startsWith(github.event.ref, 'feature-demo/')
    runs-on: x
    steps: [{run: 'echo "down ${{ github.event.ref }} from $GITHUB_REF"'}]
"""
    world.push(fieldwork, {WORKFLOW: text})
    world.push(fieldwork, {"x": "1"}, "refs/heads/feature-demo/map")
    before = world.hub.git(fieldwork).refs("refs/")
    world.hub.git(fieldwork).delete("refs/heads/feature-demo/map")
    pushes.finish(world.hub, fieldwork, DEVELOPER, before)
    run = world.run(fieldwork)
    assert "down feature-demo/map from refs/heads/main" in world.log(run, "down")


def test_a_release_runs_on_its_tag_with_the_files_of_the_tag(world: World) -> None:
    fieldwork = world.repository()
    text = "{on: {release: {types: [published]}}, jobs: {a: {runs-on: x, steps: [{run: %s}]}}}"
    sha = world.push(fieldwork, {WORKFLOW: text % "echo of the tag $GITHUB_REF"})
    world.hub.git(fieldwork).update("refs/tags/v1", sha)
    world.push(fieldwork, {WORKFLOW: text % "echo newer"})
    release = {"tag_name": "v1", "name": "One"}
    for action in ("created", "published"):
        world.tell(
            fieldwork, "release", action=action, ref="refs/tags/v1", sha=sha,
            payload={"action": action, "release": release},
        )  # fmt: skip
    run = world.run(fieldwork)
    assert "of the tag refs/tags/v1" in world.log(run, "a")
    assert run["display_title"] == "One"


def test_schedules_follow_the_sandboxs_clock_and_stop_where_nothing_happens(world: World) -> None:
    fieldwork = world.repository()
    text = (
        "{on: {schedule: [{cron: '30 5 * * *'}]}, jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}}"
    )
    world.push(fieldwork, {WORKFLOW: text})
    until(lambda: world.hub.store.setting("schedules-seen"))
    assert world.runs(fieldwork) == []
    world.hub.store.set_setting("clock_offset", 86400.0)
    (run,) = until(lambda: world.hub.store.all("run", fieldwork["full_name"]))
    assert (run["event"], run["ref"]) == ("schedule", "refs/heads/main")
    world.settle()
    world.hub.store.set_setting("clock_offset", 86400.0 * 70)
    (known,) = world.hub.store.all("workflow", fieldwork["full_name"])
    until(lambda: (world.hub.store.get("workflow", known["id"]) or {})["state"] != "active")
    assert len(world.runs(fieldwork)) == 1


def test_a_deleted_repository_holds_nothing_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gone, other = world.repository("gone"), world.repository()
    text = """
on: push
concurrency: one
jobs:
  a: {runs-on: x, environment: prod, steps: [{run: echo done}]}
"""
    for repository in (gone, other):
        world.environment(repository, "prod", reviewers=[{"type": "User", "id": 1}])
        world.push(repository, {WORKFLOW: text})
    run = world.run(other)
    until(lambda: world.jobs(run).get("a", {}).get("status") == "waiting")
    world.settle()
    shutil.rmtree(world.hub.git(gone).folder)
    world.hub.store.forget(gone["full_name"])
    world.hub.store.remove("repository", gone["id"])
    # Long enough for the scheduler to look at what waits.
    time.sleep(1.2)
    assert "Traceback" not in caplog.text
    again = world.repository("gone")
    world.push(again, {WORKFLOW: text.replace("environment: prod, ", "")})
    assert world.conclusions(world.run(again)) == {"a": "success"}
    world.command(run, "review", environments=["prod"], state="approved", comment="")
    assert world.conclusions(run) == {"a": "success"}


def test_a_run_that_we_fail_at_says_so_and_holds_no_other_up(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(hub: Hub, file: FileAt) -> Loaded:
        if file.path == WORKFLOW:
            raise RuntimeError("a mistake of ours")
        return graph.load(hub, file)

    monkeypatch.setattr(service, "load", broken)
    fieldwork = world.repository()
    text = "{on: push, jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}}"
    world.push(fieldwork, {WORKFLOW: text, PULL: text})
    found = {run["path"]: run for run in world.runs(fieldwork)}
    assert (found[WORKFLOW]["status"], found[WORKFLOW]["conclusion"]) == (
        "completed",
        "startup_failure",
    )
    assert "a mistake of ours" in found[WORKFLOW]["error"]
    assert found[PULL]["conclusion"] == "success"
    assert "a mistake of ours" in caplog.text


def test_after_a_restart_what_ran_is_cancelled_and_what_waited_waits_again(world: World) -> None:
    fieldwork = world.repository()
    world.environment(fieldwork, "prod", reviewers=[{"type": "User", "id": 1}])
    world.push(
        fieldwork,
        {
            WORKFLOW: """
on: push
jobs:
  build: {runs-on: x, outputs: {v: "7"}, steps: [{run: 'true'}]}
  deploy:
    needs: build
    runs-on: x
    environment: prod
    steps: [{run: 'echo version ${{ needs.build.outputs.v }}'}]
""",
            PULL: "{on: workflow_dispatch, jobs: {a: {runs-on: x, steps: [{run: exec sleep 60}]}}}",
        },
    )
    waiting = world.run(fieldwork)
    world.tell(
        fieldwork, "workflow_dispatch", ref="refs/heads/main", sha=waiting["sha"],
        payload={"workflow": PULL},
    )  # fmt: skip
    until(lambda: statuses(world, fieldwork) == ["waiting", "in_progress"])
    (busy,) = (r for r in world.hub.store.all("run") if r["event"] == "workflow_dispatch")
    # A process that is killed writes nothing any more: stop() would.
    frozen = {job["id"]: dict(job) for job in world.hub.store.all("job")}
    world.actions.stop()
    for job in frozen.values():
        world.hub.store.save("job", job)
    world.hub.store.change("run", busy["id"], status="in_progress", conclusion=None)
    world.actions = Actions(world.hub, environment=dict)
    world.hub._listeners = [world.actions.on_event]
    world.actions.start()
    world.settle()
    assert statuses(world, fieldwork) == ["waiting", "cancelled"]
    assert world.conclusions(busy) == {"a": "cancelled"}
    world.command(waiting, "review", environments=["prod"], state="approved", comment="")
    assert world.conclusions(waiting) == {"build": "success", "deploy": "success"}
    assert "version 7" in world.log(waiting, "deploy")


def test_cancelling_a_run_runs_what_runs_always(world: World) -> None:
    fieldwork = world.repository()
    world.push(
        fieldwork,
        {
            WORKFLOW: """
on: push
jobs:
  a: {runs-on: x, steps: [{run: exec sleep 60}]}
  b: {needs: a, runs-on: x, steps: [{run: 'true'}]}
  c: {needs: a, if: always(), runs-on: x, steps: [{run: 'true'}]}
"""
        },
    )
    until(lambda: statuses(world, fieldwork) == ["in_progress"])
    run = world.hub.store.all("run")[0]
    until(lambda: world.hub.store.all("job")[0]["steps"])
    world.command(run, "cancel")
    assert world.conclusions(run) == {"a": "cancelled", "b": "cancelled", "c": "success"}
    assert statuses(world, fieldwork) == ["cancelled"]
