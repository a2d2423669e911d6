"""Nightly backups: what `flow init` is told of them, what it refuses, what it sets up at GitHub."""

import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyrage
import pytest

from flow import run_environments
from flow.errors import FlowError
from flow.onboarding import answers, backups, init, nightly, planning
from flow.onboarding.answers import Answers, Given
from flow.onboarding.hub import Hub
from flow.onboarding.planning import Access
from flow.project import Project
from sandbox.github.environments import secrets_of, variables_of
from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served
from tests.unit.github_hub import served as served

LOOK = backups.check_private
START = "GitHub: environment"
DEPLOYMENT = f"{ORGANIZATION}/deployment"
PUBLIC = str(pyrage.x25519.Identity.generate().to_public())
TOKENS = {
    "HCLOUD_TOKEN_PROD": "one",
    "HCLOUD_TOKEN_NONPROD": "two",
    "HCLOUD_TOKEN_DEMO": "three",
    **{f"PULUMI_CONFIG_PASSPHRASE_{each}": f"of {each}" for each in ("NONPROD", "PROD", "DEMO")},
}
BUCKET = {
    "BACKUP_BUCKET": "saved",
    "BACKUP_ENDPOINT": "https://fsn1.example.test",
    "BACKUP_REGION": "fsn1",
    "BACKUP_ACCESS_KEY_ID": "AKBACKUP",
    "BACKUP_SECRET_ACCESS_KEY": "hush",
}
BOTH = {**BUCKET, "FLOW_DUMP_RECIPIENT": PUBLIC}
"""What staging's backups take and production's."""
TICKET = (
    f"flow backup ticket prod | gh secret set BACKUP_TICKET --env flow-backup --repo {FULL_NAME}"
)
GIVEN = Given(
    repository=FULL_NAME,
    deployment=DEPLOYMENT,
    domain="a.test",
    email="ops@a.test",
    states={each: f"file:///state/{each}" for each in ("nonprod", "prod", "demo")},
)


def collect(said: Mapping[str, str], given: Given = GIVEN, ask: Any = None) -> Answers:
    environment = {**TOKENS, "GITHUB_TOKEN": "ghp_word", **said}
    return answers.collect(given, environment, ask, encrypted=())


# -- what it is told -------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"BACKUP_SECRET_ACCESS_KEY": ""}, "BACKUP_SECRET_ACCESS_KEY"),
        ({"BACKUP_ENDPOINT": "http://storage.example.test"}, "no https address"),
        ({"BACKUP_KEEP": "all"}, "BACKUP_KEEP is 'all'"),
        ({"FLOW_DUMP_RECIPIENT": "ssh-ed25519 AAAA"}, "FLOW_DUMP_RECIPIENT is no age key"),
    ],
)
def test_what_backups_cannot_be_made_with_is_refused(
    changed: Mapping[str, str], problem: str
) -> None:
    with pytest.raises(FlowError, match=problem) as raised:
        collect({**BUCKET, **changed})
    assert raised.value.remedy


def test_a_bucket_s_key_is_named_with_all_else_that_lacks() -> None:
    with pytest.raises(FlowError, match="HCLOUD_TOKEN_PROD, BACKUP_SECRET_ACCESS_KEY"):
        collect({**BUCKET, "BACKUP_SECRET_ACCESS_KEY": "", "HCLOUD_TOKEN_PROD": ""})


def test_the_private_key_in_place_of_the_public_one_is_not_shown() -> None:
    private = str(pyrage.x25519.Identity.generate())
    with pytest.raises(FlowError, match="no age key") as raised:
        collect({**BUCKET, "FLOW_DUMP_RECIPIENT": private})
    assert private not in f"{raised.value.problem} {raised.value.remedy}"


def test_a_person_is_asked_for_a_bucket_and_only_then_for_what_opens_it() -> None:
    asked: list[str] = []

    def answering(name: str) -> Callable[[str, str, bool], str]:
        def ask(question: str, default: str, secret: bool) -> str:
            asked.append(question)
            if "Private bucket" in question:
                return name or default
            if "for backups" in question and "key" in question:
                assert secret
                return "typed"
            return default

        return ask

    told = collect({}, ask=answering(""))
    assert told.backups is None
    assert not [each for each in asked if "bucket for backups" in each]
    told = collect({}, ask=answering("ours"))
    assert told.backups is not None
    assert (told.backups.place.bucket, told.backups.place.secret_key) == ("ours", "typed")


