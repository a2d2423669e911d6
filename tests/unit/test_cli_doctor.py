"""`flow doctor`: every look is bounded, what is found says what mends it, no secret is printed."""

import base64
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flow import app, backends, caller
from flow.errors import FlowError
from flow.onboarding import checking, doctor, github_doctor, hetzner
from flow.onboarding.checking import Check, missing, ok, warning
from flow.onboarding.hub import STACKS, Hub
from flow.project import Project

COMMIT = "a" * 40
Answers = Mapping[str, Any]


@contextmanager
def served(answer: Callable[[str, str], tuple[int, Any]]) -> Iterator[str]:
    """An API on a loopback port: answer(method, path without its query) → status and body."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            status, body = answer(self.command, self.path.partition("?")[0])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _do  # noqa: N815 (the library's names)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def hub(answers: Answers) -> Iterator[Hub]:
    """A repository that has what `answers` says of its paths, and nothing else."""

    def answer(_method: str, path: str) -> tuple[int, Any]:
        inside = path.removeprefix("/repos/a/b")
        return (200, answers[inside]) if inside in answers else (404, {"message": "Not Found"})

    with served(answer) as url, Hub("a/b", "ghp_word", url) as made:
        yield made


# -- running ---------------------------------------------------------------------


def test_results_come_in_the_order_asked_however_long_each_took() -> None:
    first = threading.Event()

    def slow() -> list[Check]:
        first.wait(5)
        return [ok("slow", "")]

    def quick() -> list[Check]:
        first.set()
        return [ok("quick", "")]

    told: list[str] = []
    found = checking.run([("slow", slow), ("quick", quick)], told.append)
    assert [each.name for each in found] == ["slow", "quick"]
    assert sorted(told) == ["quick", "slow"]


def test_a_look_that_hangs_is_left_behind_and_counts_as_missing() -> None:
    never = threading.Event()

    def hang() -> list[Check]:
        never.wait(30)
        return []

    found = checking.run([("hangs", hang), ("other", lambda: [ok("other", "")])], len, seconds=0.2)
    never.set()
    assert [(each.name, each.state) for each in found] == [("hangs", "missing"), ("other", "ok")]
    assert "no answer" in found[0].seen


def test_an_error_is_a_finding_with_its_remedy_and_a_bug_s_words_are_not_shown() -> None:
    def refused() -> list[Check]:
        raise FlowError("no stack", "flow init")

    def broken() -> list[Check]:
        raise ValueError("token ghp_word")

    found = checking.run([("one", refused), ("two", broken)], len)
    assert found[0] == missing("one", "no stack", "flow init")
    assert found[1].state == "missing"
    assert "ValueError" in found[1].seen
    assert "ghp_word" not in str(found)


# -- Hetzner ---------------------------------------------------------------------


def cloud(key: tuple[int, str], stages: tuple[str, ...] = ()) -> Callable[[str, str], Any]:
    """What Hetzner's API answers: `key` to a new SSH key that is none."""

    def answer(method: str, path: str) -> tuple[int, Any]:
        if method == "POST":
            return key[0], {"error": {"code": key[1]}}
        servers = [{"labels": {"stage": each}} for each in stages]
        return 200, {"zones": [{"name": "a.test"}]} if path == "/zones" else {"servers": servers}

    return answer


@pytest.mark.parametrize(
    ("key", "valid", "writable"),
    [
        ((401, "unauthorized"), False, False),
        ((403, "token_readonly"), True, False),
        ((422, "invalid_input"), True, True),
        ((400, "invalid_input"), True, True),
    ],
)
def test_whether_a_token_may_write_is_asked_without_writing(
    key: tuple[int, str], valid: bool, writable: bool
) -> None:
    with served(cloud(key)) as url:
        found = hetzner.ask("word", url)
    assert (found.valid, found.writable) == (valid, writable)


