"""Settings: every mistake at once, with key, value and remedy; secrets never shown."""

import datetime
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import settings
from settings_model import LISTS, OBJECTS, REMEDIES, SECRETS, Settings, Values
from tests.unit.conftest import PROJECT, ROOT

NOW = datetime.datetime(2030, 6, 1, 12, tzinfo=datetime.UTC).timestamp()
DAY = 86400
GOOD: dict[str, str] = {"images": "ghcr.io/example-org/app", "zone": "example.org"}
KEY = "ssh-ed25519 " + "A" * 68
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----"


def parse(
    stack: str = "dev",
    values: dict[str, str] | None = None,
    *,
    secret: frozenset[str] = SECRETS,
    token: str | None = "t" * 64,
    root: Path = ROOT,
) -> Settings:
    return settings.parse(
        project=PROJECT,
        stack=stack,
        values={**GOOD, **(values or {})},
        secret_names=set(secret),
        hcloud_token=token,
        hcloud_endpoint=settings.HETZNER_API,
        now=NOW,
        root=root,
    )


def mistakes(*args: Any, **kwargs: Any) -> tuple[str, ...]:
    with pytest.raises(settings.SettingsError) as caught:
        parse(*args, **kwargs)
    return caught.value.mistakes


def test_every_mistake_is_told_at_once_with_its_key_value_and_remedy() -> None:
    found = mistakes(
        values={
            "volumeSize": "ten",
            "locations": '["fsn1", "fsn1"]',
            "sshFrom": '["198.51.100.7/24"]',
            "adminKeys": '["not a key"]',
            "composFile": "x.yaml",
            "application": "nowhere",
            "registryUsername": "someone",
        },
        token=None,
    )
    assert len(found) == 8
    text = "\n".join(found)
    assert 'deployment-flow:volumeSize = "ten"' in text
    assert "deployment-flow:locations" in text
    assert "names one twice" in text
    assert 'deployment-flow:sshFrom[0] = "198.51.100.7/24"' in text
    assert 'deployment-flow:adminKeys[0] = "not a key": is no OpenSSH public key' in text
    assert "composFile is no setting. Did you mean composeFile?" in text
    assert '"nowhere/compose.yaml": is no file' in text
    assert "registryUsername" in text
    assert "there is no Hetzner token" in text


def test_an_error_ends_the_program_without_a_stack_trace_and_says_nothing_was_changed() -> None:
    with pytest.raises(pulumi.RunError, match="Nothing was changed"):
        parse(values={"volumeSize": "ten"})


@pytest.mark.parametrize(
    ("stack", "hostname", "branch"),
    [
        ("dev", "dev.example.org", "development"),
        ("staging", "staging.example.org", "staging"),
        ("prod", "app.example.org", "main"),
        ("feature-demo-hello", "hello.example.org", "feature-demo/hello"),
    ],
)
def test_a_stage_has_its_host_name_and_branch_without_being_told(
    stack: str, hostname: str, branch: str
) -> None:
    found = parse(stack)
    assert (found.hostname, found.branch) == (hostname, branch)


def test_a_stack_of_no_stage_is_refused_with_a_name_that_would_do() -> None:
    (found,) = mistakes("try-out")
    assert "pulumi stack init feature-demo-try-out" in found


def test_a_demo_is_never_protected_and_a_stage_is() -> None:
    assert parse("staging").protected is True
    assert parse("feature-demo-x").protected is False
    assert parse("staging", {"protected": "false"}).protected is False


def test_a_demo_without_zone_gets_its_name_from_its_address() -> None:
    assert parse("feature-demo-x", {"zone": ""}).hostname is None
    assert any("hostname" in each for each in mistakes("staging", {"zone": ""}))


def test_a_host_name_outside_its_zone_is_a_mistake() -> None:
    (found,) = mistakes(values={"hostname": "app.example.net"})
    assert "is not in zone example.org" in found
    assert parse(values={"hostname": "example.org"}).hostname == "example.org"
    assert mistakes(values={"hostname": "badexample.org"})


