"""`flow init` as values: what it is told, what it writes, what it would replace, what it shows."""

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flow.backends import GROUPS
from flow.commands import init as command
from flow.errors import FlowError
from flow.onboarding import answers, bug_form, files, init, planning
from flow.onboarding.answers import Answers, Given
from flow.onboarding.checkout import Checkout
from flow.onboarding.planning import Access, Step
from flow.project import Project

SPACE = "deployment-flow"
ROOT = Path(__file__).resolve().parents[2]
TOKENS = {
    "HCLOUD_TOKEN_PROD": "one",
    "HCLOUD_TOKEN_NONPROD": "two",
    "HCLOUD_TOKEN_DEMO": "three",
    "GITHUB_TOKEN": "ghp_four",
}
GIVEN = Given(
    repository="ada/app",
    deployment="ada/deployment",
    domain="a.test",
    email="ops@a.test",
    states={each: f"file:///state/{each}" for each in ("nonprod", "prod", "demo")},
)


def collect(
    given_: Given = GIVEN, ask: Any = None, encrypted: Collection[str] = (), **more: str
) -> Answers:
    return answers.collect(given_, {**TOKENS, **more}, ask, encrypted=encrypted)


# -- what it is told -------------------------------------------------------------


def test_all_that_is_not_given_is_named_at_once_where_nobody_can_be_asked() -> None:
    with pytest.raises(FlowError) as raised:
        answers.collect(Given(), {}, None, encrypted=GROUPS)
    for each in ("--repository", "--domain", "--state", *TOKENS, "PULUMI_CONFIG_PASSPHRASE_PROD"):
        assert each in raised.value.problem
    assert raised.value.code == 2


def test_what_has_a_sensible_value_is_not_asked_of_a_script() -> None:
    told = collect()
    assert told.images == "ghcr.io/ada/app"
    assert told.compose_file == "compose.yaml"
    made = {each.passphrase for each in told.states.values() if each.is_new}
    assert len(made) == 3, "each group has one of its own"
    assert all(len(each) >= 40 for each in made)
    assert not any(each in repr(told) for each in made)
    assert "ghp_four" not in repr(told)


def test_what_the_settings_say_already_stays_and_the_template_s_words_do_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: deployment-flow\nconfig: {images: {default: r.test/ours}}\n"
    )
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config: {deployment-flow:acmeEmail: ops@example.org}\n"
    )
    known = init.known(Project(tmp_path, tmp_path))
    assert known == Given(images="r.test/ours")
    told = answers.collect(GIVEN, TOKENS, None, encrypted=(), known=known)
    assert (told.images, told.email) == ("r.test/ours", "ops@a.test")


def test_a_person_is_asked_for_what_lacks_and_secrets_are_asked_as_such() -> None:
    asked: dict[str, bool] = {}

    def ask(question: str, default: str, secret: bool) -> str:
        asked[question] = secret
        if "assphrase" in question:
            return ""
        return "typed" if secret else default or "robot"

    told = answers.collect(GIVEN, {"GITHUB_TOKEN": "ghp_four"}, ask, encrypted=())
    assert sum(each.is_new for each in told.states.values()) == 3
    assert told.secrets["prod"] == "typed"
    assert told.secrets["github"] == "ghp_four"
    assert all(secret for question, secret in asked.items() if "oken" in question)
    assert not any("GitHub token that sets" in question for question in asked)
    assert told.reviewers == ()


def test_a_bucket_s_keys_are_wanted_where_the_state_is_in_one() -> None:
    bucket = Given(
        **{**vars(GIVEN), "states": {**GIVEN.states, "demo": "s3://bucket?endpoint=x&region=r"}}
    )
    # What opens another group's state is not taken for the demos'.
    with pytest.raises(FlowError, match="AWS_ACCESS_KEY_ID_DEMO"):
        collect(bucket, AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="word")
    told = collect(bucket, AWS_ACCESS_KEY_ID_DEMO="key", AWS_SECRET_ACCESS_KEY_DEMO="word")
    wanted = planning.contents(told, Access({}, {}, {}), "flow-demo", "")
    assert wanted.secrets["STATE_SECRET_ACCESS_KEY"] == "word"
    assert wanted.secrets["HCLOUD_TOKEN"] == "three"


