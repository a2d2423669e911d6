"""Forks: their own history, and pull requests that come from them."""

from typing import Any, cast

from sandbox.github.actions.intake import Intake
from sandbox.github.hub import Event
from tests.unit.github_commits import push
from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


def test_a_forks_pull_request_brings_its_commits(served: Served) -> None:
    served.repo.edit(private=False)
    push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    outsider = served.client("outsider")
    fork = outsider.get_repo(FULL_NAME).create_fork()
    assert (fork.full_name, fork.fork, fork.owner.login) == ("outsider/fieldwork", True, "outsider")
    assert outsider.get_repo(FULL_NAME).create_fork().id == fork.id
    assert [found.id for found in served.repo.get_forks()] == [fork.id]
    sha = push(served, "idea", who="outsider", full_name=fork.full_name)
    served.told()
    upstream = outsider.get_repo(FULL_NAME)
    pull = upstream.create_pull(base="main", head="outsider:idea", title="An idea", body="")
    assert pull.author_association == "NONE"
    (event,) = served.events
    told = event.payload["pull_request"]
    assert (event.repository, event.actor) == (FULL_NAME, "outsider")
    assert told["head"]["repo"]["full_name"] == "outsider/fieldwork"
    assert told["head"]["repo"]["fork"] is True
    git = served.hub.git(served.hub.repository("example-org", "fieldwork"))
    assert git.resolve("refs/pull/1/head") == sha
    assert event.sha == git.resolve("refs/pull/1/merge")
    # The fork moves, and upstream hears of it.
    served.told()
    second = push(served, "idea", message="Better", who="outsider", full_name=fork.full_name)
    assert [(e.repository, e.name, e.action) for e in served.events] == [
        ("outsider/fieldwork", "push", ""),
        (FULL_NAME, "pull_request", "synchronize"),
    ]
    assert git.resolve("refs/pull/1/head") == second
    # Not the outsider merges it.
    refused(403, upstream.get_pull(1).merge)
    served.repo.get_pull(1).merge()
    assert git.commit("main").message.startswith("Merge pull request #1 from outsider/idea")
    assert second in git.run("rev-list", "main")


def test_an_outsider_opens_no_pull_request_of_a_branch_that_is_not_theirs(served: Served) -> None:
    served.repo.edit(private=False)
    push(served, "main", who="maintainer")
    push(served, "feature")
    upstream = served.client("outsider").get_repo(FULL_NAME)
    refused(403, upstream.create_pull, base="main", head="feature", title="t", body="")
    refused(422, upstream.create_pull, base="main", head="nobody:feature", title="t", body="")


def test_its_branch_is_updated_in_the_fork(served: Served) -> None:
    served.repo.edit(private=False)
    push(served, "main", {"a.txt": "one\n"}, who="maintainer")
    outsider = served.client("outsider")
    fork = outsider.get_repo(FULL_NAME).create_fork()
    push(served, "idea", who="outsider", full_name=fork.full_name)
    upstream = outsider.get_repo(FULL_NAME)
    upstream.create_pull(base="main", head="outsider:idea", title="An idea", body="")
    base = push(served, "main", message="Meanwhile", who="maintainer")
    pull = served.repo.get_pull(1)
    assert pull.update_branch(pull.head.sha)
    git = served.hub.git(served.hub.repository("outsider", "fieldwork"))
    tip = git.resolve("refs/heads/idea")
    assert tip == served.repo.get_pull(1).head.sha
    assert git.is_ancestor(base, str(tip))


def runs_of(served: Served, event: Event) -> list[str]:
    """The files an event starts runs of, as `event path`."""
    made = Intake(served.hub, cast("Any", None)).take(event)
    return [f"{run['event']} {run['path']}" for run in made]


def test_a_forks_workflows_run_only_once_they_are_switched_on(served: Served) -> None:
    served.repo.edit(private=False)
    file = {".github/workflows/ci.yml": "on: push\njobs: {a: {runs-on: x, steps: [{run: a}]}}\n"}
    push(served, "main", file, who="maintainer")
    outsider = served.client("outsider")
    fork = outsider.get_repo(FULL_NAME).create_fork()
    path = f"/repos/{fork.full_name}/actions/permissions"
    owner = served.http("outsider")
    assert owner.get(path).json()["enabled"] is False
    assert served.raw.get(f"/repos/{FULL_NAME}/actions/permissions").json()["enabled"] is True
    served.told()
    push(served, "main", message="Mine", who="outsider", full_name=fork.full_name)
    (event,) = served.events
    assert runs_of(served, event) == []
    assert owner.put(path, json={"enabled": True}).status_code == 204
    assert runs_of(served, event) == ["push .github/workflows/ci.yml"]


def test_what_runs_with_rights_for_a_forks_pull_request_is_not_the_forks_file(
    served: Served,
) -> None:
    served.repo.edit(private=False)
    job = "jobs: {a: {runs-on: x, steps: [{run: a}]}}\n"
    push(
        served, "main", {".github/workflows/t.yml": f"on: pull_request_target\n{job}"},
        who="maintainer",
    )  # fmt: skip
    main = served.hub.git(served.hub.repository("example-org", "fieldwork")).resolve("main")
    fork = served.client("outsider").get_repo(FULL_NAME).create_fork()
    evil = {".github/workflows/t.yml": f"on: [pull_request_target, pull_request]\n{job}"}
    push(served, "idea", evil, who="outsider", full_name=fork.full_name)
    served.told()
    upstream = served.client("outsider").get_repo(FULL_NAME)
    upstream.create_pull(base="main", head="outsider:idea", title="An idea", body="")
    (event,) = served.events
    made = Intake(served.hub, cast("Any", None)).take(event)
    assert [(run["event"], run["trusted"]) for run in made] == [
        ("pull_request", False),
        ("pull_request_target", True),
    ]
    assert made[0]["sha"] == event.sha
    assert (made[1]["sha"], made[1]["ref"]) == (main, "refs/heads/main")