def test_the_key_of_productions_state_is_not_given_to_runs_of_staging() -> None:
    in_bucket = Given(**{**vars(GIVEN), "states": {**GIVEN.states, "prod": "s3://prod?region=r"}})
    keys = {"AWS_ACCESS_KEY_ID_PROD": "AKBACKUP", "AWS_SECRET_ACCESS_KEY_PROD": "hush"}
    with pytest.raises(FlowError, match="state of production") as raised:
        collect({**BUCKET, **keys}, in_bucket)
    assert "--one-state" in raised.value.remedy
    assert collect({**BUCKET, **keys, "AWS_ACCESS_KEY_ID_PROD": "other"}, in_bucket).backups


def test_what_opens_the_bucket_is_in_no_text_of_the_answers() -> None:
    told = collect(BUCKET)
    assert "AKBACKUP" not in repr(told)
    assert "hush" not in repr(told.backups)


# -- what it sets up -------------------------------------------------------------


class Storage:
    """A bucket `saved` on a loopback port; without a key it refuses all but `open_to`."""

    def __init__(self) -> None:
        self.open_to: set[str] = set()
        self.held: set[str] = set()
        self.asked: list[str] = []
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                allowed = self.headers.get("Authorization") or self.command in storage.open_to
                storage.asked.append(f"{self.command} {path}")
                if allowed and self.command == "PUT":
                    storage.held.add(path)
                if allowed and self.command == "DELETE":
                    storage.held.discard(path)
                content = b"<ListBucketResult/>" if self.command == "GET" else b""
                self.send_response(200 if allowed else 403)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_DELETE = _do  # noqa: N815 (the library's names)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def storage(team: "Team", monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """The bucket, which init then looks at."""
    monkeypatch.setattr(backups, "check_private", LOOK)
    made = Storage()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(5)


class Team:
    """Two repositories at a GitHub, and `flow init` for them."""

    def __init__(self, served: Served, folder: Path) -> None:
        self.served = served
        self._folder = folder
        self.environment = {"GITHUB_API_URL": f"{served.url}/api/v3"}

    def plan(
        self, said: Mapping[str, str], *, renew: bool = False, keep: bool = False
    ) -> init.Plan:
        """What is to do, with these variables."""
        told = collect({"GITHUB_TOKEN": self.served.tokens["maintainer"], **said})
        wishes = init.Wishes(renew=renew, keep_default=keep)
        here = Project(self._folder, self._folder)
        return init.plan(here, told, self.environment, "http://127.0.0.1:9", wishes)

    def done(self, said: Mapping[str, str], *, renew: bool = False) -> init.Plan:
        """It, once what nights are about is done."""
        made = self.plan(said, renew=renew)
        for each in made.steps:
            if each.what.startswith((f"{START} flow-nonprod:", f"{START} flow-backup:")):
                each.do()
        return made

    def variables(self, name: str) -> dict[str, str]:
        return variables_of(self.served.hub, FULL_NAME, name)

    def secrets(self, name: str) -> dict[str, str]:
        return secrets_of(self.served.hub, FULL_NAME, name)