@pytest.mark.parametrize("size", ["9", "10241", "-1"])
def test_volumes_have_sizes_hetzner_sells(size: str) -> None:
    (found,) = mistakes(values={"volumeSize": size})
    assert "volumeSize" in found
    assert parse(values={"volumeSize": "0"}).volume_size == 0


def test_a_secret_in_plain_text_is_a_mistake_and_its_value_is_not_repeated() -> None:
    found = mistakes(
        values={"secrets": '{"TOKEN": "hush-hush"}', "registryPassword": "hush-hush"},
        secret=frozenset(),
    )
    assert len([each for each in found if "plain text" in each]) == 2
    assert "hush" not in str(found)


def test_no_mistake_shows_a_secret() -> None:
    found = mistakes(
        values={
            "secrets": '{"bad name": "hush-hush"}',
            "host": "203.0.113.9",
            "hostKey": KEY,
            "hostSshKey": "hush-hush",
        }
    )
    assert "(secret)" in str(found)
    assert "hush" not in str(found)


def test_settings_do_not_show_their_secrets() -> None:
    found = parse(
        values={
            "secrets": '{"TOKEN": "hush-hush"}',
            "registryUsername": "u",
            "registryPassword": "hush-hush",
        },
        token="hush-hush" * 8,
    )
    assert "hush" not in f"{found!r} {found}"
    assert found.secrets["TOKEN"].get_secret_value() == "hush-hush"


def test_a_given_machine_needs_its_host_key_and_a_key_to_log_in() -> None:
    found = str(mistakes(values={"host": "203.0.113.9", "sshFrom": '["198.51.100.0/24"]'}))
    assert "sshFrom" in found
    assert "hostKey" in found
    assert "hostSshKey" in found
    given_host = parse(
        "feature-demo-x",
        {"zone": "", "host": "203.0.113.9", "hostKey": KEY, "hostSshKey": PRIVATE},
        token=None,
    ).given_host
    assert given_host is not None
    assert given_host.ssh_key.get_secret_value().endswith("-----\n")
    assert mistakes(values={"hostKey": KEY})


def test_variables_are_text_whatever_yaml_made_of_them() -> None:
    found = parse(values={"environment": '{"PORT": 8000, "DEBUG": true, "NAME": "x"}'})
    assert found.environment == {"PORT": "8000", "DEBUG": "true", "NAME": "x"}


@pytest.mark.parametrize("name", ["VERSION", "PUBLIC_URL", "A-B", "1A", "A;B", ""])
def test_a_variable_has_a_name_of_its_own_and_a_sound_one(name: str) -> None:
    assert mistakes(values={"environment": json.dumps({name: "x"})})


def test_a_variable_is_secret_or_not() -> None:
    (found,) = mistakes(values={"environment": '{"A": "1"}', "secrets": '{"A": "2"}'})
    assert "which secrets has, too" in found


def test_the_last_day_of_a_demo_is_a_date_to_come_and_for_demos_only() -> None:
    until = parse("feature-demo-x", {"until": "2030-06-01"}).until
    assert until == NOW + DAY / 2 - 1
    assert "has passed" in str(mistakes("feature-demo-x", {"until": "2030-05-31"}))
    assert "is for demos" in str(mistakes("staging", {"until": "2030-07-01"}))
    assert mistakes("feature-demo-x", {"until": "soon"})


def test_what_is_wrong_in_itself_does_not_hide_what_contradicts() -> None:
    found = mistakes(values={"ttlDays": "0", "hostname": "app.example.net"})
    assert len(found) == 2


# -- expiry ------------------------------------------------------------------------------------


def expiry(
    stack: str = "feature-demo-x",
    values: dict[str, str] | None = None,
    *,
    now: float = NOW,
    recorded: int | None = None,
    same_release: bool = True,
) -> int | None:
    found = parse(stack, values)
    return settings.expiry(found, now=now, recorded=recorded, same_release=same_release)


