"""A demo's machine that a workflow's variables name: that demo's, and nobody else's."""

import pulumi
import pytest

import settings
from components import given_hosts, naming
from tests.unit.conftest import PROJECT
from tests.unit.test_settings import GOOD, NOW, _named

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN" + "a" * 42
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----"
HOSTS = f"""
# the mapping party's
feature-demo/map root@198.51.100.7 {HOST_KEY} root@map
feature-demo/Old admin@[2001:db8::7]:2222 {HOST_KEY}
"""


def test_a_line_belongs_to_the_demo_of_its_branch() -> None:
    assert given_hosts.settings_of(HOSTS, "feature-demo-map") == {
        "host": "198.51.100.7", "hostUser": "root", "hostKey": HOST_KEY,
    }  # fmt: skip
    odd = naming.stack_of_branch("feature-demo/Old")
    assert given_hosts.settings_of(HOSTS, odd) == {
        "host": "2001:db8::7", "hostUser": "admin", "hostPort": "2222", "hostKey": HOST_KEY,
    }  # fmt: skip
    assert given_hosts.settings_of(HOSTS, "feature-demo-maps") == {}
    assert given_hosts.settings_of("", "feature-demo-map") == {}


@pytest.mark.parametrize(
    "line",
    [
        "feature-demo/map 198.51.100.7",
        f"feature-demo/map root@example.org {HOST_KEY}",
        f"feature-demo/map Root;rm@198.51.100.7 {HOST_KEY}",
        "feature-demo/map root@198.51.100.7 ssh-dss AAAA",
        f"root@198.51.100.7 {HOST_KEY}",
    ],
)
def test_a_line_that_says_too_little_stops_every_demo_and_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 of DEMO_HOSTS"):
        given_hosts.settings_of(f"# hosts\n{line}", "feature-demo-other")


def test_a_demo_named_twice_is_a_mistake() -> None:
    twice = HOSTS + f"feature-demo/map root@198.51.100.9 {HOST_KEY}\n"
    with pytest.raises(ValueError, match="second time"):
        given_hosts.settings_of(twice, "feature-demo-map")


def _load(monkeypatch: pytest.MonkeyPatch, stack: str, **more: str) -> settings.Settings:
    monkeypatch.setenv("HCLOUD_TOKEN", "t" * 64)
    monkeypatch.setattr(pulumi, "get_project", lambda: PROJECT)
    monkeypatch.setattr(pulumi, "get_stack", lambda: stack)
    monkeypatch.setattr(pulumi.Config, "__init__", _named)
    pulumi.runtime.set_all_config({f"{PROJECT}:{k}": v for k, v in (GOOD | more).items()}, [])
    return settings.load(NOW)


def test_only_the_demo_that_is_named_takes_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_HOSTS", HOSTS)
    monkeypatch.setenv("DEMO_SSH_KEY", PRIVATE)
    given = _load(monkeypatch, "feature-demo-map").given_host
    assert given is not None
    assert (given.address, given.port, given.user, given.host_key) == (
        "198.51.100.7", 22, "root", HOST_KEY,
    )  # fmt: skip
    assert given.ssh_key.get_secret_value() == PRIVATE + "\n"
    assert "hush" not in repr(given)
    assert _load(monkeypatch, "feature-demo-other").given_host is None
    # A stage never follows a demo's variable, whatever it says.
    monkeypatch.setenv("DEMO_HOSTS", f"staging root@198.51.100.7 {HOST_KEY}")
    assert _load(monkeypatch, "staging").given_host is None


def test_the_stacks_own_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_HOSTS", HOSTS)
    with pytest.raises(settings.SettingsError) as error:
        _load(monkeypatch, "feature-demo-map", host="203.0.113.9")
    # Not the variable's machine, so that its key is asked of the settings.
    assert "hostKey" in str(error.value)
    assert "DEMO_SSH_KEY" not in str(error.value)


def test_a_missing_key_and_a_wrong_line_say_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_HOSTS", HOSTS)
    said = r"DEMO_SSH_KEY is not set\. Next: .* flow-demo"
    with pytest.raises(settings.SettingsError, match=said):
        _load(monkeypatch, "feature-demo-map")
    monkeypatch.setenv("DEMO_HOSTS", "nonsense")
    with pytest.raises(settings.SettingsError, match="line 1 of DEMO_HOSTS"):
        _load(monkeypatch, "feature-demo-map")