def test_stacks_that_are_encrypted_keep_their_passphrase(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"PASSPHRASE_PROD \(stacks are encrypted already"):
        collect(encrypted=("nonprod", "prod"), PULUMI_CONFIG_PASSPHRASE="of dev and staging")
    file = tmp_path / "passphrase"
    file.write_text("long and secret\n")
    told = collect(
        encrypted=("nonprod", "prod"),
        PULUMI_CONFIG_PASSPHRASE="of dev and staging",
        PULUMI_CONFIG_PASSPHRASE_FILE_PROD=str(file),
    )
    known = {group: state.passphrase for group, state in told.states.items()}
    assert (known["nonprod"], known["prod"]) == ("of dev and staging", "long and secret")
    assert [group for group, state in told.states.items() if state.is_new] == ["demo"]


def test_what_would_open_two_groups_states_is_refused_unless_one_is_asked_for() -> None:
    one = "s3://bucket?endpoint=x&region=r"
    together = Given(
        **{
            **vars(GIVEN),
            "states": {"nonprod": one, "prod": "s3://bucket/?region=r", "demo": "s3://x?region=r"},
        }
    )
    same = {
        f"{name}_{group}": "same"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "PULUMI_CONFIG_PASSPHRASE")
        for group in ("NONPROD", "PROD", "DEMO")
    }
    with pytest.raises(FlowError) as raised:
        collect(together, **same)
    for each in (
        "dev and staging: the same place as production",
        "production: the same key of a bucket as demos",
        "production: the same passphrase as demos",
    ):
        assert each in raised.value.problem
    assert "the same place as demos" not in raised.value.problem
    assert "--one-state" in raised.value.remedy
    kept = Given(**{**vars(GIVEN), "states": {"nonprod": "file:///state"}, "one_state": True})
    told = collect(kept, PULUMI_CONFIG_PASSPHRASE="for all")
    assert {each.url for each in told.states.values()} == {"file:///state"}
    assert {each.passphrase for each in told.states.values()} == {"for all"}


def test_each_environment_of_runs_is_given_its_own_state_and_demos_no_administrators_token() -> (
    None
):
    told = collect(FLOW_GITHUB_TOKEN="ghp_admin")
    given_ = {
        name: planning.contents(told, Access({}, {}, {}), name, "")
        for name in ("flow-nonprod", "flow-prod", "flow-demo")
    }
    for variable in ("PULUMI_CONFIG_PASSPHRASE", "HCLOUD_TOKEN"):
        assert len({each.secrets[variable] for each in given_.values()}) == 3
    assert [each.variables["PULUMI_BACKEND_URL"] for each in given_.values()] == [
        "file:///state/nonprod",
        "file:///state/prod",
        "file:///state/demo",
    ]
    assert [each.secrets["FLOW_GITHUB_TOKEN"] for each in given_.values()] == [
        "ghp_admin",
        "ghp_admin",
        "",
    ]


def test_a_project_s_stages_say_which_groups_are_encrypted_already(tmp_path: Path) -> None:
    here = Project(tmp_path, tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    assert init.encrypted(here) == set()
    (tmp_path / "Pulumi.staging.yaml").write_text("encryptionsalt: v1:x\n")
    assert init.encrypted(here) == {"nonprod", "demo"}


def test_a_bucket_without_its_region_is_refused_with_the_address_it_takes() -> None:
    states = {**GIVEN.states, "prod": "s3://ours?endpoint=fsn1.your-objectstorage.com"}
    with pytest.raises(FlowError, match=r"--state-prod: .* names no region") as raised:
        collect(
            Given(**{**vars(GIVEN), "states": states}),
            AWS_ACCESS_KEY_ID_PROD="key",
            AWS_SECRET_ACCESS_KEY_PROD="word",
        )
    assert "s3://ours?endpoint=fsn1.your-objectstorage.com&region=" in raised.value.remedy
    assert raised.value.code == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [("repository", "app"), ("domain", "A test"), ("states", {**GIVEN.states, "nonprod": "x"})],
)
def test_what_cannot_be_is_refused(key: str, value: str) -> None:
    with pytest.raises(FlowError, match=f"--{key.removesuffix('s')}: ") as raised:
        collect(Given(**{**vars(GIVEN), key: value}))
    assert raised.value.code == 2


# -- what it writes --------------------------------------------------------------