@pytest.fixture
def team(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    organization = served.client().get_organization(ORGANIZATION)
    organization.create_repo("deployment", private=True, auto_init=True)
    made = served.repo.create_file("README.md", "first", "fieldwork", branch="development")
    served.repo.edit(default_branch="development")
    for branch in ("staging", "main"):
        refs = {each.ref for each in served.repo.get_git_refs()}
        if f"refs/heads/{branch}" not in refs:
            served.repo.create_git_ref(f"refs/heads/{branch}", made["commit"].sha)
    # Hetzner, the engine and, but for some tests, the bucket are others' matter.
    access = Access(dict.fromkeys(("prod", "nonprod", "demo"), ()), {}, {})
    monkeypatch.setattr(planning, "check", lambda *_: access)
    monkeypatch.setattr(planning, "stack_steps", lambda *_: ([], set()))
    monkeypatch.setattr(backups, "check_private", lambda *_: None)
    folder = tmp_path / "team"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: deployment-flow\nconfig: {}\n")
    return Team(served, folder)


def about(plan: init.Plan, name: str) -> str:
    """What is to do with an environment of runs; empty for nothing."""
    return "".join(each.what for each in plan.steps if each.what.startswith(f"{START} {name}: "))


def test_init_sets_the_nightly_backup_up_where_a_bucket_is_given(team: Team) -> None:
    plan = team.done({**BUCKET, "BACKUP_KEEP": "3,2,1"})
    found = team.variables("flow-nonprod")
    for name in ("BACKUP_BUCKET", "BACKUP_ENDPOINT", "BACKUP_REGION"):
        assert found[name] == BUCKET[name]
    assert found["BACKUP_KEEP"] == "3,2,1"
    secrets = team.secrets("flow-nonprod")
    assert (secrets["BACKUP_ACCESS_KEY_ID"], secrets["BACKUP_SECRET_ACCESS_KEY"]) == (
        "AKBACKUP",
        "hush",
    )
    assert secrets["HCLOUD_TOKEN"] == "two"
    for other in ("flow-prod", "flow-demo"):
        assert "HCLOUD_TOKEN" in about(plan, other)
        assert "BACKUP" not in about(plan, other)


def test_production_is_saved_from_an_environment_that_holds_the_bucket_and_nothing_else(
    team: Team,
) -> None:
    team.done(BOTH)
    path = f"/repos/{FULL_NAME}/environments/flow-backup"
    listed = team.served.raw.get(f"{path}/deployment-branch-policies").json()["branch_policies"]
    assert [(each["name"], each["type"]) for each in listed] == [("development", "branch")]
    assert run_environments.reviewers(team.served.raw.get(path).json()) == []
    assert set(team.secrets("flow-backup")) == {"BACKUP_ACCESS_KEY_ID", "BACKUP_SECRET_ACCESS_KEY"}
    assert team.variables("flow-backup") == {
        **{name: BUCKET[name] for name in ("BACKUP_BUCKET", "BACKUP_ENDPOINT")},
        "BACKUP_REGION": "fsn1",
        "FLOW_DUMP_RECIPIENT": PUBLIC,
    }


def test_the_public_key_is_productions_alone_so_that_staging_s_drills_need_no_private_one(
    team: Team,
) -> None:
    plan = team.done(BOTH)
    assert team.variables("flow-backup")["FLOW_DUMP_RECIPIENT"] == PUBLIC
    assert "FLOW_DUMP_RECIPIENT" not in team.variables("flow-nonprod")
    assert not any("drill" in each for each in plan.notes)


def test_without_a_public_key_nothing_is_made_for_production_and_that_is_said(team: Team) -> None:
    plan = team.done(BUCKET)
    assert about(plan, "flow-backup") == ""
    assert team.served.raw.get(f"/repos/{FULL_NAME}/environments/flow-backup").status_code == 404
    (note,) = [each for each in plan.notes if "production has no nightly backups" in each]
    assert "FLOW_DUMP_RECIPIENT" in note


def test_the_command_that_brings_the_ticket_is_told_until_it_is_there(team: Team) -> None:
    assert any(TICKET in each for each in team.done(BOTH).notes)
    team.served.repo.get_environment("flow-backup").create_secret("BACKUP_TICKET", "{}")
    assert not any(TICKET in each for each in team.plan(BOTH).notes)


def test_a_public_key_that_somebody_gave_staging_stays_and_a_drill_it_would_fail_is_told(
    team: Team,
) -> None:
    team.done(BUCKET)
    staging = team.served.repo.get_environment("flow-nonprod")
    staging.create_variable("FLOW_DUMP_RECIPIENT", "age1theirs")
    assert any("gh secret set FLOW_DUMP_IDENTITY" in each for each in team.done(BOTH).notes)
    assert team.variables("flow-nonprod")["FLOW_DUMP_RECIPIENT"] == "age1theirs"
    staging.create_secret("FLOW_DUMP_IDENTITY", "k")
    assert not any("FLOW_DUMP_IDENTITY" in each for each in team.plan(BOTH).notes)


def test_without_a_bucket_init_says_what_to_set_and_does_nothing_for_backups(team: Team) -> None:
    plan = team.done({"FLOW_DUMP_RECIPIENT": PUBLIC})
    assert not [each.what for each in plan.steps if "BACKUP" in each.what]
    assert about(plan, "flow-backup") == ""
    (note,) = [each for each in plan.notes if "no nightly backups" in each]
    assert "BACKUP_BUCKET" in note


def test_backups_that_are_set_up_are_not_missed_by_who_does_not_name_them_again(
    team: Team,
) -> None:
    team.done(BUCKET)
    plan = team.plan({})
    assert about(plan, "flow-nonprod") == ""
    assert not any("no nightly backups" in each for each in plan.notes)


def test_a_second_init_changes_nothing_and_renew_sets_the_secrets_again(team: Team) -> None:
    told = dict(BOTH)
    team.done(told)
    again = team.plan(told)
    assert about(again, "flow-nonprod") + about(again, "flow-backup") == ""
    told["BACKUP_SECRET_ACCESS_KEY"] = "newer"
    what = about(team.done(told, renew=True), "flow-backup")
    assert what.endswith(": secret BACKUP_ACCESS_KEY_ID, secret BACKUP_SECRET_ACCESS_KEY")
    for name in ("flow-nonprod", "flow-backup"):
        assert team.secrets(name)["BACKUP_SECRET_ACCESS_KEY"] == "newer"


def test_a_renewed_key_reaches_production_where_the_public_one_is_not_named_again(
    team: Team,
) -> None:
    team.done(BOTH)
    team.done({**BUCKET, "BACKUP_SECRET_ACCESS_KEY": "newer"}, renew=True)
    assert team.secrets("flow-backup")["BACKUP_SECRET_ACCESS_KEY"] == "newer"


def test_another_bucket_brings_its_key(team: Team) -> None:
    team.done(BUCKET)
    moved = {**BUCKET, "BACKUP_BUCKET": "elsewhere", "BACKUP_SECRET_ACCESS_KEY": "its own"}
    assert "secret BACKUP_SECRET_ACCESS_KEY" in about(team.done(moved), "flow-nonprod")
    assert team.secrets("flow-nonprod")["BACKUP_SECRET_ACCESS_KEY"] == "its own"


def test_what_is_to_do_names_the_bucket_and_shows_no_key(team: Team) -> None:
    plan = team.plan(BOTH)
    said = "\n".join([*(each.what for each in plan.steps), *plan.notes])
    assert "variable BACKUP_BUCKET = saved" in about(plan, "flow-backup")
    assert "secret BACKUP_SECRET_ACCESS_KEY" in about(plan, "flow-nonprod")
    assert "AKBACKUP" not in said
    assert "hush" not in said


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_bucket_that_anybody_gets_into_is_refused_before_anything_is_made(
    team: Team, storage: Storage, method: str
) -> None:
    storage.open_to = {method}
    with pytest.raises(FlowError, match="anybody can"):
        team.plan({**BUCKET, "BACKUP_ENDPOINT": storage.url})
    found = team.served.raw.get(f"/repos/{FULL_NAME}/environments").json()
    assert found["environments"] == []


def test_the_look_at_the_bucket_leaves_nothing_in_it(team: Team, storage: Storage) -> None:
    team.plan({**BOTH, "BACKUP_ENDPOINT": storage.url})
    assert any("/saved/deployment-flow/prod/" in each for each in storage.asked)
    assert storage.held == set()


def test_a_default_branch_that_is_kept_lets_no_nightly_run_in_and_that_is_said(
    team: Team,
) -> None:
    team.served.repo.edit(default_branch="main")
    plan = team.plan(BUCKET, keep=True)
    assert any("the default branch main" in each for each in plan.notes)


def test_what_init_has_set_up_is_well_for_the_doctor_once_the_ticket_is_there(team: Team) -> None:
    team.done(BOTH)
    team.served.repo.get_environment("flow-backup").create_secret("BACKUP_TICKET", "{}")
    token = team.served.tokens["maintainer"]
    with Hub(FULL_NAME, token, team.environment["GITHUB_API_URL"]) as hub:
        found = [*nightly.of_staging(hub), *nightly.of_prod(hub)]
    assert [(each.state, each.seen) for each in found] == [("ok", "every night, into saved")] * 2