@pytest.mark.parametrize(
    ("status", "mend"),
    [
        ("invalid", "have its registrar name one.ns.test, two.ns.test"),
        ("lame", "have its registrar name one.ns.test, two.ns.test"),
        ("unregistered", "register a.test, or look at its spelling"),
        ("unknown", ""),
        ("valid", ""),
    ],
)
def test_a_zone_that_nobody_is_sent_to_is_told_with_its_name_servers(
    status: str, mend: str
) -> None:
    servers = {"assigned": ["one.ns.test", "two.ns.test"], "delegation_status": status}
    zones = [{"name": "a.test", "authoritative_nameservers": servers}]

    def answer(method: str, path: str) -> tuple[int, Any]:
        if method == "POST":
            return 422, {"error": {"code": "invalid_input"}}
        return 200, {"zones": zones} if path == "/zones" else {"servers": []}

    with served(answer) as url:
        *_, found = doctor.token_checks("prod", "word", url, "a.test", "")
    assert (found.state, found.mend) == ("missing" if mend else "ok", mend)


def test_a_zone_that_takes_no_records_is_told() -> None:
    def answer(method: str, path: str) -> tuple[int, Any]:
        if method == "POST":
            return 422, {"error": {"code": "invalid_input"}}
        zones = [{"name": "a.test", "mode": "secondary"}, {"name": "b.test", "mode": "primary"}]
        return 200, {"zones": zones} if path == "/zones" else {"servers": []}

    with served(answer) as url:
        *_, copy = doctor.token_checks("prod", "word", url, "a.test", "")
        *_, own = doctor.token_checks("prod", "word", url, "b.test", "")
    assert (copy.state, own.state) == ("missing", "ok")
    assert "secondary" in copy.seen


def test_a_token_of_another_stages_project_is_told() -> None:
    with served(cloud((422, "invalid_input"), ("prod", "dev"))) as url:
        prod = doctor.token_checks("prod", "word", url, "a.test", "")
        dev = doctor.token_checks("dev", "word", url, "b.test", "")
    assert [(each.name, each.state) for each in prod] == [
        ("prod: Hetzner token", "ok"),
        ("prod: project", "warning"),
        ("prod: zone", "ok"),
    ]
    assert "servers of dev" in prod[1].seen
    assert dev[-1].state == "missing"
    assert "zone b.test is not in its project" in dev[-1].seen


def test_an_api_that_does_not_answer_is_an_error_without_the_token() -> None:
    with pytest.raises(FlowError, match="cannot be asked") as raised:
        hetzner.ask("s3cret", "http://127.0.0.1:9/v1")
    assert "s3cret" not in str(raised.value)


# -- the state -------------------------------------------------------------------


class FakeStacks:
    """The engine's answers: settings by stack, or an error."""

    def __init__(self, settings: Mapping[str, Mapping[str, str] | FlowError]) -> None:
        self._settings = settings

    def names(self, groups: Iterable[str] = backends.GROUPS) -> list[str]:
        return [each for each in self._settings if backends.group_of(each) in groups]

    def settings(self, stack: str) -> Mapping[str, str]:
        found = self._settings[stack]
        if isinstance(found, FlowError):
            raise found
        return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., doctor.Here]:
    """A project with the given stacks; the environment is what is given."""
    (tmp_path / "Pulumi.yaml").write_text("name: deployment-flow\nconfig: {zone: {default: ''}}\n")

    def make(stacks: Mapping[str, Any], **environment: str) -> doctor.Here:
        fake = FakeStacks(stacks)
        monkeypatch.setattr(Project, "stacks", property(lambda _: fake))
        return doctor.Here(Project(tmp_path, tmp_path), environment)

    return make


def test_a_stack_that_is_not_there_is_made_by_init(here: Callable[..., doctor.Here]) -> None:
    (found,) = doctor.stack_checks(here({}), "dev")
    assert (found.state, found.mend) == ("missing", "flow init")


def test_a_wrong_passphrase_is_named(here: Callable[..., doctor.Here]) -> None:
    wrong = FlowError("the settings of dev cannot be read: incorrect passphrase")
    (found,) = doctor.stack_checks(here({"dev": wrong}), "dev")
    assert "passphrase is not this stack's" in found.seen


def test_values_of_the_template_are_nobodys_own(here: Callable[..., doctor.Here]) -> None:
    settings = {
        "deployment-flow:images": "ghcr.io/example-org/fieldwork",
        "deployment-flow:zone": "example.org",
    }
    found = doctor.stack_checks(here({"dev": settings}), "dev")
    lacking = {each.name for each in found if each.state == "missing"}
    assert lacking == {"stack dev: images", "stack dev: zone", "stack dev: Hetzner token"}