def test_a_stage_that_stays_has_no_end() -> None:
    assert expiry("prod") is None


def test_a_demo_ends_some_days_after_its_last_new_release() -> None:
    assert expiry() == NOW + 14 * DAY
    assert expiry(values={"ttlDays": "3"}) == NOW + 3 * DAY
    later = NOW + 5 * DAY
    first = int(NOW + 14 * DAY)
    assert expiry(now=later, recorded=first, same_release=False) == later + 14 * DAY


def test_an_up_that_changes_nothing_does_not_move_a_demos_end() -> None:
    first = int(NOW + 14 * DAY)
    assert expiry(now=NOW + 5 * DAY, recorded=first) == first


def test_a_demo_past_its_end_starts_anew() -> None:
    assert expiry(recorded=int(NOW - 1)) == NOW + 14 * DAY


def test_a_date_decides_where_it_is_set() -> None:
    assert expiry(values={"until": "2030-06-30"}, recorded=int(NOW + DAY)) == NOW + 29.5 * DAY - 1


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000), st.booleans())
def test_a_demo_never_ends_in_the_past(now: int, recorded: int, same_release: bool) -> None:
    found = expiry(now=now, recorded=recorded, same_release=same_release)
    assert found is not None
    assert found > now


# -- the engine's own schema -------------------------------------------------------------------


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    return loaded["config"]  # type: ignore[no-any-return]


def test_pulumi_yaml_declares_every_key_that_is_not_secret() -> None:
    assert set(schema()) == set(REMEDIES) - SECRETS
    comment = (ROOT / "Pulumi.yaml").read_text()
    assert all(f"deployment-flow:{name}" in comment for name in SECRETS)


def test_the_remedies_are_for_the_fields_there_are() -> None:
    assert {each.alias for each in Values.model_fields.values()} == set(REMEDIES)


def test_every_key_has_a_default_a_description_and_a_type_the_engine_knows() -> None:
    for name, declared in schema().items():
        assert set(declared) <= {"type", "items", "description", "default"}, name
        assert declared["type"] in {"string", "integer", "boolean", "array", "object"}, name
        assert (declared["type"] == "array") == (name in LISTS), name
        assert (declared["type"] == "object") == (name in OBJECTS), name
        assert "default" in declared, name


@pytest.mark.parametrize("stack", ["dev", "staging", "prod", "feature-demo-x"])
def test_the_defaults_and_the_committed_stacks_are_sound(stack: str) -> None:
    values = {name: _text(declared["default"]) for name, declared in schema().items()}
    file = ROOT / f"Pulumi.{stack}.yaml"
    if file.exists():
        config = yaml.safe_load(file.read_text())["config"]
        values |= {key.partition(":")[2]: _text(value) for key, value in config.items()}
    found = settings.parse(
        project=PROJECT,
        stack=stack,
        values=values,
        secret_names=set(),
        hcloud_token="t" * 64,
        hcloud_endpoint=settings.HETZNER_API,
        now=NOW,
    )
    assert found.stack == stack


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_committed_stack_files_hold_no_secret_and_no_salt(stack: str) -> None:
    loaded = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())
    assert set(loaded) == {"config"}
    assert "secure" not in str(loaded)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


# -- as Pulumi hands them over -----------------------------------------------------------------


def test_one_pull_credential_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", "t" * 64)
    monkeypatch.setenv("REGISTRY_USERNAME", "puller")
    monkeypatch.setenv("REGISTRY_PASSWORD", "hush")
    monkeypatch.setattr(pulumi, "get_project", lambda: PROJECT)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(pulumi.Config, "__init__", _named)
    pulumi.runtime.set_all_config({f"{PROJECT}:{k}": v for k, v in GOOD.items()}, [])
    found = settings.load(NOW)
    assert found.registry_username == "puller"
    assert found.registry_password is not None
    pulumi.runtime.set_all_config(
        {f"{PROJECT}:{k}": v for k, v in GOOD.items()} | {f"{PROJECT}:registryUsername": "own"},
        [],
    )
    with pytest.raises(settings.SettingsError, match="go together"):
        settings.load(NOW)