def test_a_zone_is_used_where_the_token_s_project_has_it() -> None:
    zones = {"prod": ("a.test", "b.test"), "nonprod": ("pre.test",), "demo": ("b.test", "c.test")}
    access = Access(zones, {}, {})
    wanted = planning.settings(collect(), access)
    assert wanted["prod"] == {"zone": "a.test", "hostname": "", "acmeEmail": "ops@a.test"}
    # Before production a project's only zone, whatever its name is.
    assert wanted["dev"]["zone"] == "pre.test"
    assert wanted[""]["zone"] == ""
    assert planning.zone(("b.test",), "prod", "a.test") == ""
    assert "githubRepository" not in wanted[""]
    elsewhere = planning.settings(collect(), Access(dict.fromkeys(access.zones, ()), {}, {}))
    assert [elsewhere[each]["hostname"] for each in ("dev", "staging", "prod")] == [
        "dev.a.test",
        "staging.a.test",
        "app.a.test",
    ]


def test_a_domain_that_is_a_part_of_a_zone_has_its_names_below_itself_in_that_zone() -> None:
    told = collect(Given(**{**vars(GIVEN), "domain": "tools.a.test"}))
    access = Access({"prod": ("a.test",), "nonprod": ("pre.test",), "demo": ()}, {}, {})
    wanted = planning.settings(told, access)
    assert (wanted["prod"]["zone"], wanted["prod"]["hostname"]) == ("a.test", "app.tools.a.test")
    assert (wanted["dev"]["zone"], wanted["dev"]["hostname"]) == ("pre.test", "")


def test_the_template_s_files_get_the_team_s_values_and_keep_their_comments() -> None:
    text = (ROOT / "Pulumi.prod.yaml").read_text()
    wanted = {"zone": "a.test", "hostname": "", "acmeEmail": "ops@a.test"}
    new, changes = files.stage("Pulumi.prod.yaml", text, SPACE, wanted)
    config = yaml.safe_load(new)["config"]
    assert config[f"{SPACE}:zone"] == "a.test"
    assert f"{SPACE}:hostname" not in config
    assert new.count("#") == text.count("#")
    assert not any(each.overwrites for each in changes)
    assert files.stage("Pulumi.prod.yaml", new, SPACE, wanted) == (new, [])
    declared = (ROOT / "Pulumi.yaml").read_text()
    new, changes = files.project(declared, SPACE, {"images": "r.test/app", "zone": "a.test"})
    assert yaml.safe_load(new)["config"]["images"]["default"] == "r.test/app"
    assert new.count("#") == declared.count("#")
    assert [each.key for each in changes] == ["images", "zone"]


def test_a_value_of_somebodys_own_counts_as_overwritten() -> None:
    text = f"config:\n  {SPACE}:zone: ours.test\n"
    _, (change,) = files.stage("Pulumi.dev.yaml", text, SPACE, {"zone": "a.test"})
    assert change.overwrites
    assert str(change) == "Pulumi.dev.yaml: zone = a.test (is ours.test)"


@given(
    st.dictionaries(st.sampled_from(["zone", "hostname", "acmeEmail"]), st.text(max_size=12)),
    st.dictionaries(st.sampled_from(["zone", "images", "secrets"]), st.text(max_size=12)),
    st.booleans(),
)
def test_whatever_the_values_the_file_says_what_is_wanted(
    wanted: dict[str, str], had: dict[str, str], flow_style: bool
) -> None:
    config = {f"{SPACE}:{key}": value for key, value in had.items()}
    text = yaml.safe_dump(
        {"config": config, "encryptionsalt": "v1:x"}, default_flow_style=flow_style
    )
    new, _ = files.stage("Pulumi.dev.yaml", text, SPACE, wanted)
    found = yaml.safe_load(new)
    assert found["encryptionsalt"] == "v1:x"
    for key, value in {**had, **wanted}.items():
        assert (found["config"].get(f"{SPACE}:{key}") or "") == value
    assert files.stage("Pulumi.dev.yaml", new, SPACE, wanted) == (new, [])


def test_the_bug_form_has_a_version_that_an_address_fills_in() -> None:
    form = yaml.safe_load(bug_form.TEXT)
    ids = {each["id"]: each for each in form["body"] if "id" in each}
    assert ids["version"]["validations"] == {"required": True}
    address = urlsplit(bug_form.address("https://x.test/ada/app", "1.4.0+2"))
    assert parse_qs(address.query) == {"template": ["bug.yml"], "version": ["1.4.0+2"]}
    assert Path(bug_form.FILE).name == "bug.yml"