def test_a_state_without_a_passphrase_is_as_good_as_plain(
    here: Callable[..., doctor.Here],
) -> None:
    bare = doctor.backend(here({}, PULUMI_BACKEND_URL="s3://bucket"))
    assert [each.state for each in bare] == ["ok", "missing"]
    given = here({}, PULUMI_BACKEND_URL="s3://bucket?x=y", PULUMI_CONFIG_PASSPHRASE="word")
    assert [each.state for each in doctor.backend(given)] == ["ok", "ok"]
    assert "word" not in str(doctor.backend(given))


def test_a_bucket_that_cannot_be_asked_for_want_of_a_region_is_told_so(
    here: Callable[..., doctor.Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> list[str]:
        raise FlowError("endpoint rule error, Invalid region")

    lacking = here({}, PULUMI_BACKEND_URL="s3://ours?endpoint=x")
    monkeypatch.setattr(type(lacking), "names", refused)
    (found,) = doctor.backend(lacking)
    assert (found.state, found.mend) == (
        "missing",
        "s3://ours?endpoint=x&region=…, as fsn1 at Hetzner",
    )
    with pytest.raises(FlowError):
        doctor.backend(here({}, PULUMI_BACKEND_URL="s3://ours?region=x"))


def test_runs_are_told_of_a_bucket_with_its_region() -> None:
    answers = dict(environment((), ("v*",)))
    path = "/environments/flow-prod/variables"
    answers[path] = {"variables": [{"name": "PULUMI_BACKEND_URL", "value": "s3://b?endpoint=x"}]}
    with hub(answers) as asked:
        found = github_doctor.environment_checks(asked, "flow-prod", configured=False)
    assert [each for each in found if "names no region" in each.seen]


def test_one_token_for_two_projects_is_missing_a_project(
    here: Callable[..., doctor.Here],
) -> None:
    same = {stage: {"hcloud:token": "s3cret"} for stage in ("dev", "staging", "prod")}
    found = doctor.projects(here(same))
    assert {each.state for each in found} == {"missing"}
    assert "s3cret" not in str(found)
    apart = {**same, "prod": {"hcloud:token": "other"}}
    assert [each.state for each in doctor.projects(here(apart))] == ["ok"]


# -- GitHub ----------------------------------------------------------------------


def environment(secrets: tuple[str, ...], policies: tuple[str, ...], rules: Any = ()) -> Answers:
    path = "/environments/flow-prod"
    return {
        "": {"default_branch": "development"},
        path: {"name": "flow-prod", "protection_rules": list(rules)},
        f"{path}/secrets": {"secrets": [{"name": each} for each in secrets]},
        f"{path}/variables": {
            "variables": [{"name": "PULUMI_BACKEND_URL", "value": "s3://b?region=r"}]
        },
        f"{path}/deployment-branch-policies": {
            "branch_policies": [{"name": each} for each in policies]
        },
    }


def test_what_a_run_would_miss_in_its_environment_is_named() -> None:
    with hub(environment(("HCLOUD_TOKEN",), ("main",))) as asked:
        found = github_doctor.environment_checks(asked, "flow-prod", configured=True)
    told = " / ".join(each.seen for each in found)
    for each in ("PULUMI_CONFIG_PASSPHRASE", "FLOW_GITHUB_TOKEN", "STATE_ACCESS_KEY_ID"):
        assert each in told
    assert "does not admit v*" in told
    assert "admits main, too" in told
    assert "has no reviewers" in told


def test_an_environment_that_has_all_is_ok() -> None:
    secrets = ("HCLOUD_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "STATE_ACCESS_KEY_ID")
    asks = {"type": "required_reviewers", "reviewers": [{"reviewer": {"login": "ada"}}]}
    whole = environment((*secrets, "STATE_SECRET_ACCESS_KEY"), ("v*",), [asks])
    with hub(whole) as asked:
        (found,) = github_doctor.environment_checks(asked, "flow-prod", configured=False)
    assert found.state == "ok"


def workflow(state: str, ahead: int, repository: str = "a/b") -> Answers:
    text = caller.render(repository, COMMIT)
    return {
        "": {"default_branch": "development", "html_url": "https://x.test/a/b"},
        f"/contents/{caller.FILE}": {"content": base64.b64encode(text.encode()).decode()},
        "/actions/workflows": {
            "workflows": [{"path": caller.FILE, "state": state, "name": "deployment"}]
        },
        f"/compare/{COMMIT}...development": {"ahead_by": ahead},
    }


def test_a_workflow_that_github_switched_off_and_an_old_pin_are_warnings() -> None:
    with hub(workflow("disabled_inactivity", 3)) as asked:
        found = github_doctor.workflow(asked)
    assert [each.state for each in found] == ["ok", "warning", "warning"]
    assert "disabled_inactivity" in found[1].seen
    assert "3 newer commits" in found[2].seen
    with hub(workflow("active", 0)) as asked:
        assert {each.state for each in github_doctor.workflow(asked)} == {"ok"}


def test_without_the_file_on_the_default_branch_nothing_runs() -> None:
    with hub({"": {"default_branch": "main"}}) as asked:
        (found,) = github_doctor.workflow(asked)
    assert found.state == "missing"
    assert "default branch main" in found.seen


def test_no_token_and_no_repository_say_what_to_export() -> None:
    for name, wanted in (("", "GITHUB_REPOSITORY"), ("a/b", "GITHUB_TOKEN")):
        ((_, look),) = github_doctor.looks(name, False, {})
        (found,) = look()
        assert found.state == "missing"
        assert wanted in found.mend


def test_what_a_token_lacks_is_named_and_a_stack_s_needs_less() -> None:
    def answer(method: str, path: str) -> tuple[int, Any]:
        if path == "/repos/a/b":
            return 200, {"permissions": {"admin": True}}
        allowed = method == "GET" or path.endswith("environments/deployment-flow-may-i")
        return (404 if allowed else 403), {}

    with served(answer) as url, Hub("a/b", "github_pat_x", url) as asked:
        assert asked.lacking(STACKS) == ["Environments: read and write"]
        assert asked.lacking() == [
            f"{each}: read and write"
            for each in ("Contents", "Environments", "Issues", "Pull requests")
        ]


def test_a_token_that_github_does_not_know_is_told_once() -> None:
    with served(lambda *_: (401, {"message": "Bad credentials"})) as url:
        environment = {"GITHUB_TOKEN": "ghp_word", "GITHUB_API_URL": url}
        found = checking.run(github_doctor.looks("a/b", False, environment), len)
    assert [each.name for each in found] == ["GitHub: token"]
    assert "does not know the token" in found[0].seen
    assert "ghp_word" not in str(found)


def test_a_state_that_cannot_be_read_is_told_once_with_its_reason(
    here: Callable[..., doctor.Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = here({}, HCLOUD_TOKEN="")
    asked: list[int] = []

    def names(_self: FakeStacks, _groups: Iterable[str] = ()) -> list[str]:
        asked.append(1)
        raise FlowError("no such bucket", "set PULUMI_BACKEND_URL")

    monkeypatch.setattr(FakeStacks, "names", names)
    parts = [each for each in doctor.looks(shell) if each[0] != "engine"]
    found = checking.run(parts, len)
    assert [each.seen for each in found if each.mend.startswith("set ")] == ["no such bucket"]
    assert {each.seen for each in found if each.name.startswith("stack ")} == {
        "not looked at: the state cannot be read"
    }
    assert len(asked) == 1


# -- the command -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "code"),
    [([ok("a", "b")], 0), ([warning("a", "b", "c")], 0), ([missing("a", "b", "c")], 1)],
)
def test_the_exit_code_tells_whether_something_is_missing(
    found: list[Check],
    code: int,
    here: Callable[..., doctor.Here],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = here({}).project
    monkeypatch.setattr("flow.project.find", lambda: project)
    monkeypatch.setattr(checking, "run", lambda *_: found)
    assert app.run(["doctor", "--json"]) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed["checks"] == [each.output() for each in found]
    assert app.run(["doctor"]) == code
    assert ("next:" in capsys.readouterr().out) == bool(found[0].mend)