def test_a_token_in_plain_text_is_a_mistake_and_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulumi, "get_project", lambda: PROJECT)
    monkeypatch.setattr(pulumi, "get_stack", lambda: "dev")
    monkeypatch.setattr(pulumi.Config, "__init__", _named)
    config = {f"{PROJECT}:{k}": v for k, v in GOOD.items()} | {"hcloud:token": "hush-hush"}
    pulumi.runtime.set_all_config(config, [])
    with pytest.raises(settings.SettingsError, match="Revoke it") as caught:
        settings.load(NOW)
    assert "hush" not in str(caught.value)
    pulumi.runtime.set_all_config(config, ["hcloud:token"])
    assert settings.load(NOW).hcloud_token is not None


def _named(self: pulumi.Config, name: str | None = None) -> None:
    self.name = name or PROJECT


def test_a_later_run_keeps_the_date_and_the_branch_an_earlier_one_was_told() -> None:
    told = {"until": int(NOW + 90 * DAY), "branch": "Feature/Maps"}
    found = settings.recall(parse("feature-demo-x"), told, NOW)
    assert (found.until, found.branch) == (told["until"], "Feature/Maps")
    end = settings.expiry(found, now=NOW, recorded=None, same_release=False)
    assert end == told["until"]


def test_what_this_run_is_told_comes_before_what_is_kept() -> None:
    told = {"until": int(NOW + 90 * DAY), "branch": "old"}
    values = {"until": "2030-06-30", "branch": "feature-demo/new"}
    found = settings.recall(parse("feature-demo-x", values), told, NOW)
    assert (found.until, found.branch) == (NOW + 29.5 * DAY - 1, "feature-demo/new")


def test_a_kept_date_that_has_passed_is_forgotten_and_a_stage_keeps_none() -> None:
    assert settings.recall(parse("feature-demo-x"), {"until": NOW - 1}, NOW).until is None
    found = settings.recall(parse("staging"), {"until": NOW + DAY, "branch": "x"}, NOW)
    assert (found.until, found.branch) == (None, "staging")


# -- GitHub ------------------------------------------------------------------------------------


GITHUB_TOKEN = "ghp_hush"


def with_github(token: str | None = GITHUB_TOKEN, **values: str) -> settings.Settings:
    return settings.parse(
        project=PROJECT,
        stack="staging",
        values={**GOOD, "githubRepository": "example-org/field.work", **values},
        secret_names=set(),
        hcloud_token="t",
        hcloud_endpoint=settings.HETZNER_API,
        github_token=token,
        github_url="https://github.example.org/",
        now=NOW,
    )


def test_a_stage_has_a_part_at_github_only_where_a_repository_is_named() -> None:
    found = with_github(githubReviewers='["ada", "example-org/release"]').github
    assert found is not None
    assert (found.owner, found.repository) == ("example-org", "field.work")
    assert found.reviewers == ("ada", "example-org/release")
    assert found.url == "https://github.example.org"
    assert "ghp_hush" not in repr(found)
    assert with_github(token=None, githubRepository="").github is None


def test_a_repository_without_a_token_is_a_mistake_that_says_where_to_put_one() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        with_github(token=None)
    (found,) = caught.value.mistakes
    assert "there is no GitHub token" in found
    assert "FLOW_GITHUB_TOKEN" in found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("githubRepository", "fieldwork"),
        ("githubRepository", "https://github.com/example-org/fieldwork"),
        ("githubReviewers", '["a b"]'),
        ("githubReviewers", '["a", "b", "c", "d", "e", "f", "g"]'),
        ("githubReviews", "11"),
        ("githubChecks", '[""]'),
    ],
)
def test_what_github_would_refuse_is_a_mistake_with_a_remedy(key: str, value: str) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        with_github(**{key: value})
    (found,) = caught.value.mistakes
    assert found.startswith(f"{PROJECT}:{key}")
    assert REMEDIES[key] in found