# -- the checkout ----------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A clone of ada/deployment with the settings' files in it."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@a.test")
    origin = tmp_path / "ada/deployment.git"
    origin.mkdir(parents=True)
    _git(origin, "init", "--quiet", "--bare", "--initial-branch=main")
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    for name in init.FILES:
        (clone / name).write_text("config:\n")
    (clone / "other").write_text("before\n")
    _git(clone, "add", "--all")
    _git(clone, "commit", "--quiet", "-m", "first")
    _git(clone, "push", "--quiet", "origin", "HEAD:main")
    return Checkout(clone, "ghp_word", "https://github.com")


def test_settings_alone_are_committed_and_pushed(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.exists
    assert checkout.origin == "ada/deployment"
    (checkout.folder / "Pulumi.dev.yaml").write_text("config: {a: b}\n")
    (checkout.folder / "other").write_text("half done\n")
    assert checkout.changed(init.FILES) == ["Pulumi.dev.yaml"]
    checkout.publish(init.FILES)
    assert checkout.changed(init.FILES) == []
    assert checkout.changed(["other"]) == ["other"]
    pushed = _git(tmp_path / "ada/deployment.git", "rev-parse", "main")
    assert pushed == checkout.head
    assert _git(checkout.folder, "show", "--format=", "--name-only", "HEAD") == "Pulumi.dev.yaml"


def test_the_token_is_offered_to_the_teams_github_alone(checkout: Checkout) -> None:
    def helper(address: str) -> str:
        return checkout._git("config", "--get-urlmatch", "credential.helper", address, check=False)

    assert "FLOW_GIT_TOKEN" in helper("https://github.com/ada/deployment.git")
    for other in ("https://gitlab.com", "http://github.com", "https://github.com.evil.test"):
        assert "FLOW_GIT_TOKEN" not in helper(f"{other}/ada/deployment.git")


def test_a_folder_that_is_no_checkout_is_none(tmp_path: Path) -> None:
    assert not Checkout(tmp_path).exists


@pytest.mark.parametrize(
    "address",
    ["https://github.com/ada/app.git", "git@github.com:ada/app.git", "ssh://git@x.test/ada/app"],
)
def test_the_origin_s_name_is_read_from_any_address(checkout: Checkout, address: str) -> None:
    _git(checkout.folder, "remote", "set-url", "origin", address)
    assert checkout.origin == "ada/app"


# -- doing it --------------------------------------------------------------------


def plan(*whats: str, done: list[str], overwrites: tuple[files.Change, ...] = ()) -> init.Plan:
    def doer(what: str) -> Any:
        return lambda: done.append(what)

    return init.Plan(tuple(Step(each, doer(each)) for each in whats), overwrites, ())


def carry_out(of: init.Plan, told: Answers, **more: bool) -> Mapping[str, str]:
    wishes = {"dry_run": False, "yes": True, "overwrite": False, **more}
    return command._carry_out(of, told, **wishes)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done: list[str] = []
    carry_out(plan("the stack dev", done=done), collect(), dry_run=True)
    assert done == []
    said = capsys.readouterr().err
    assert "the stack dev" in said
    assert "passphrase" not in said


def test_a_passphrase_that_was_made_is_shown_once_and_before_anything_is_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = collect()
    done: list[str] = []
    carry_out(plan("one", "two", done=done), told)
    said = capsys.readouterr().err
    assert done == ["one", "two"]
    for group, state in told.states.items():
        assert said.count(state.passphrase) == 1
        assert f"PULUMI_CONFIG_PASSPHRASE_{group.upper()}={state.passphrase}" in said
        assert said.index(state.passphrase) < said.index("… one")
    given_ = {f"PULUMI_CONFIG_PASSPHRASE_{each.upper()}": f"word of {each}" for each in GROUPS}
    carry_out(plan("one", done=done), collect(GIVEN, **given_))
    assert "word of" not in capsys.readouterr().err


def test_a_value_of_somebodys_own_is_not_replaced_unasked() -> None:
    done: list[str] = []
    change = files.Change("Pulumi.dev.yaml", "zone", "ours.test", "a.test")
    of = plan("one", done=done, overwrites=(change,))
    with pytest.raises(FlowError, match=r"ours\.test") as raised:
        carry_out(of, collect())
    assert raised.value.remedy == "add --overwrite"
    assert done == []
    carry_out(of, collect(), overwrite=True)
    assert done == ["one"]


def test_nothing_to_do_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert carry_out(plan(done=[]), collect()) == {}
    assert "nothing was changed" in capsys.readouterr().err
