"""From a branch to what the agent is handed, and back to a server as it was."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from components import bundle, environment
from feature_demo import before as snapshots
from feature_demo import demo as demos
from feature_demo import packet_rules, release, wishes
from feature_demo.before import Before
from feature_demo.demo import USER, Demo
from feature_demo.pins import Pinner, Pins
from feature_demo.sources import Fetcher, Source, git_environment
from feature_demo.words import DemoError, here
from remote.server.agent import policy
from remote.server.agent.commands import Commands, Ended
from remote.server.agent.machine import Machine
from remote.server.agent.releases import check_request

DIGEST = "sha256:" + "a" * 64
ID = "sha256:" + "b" * 64
COMPOSE = """
services:
  web:
    image: ${IMAGES}/web:${VERSION}
    build: .
    environment: {TOKEN: "${TOKEN}"}
    labels: {deployment-flow.http: "8000", deployment-flow.health: /healthz}
  job:
    image: ${IMAGES}/web:${VERSION}
    build: .
    labels: {deployment-flow.job: "true"}
  db: {image: "postgres:17"}
"""
DEMO = Demo("/srv/app", "feature-demo/map", "map.example.org", password="open",
            settings={"TOKEN": "canary-secret"})  # fmt: skip


@dataclass
class Docker(Commands):
    """Answers as Docker does, and remembers what it was asked."""

    labels: Mapping[str, str] = field(default_factory=dict)
    failing: str = "nothing"
    ran: list[str] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)

    def run(
        self,
        arguments: Sequence[str],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
        line_limit: int = 0,
        cancelled: Event | None = None,
    ) -> Ended:
        line = " ".join(arguments)
        self.ran.append(line)
        if stdin:
            self.given.append((json.loads(stdin), dict(environment or {})))
        if self.failing in line:
            return Ended(1, ("denied: canary-secret",))
        if "RepoDigests" in line:
            name = arguments[-1].rpartition(":")[0]
            return Ended(0, (f"elsewhere/x@sha256:{'c' * 64} {name}@{DIGEST}",))
        if ".Config.Labels" in line:
            return Ended(0, ("=" + next((v for k, v in self.labels.items() if k in line), ""),))
        return Ended(0, (ID,))


def pinned(demo: Demo, docker: Docker, tmp_path: Path, commit: str = "f" * 40) -> Pins:
    source = Source(tmp_path, commit, commit[:12])
    return Pinner(Machine(tmp_path), docker, demo, print).pin(bundle.load(COMPOSE), source)


def test_what_is_built_here_is_built_once_and_pinned_by_its_id(tmp_path: Path) -> None:
    docker = Docker()
    pins = pinned(DEMO, docker, tmp_path)
    assert pins.images == {"web": ID, "job": ID, "db": f"postgres@{DIGEST}"}
    assert (pins.version, pins.revision, pins.prefix) == ("f" * 12, "f" * 40, "feature-demo")
    ((told, environment_given),) = docker.given
    assert told == {"services": {"job": {"image": "${IMAGES}/web:${VERSION}", "build": "."}}}
    assert environment_given["VERSION"] == "f" * 12
    assert [line for line in docker.ran if "docker pull" in line] == [
        "docker pull --quiet postgres:17"
    ]
    assert "canary-secret" not in " ".join(docker.ran)


def test_what_is_pulled_is_pinned_by_the_digest_of_its_own_name(tmp_path: Path) -> None:
    docker = Docker(labels={"image.version": "1.2.0", "image.revision": "e" * 40})
    demo = replace(DEMO, images="ghcr.io/team/app")
    pins = pinned(demo, docker, tmp_path)
    assert pins.images["web"] == f"ghcr.io/team/app/web@{DIGEST}"
    assert (pins.version, pins.revision) == ("1.2.0", "e" * 40)
    assert "docker pull --quiet ghcr.io/team/app/web:feature-demo-map" in docker.ran
    assert not any("build" in line for line in docker.ran)


@pytest.mark.parametrize("part", ["compose", "pull"])
def test_a_build_or_pull_that_fails_says_so_without_a_secret(tmp_path: Path, part: str) -> None:
    with pytest.raises(DemoError, match="could not be") as error:
        pinned(DEMO, Docker(failing=part), tmp_path)
    assert part == "pull" or "canary-secret" not in str(error.value)


def test_the_agent_takes_what_it_is_handed() -> None:
    compose = bundle.load(COMPOSE)
    pins = Pins("1", "f" * 40, "feature-demo", {"web": ID, "job": ID, "db": f"postgres@{DIGEST}"})
    request = {"protocol": 1, **release.request(DEMO, compose, pins)}
    check_request(request)
    files = request["bundle"]["files"]
    assert policy.refusals(json.loads(files["compose.yaml"])) == []
    assert 'X-Robots-Tag "noindex' in files["Caddyfile"]
    assert f"{USER} @PASSWORD_HASH@" in files["Caddyfile"]
    # Settings are secrets: in no file of the release that is not.
    assert "canary-secret" not in json.dumps(request["bundle"])
    assert request["secrets"] == {"TOKEN": "canary-secret"}
    open_one = release.request(replace(DEMO, public=True), compose, pins)
    assert open_one["auth"] is None
    assert "basicauth" not in open_one["bundle"]["files"]["Caddyfile"]


def test_an_image_that_is_neither_pinned_nor_built_here_is_refused_by_the_agent() -> None:
    for image in ("web:1", "web", "sha256:" + "b" * 63, "feature-demo/web:abc", "a@b@" + ID):
        assert policy.refusals({"services": {"web": {"image": image}}}), image


def test_a_file_that_is_mounted_read_only_is_handed_over(tmp_path: Path) -> None:
    mounted = COMPOSE.replace(
        '"postgres:17"', '"postgres:17", volumes: ["./init.sql:/init.sql:ro"]'
    )
    (tmp_path / "compose.yaml").write_text(mounted)
    (tmp_path / "init.sql").write_text("SELECT 1")
    compose = release.compose_of(DEMO, Source(tmp_path, "", "1"))
    assert compose["configs"] == {"db-init.sql": {"content": "SELECT 1"}}


def test_every_mistake_of_the_compose_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE.replace("  db: {", "  db: {privileged: true, "))
    demo = replace(DEMO, settings={"DOCKER_HOST": "x"})
    with pytest.raises(DemoError) as error:
        release.compose_of(demo, Source(tmp_path, "", "1"))
    assert "services.db.privileged" in str(error.value)
    assert "DOCKER_HOST" in str(error.value)
    missing = replace(DEMO, settings={})
    with pytest.raises(DemoError, match="the variable TOKEN has no value"):
        release.request(missing, bundle.load(COMPOSE), Pins("1", "", "x", {
            "web": ID, "job": ID, "db": ID}))  # fmt: skip


def test_a_name_of_the_address_is_the_one_a_stacks_demo_gets() -> None:
    for branch, label in (("feature-demo/map", "map"), ("feature-demo/staging", None)):
        found = wishes.address_name(branch, ["2001:db8::1", "203.0.113.7"], "sslip.io")
        label = label or environment_label(branch)
        assert found == environment.address_name(label, "sslip.io", "203.0.113.7", "2001:db8::1")
    # A stage shown as a demo does not go by the stage's name.
    staging = wishes.address_name("staging", ["203.0.113.7"], "example.org")
    assert staging is not None
    assert not staging.startswith("staging.")
    assert USER == environment.AUTH_USER


def environment_label(branch: str) -> str:
    from components import naming

    return naming.host_label(naming.stack_of_branch(branch))


def test_a_branch_is_fetched_and_followed(tmp_path: Path) -> None:
    origin, machine = tmp_path / "origin", Machine(tmp_path / "server")
    machine.state.mkdir(parents=True)

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(origin), "-c", "user.name=T", "-c", "user.email=t@t", *words],
            check=True, capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)},
        ).stdout.strip()  # fmt: skip

    origin.mkdir()
    git("init", "--quiet", "--initial-branch=feature-demo/map")
    (origin / "app").mkdir()
    (origin / "app/compose.yaml").write_text("services: {}")
    git("add", "--all")
    git("commit", "-qm", "one")
    demo = Demo(f"file://{origin}", "feature-demo/map", "x.y", folder="app")
    fetcher = Fetcher(machine, Commands(), print)
    first = fetcher.fetch(demo)
    assert (first.commit, first.version) == (git("rev-parse", "HEAD"), first.commit[:12])
    # What a build left there does not reach the next one, and a rewritten branch is followed.
    (first.folder / "left").touch()
    git("commit", "--amend", "--allow-empty", "-qm", "two")
    second = fetcher.fetch(demo)
    assert second.commit == git("rev-parse", "HEAD") != first.commit
    assert not (second.folder / "left").exists()
    for wrong in ("nowhere", "../../.."):
        with pytest.raises(DemoError, match="has no"):
            fetcher.fetch(replace(demo, folder=wrong))
    with pytest.raises(DemoError, match="git fetch"):
        fetcher.fetch(replace(demo, branch="gone"))


def test_a_git_token_goes_to_its_own_url_only() -> None:
    demo = Demo("https://git.example.org/a.git", "b", "c.d", git_token="hush")
    told = git_environment(demo)
    assert told["GIT_CONFIG_KEY_0"] == "http.https://git.example.org/a.git.extraHeader"
    assert "hush" not in json.dumps(dict(told))  # encoded
    assert git_environment(Demo("https://x/a.git", "b", "c.d"))["GIT_CONFIG_COUNT"] == "0"


def test_a_demo_is_kept_for_root_only_and_read_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert demos.load(machine) is None
    machine.state.mkdir(parents=True)
    snapshots.save(machine, Before([], [], [], {}, {}, {}, {}))
    demos.save(machine, DEMO)
    assert demos.load(machine) == DEMO
    for path in demos.kept_folder(machine).iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_what_came_is_what_is_there_now_and_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Before(["a"], ["root"], ["root"], {}, {}, {}, {})
    there = ["a", "docker.io", "caddy"]
    monkeypatch.setattr(snapshots, "packages", lambda: list(there))
    monkeypatch.setattr(snapshots, "users", lambda: ["root", "caddy"])
    monkeypatch.setattr(snapshots, "groups", lambda: ["root", "docker"])
    snapshots.count(before, snapshots.names())
    assert before.added == {
        "packages": ["caddy", "docker.io"], "users": ["caddy"], "groups": ["docker"],
    }  # fmt: skip
    # What a person installs afterwards is theirs.
    before.is_whole = True
    there.append("vim")
    start = snapshots.names()
    there.append("git")
    snapshots.count(before, {kind: list(found) for kind, found in start.items()})
    assert before.added["packages"] == ["caddy", "docker.io", "git"]


def test_a_file_goes_back_to_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("one")
    file.chmod(0o640)
    kept = snapshots._contents(file)
    file.write_text("two")
    file.chmod(0o600)
    snapshots.restore(file, kept)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("one", 0o640)
    snapshots.restore(file, None)
    assert not file.exists()


def test_dockers_rules_go_and_those_of_others_stay() -> None:
    saved = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER_OUTPUT - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i br-0123456789ab -j ACCEPT
-A FORWARD -i br-lan -j ACCEPT
-A INPUT -p tcp --dport 2376 -j ACCEPT
COMMIT""".splitlines()
    assert packet_rules.without_docker(saved) == [
        "*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":DOCKER_OUTPUT - [0:0]",
        "-A FORWARD -i br-lan -j ACCEPT", "-A INPUT -p tcp --dport 2376 -j ACCEPT", "COMMIT",
    ]  # fmt: skip


def test_only_empty_tables_of_iptables_are_removed() -> None:
    tables = [("ip", "nat"), ("ip", "filter"), ("inet", "filter"), ("ip", "mine")]
    parts: list[Any] = [{"table": {"family": f, "name": n}} for f, n in tables]
    parts.append({"rule": {"family": "ip", "table": "filter"}})
    assert packet_rules.empty_tables({"nftables": parts}) == [("ip", "nat")]


def test_a_remedy_names_the_command_of_this_server() -> None:
    assert here("run `pulumi up` again") == "run `feature-demo.sh update` again"
    assert "pulumi" not in here("run `pulumi up` of the whole stack: it makes one")
