"""Provisioning from the operator's side, against an `ssh` that acts out what servers do."""

import io
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote import provisioning, shipment
from remote.errors import HandOverError
from tests.unit import acted_ssh
from tests.unit.acted_ssh import CONNECTION, DEPLOY_KEY, FakeSsh

Run = Callable[..., "tuple[dict[str, object], list[str]]"]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    return acted_ssh.make(tmp_path, monkeypatch)


@pytest.fixture
def provision(fake: FakeSsh) -> Run:
    def run(**more: Any) -> tuple[dict[str, object], list[str]]:
        said: list[str] = []
        request = {"connection": {**CONNECTION, "user": "root"}, "deploy_public_key": DEPLOY_KEY}
        return provisioning.provision({**request, **more}, said.append), said

    return run


INSTALLS = (
    "say('deployment-flow: ready')\n"
    "size = int(sys.argv[-1].split('head -c ')[1].split()[0])\n"
    "(here / 'tar').write_bytes(sys.stdin.buffer.read(size))\n"
    "say('installing: caddy')\n"
    'say(\'deployment-flow: result {"changed": true, "cloud_init": "done"}\')\n'
)


def test_a_server_that_refuses_while_it_boots_is_waited_for(fake: FakeSsh, provision: Run) -> None:
    fake.acts("if tries < 4: die('connect: Connection refused')\n" + INSTALLS)
    answer, said = provision()
    assert answer == {
        "software": shipment.fingerprint(), "changed": True, "cloud_init": "done",
    }  # fmt: skip
    assert said[0].startswith("203.0.113.9 is not ready")
    assert said[-1] == "installing: caddy"


def test_a_shell_that_greets_is_heard_out(fake: FakeSsh, provision: Run) -> None:
    fake.acts("say('Welcome to Debian')\nsay('')\n" + INSTALLS)
    assert provision()[0]["changed"] is True


def test_what_is_shipped_is_complete_private_and_says_what_the_server_is_told(
    fake: FakeSsh, provision: Run
) -> None:
    fake.acts(INSTALLS)
    provision(volume_device="/dev/disk/by-id/scsi-0HC_Volume_7")
    with tarfile.open(fake.folder / "tar") as archive:
        names = archive.getnames()
        told = archive.extractfile("parameters.sh")
        assert told is not None
        text = told.read().decode()
        assert all(member.mode == 0o600 for member in archive)
    assert {"provision.sh", "agent/main.py", "files/sudoers", "fingerprint"} <= set(names)
    assert not [name for name in names if "pyc" in name]
    assert "VOLUME_DEVICE=/dev/disk/by-id/scsi-0HC_Volume_7\n" in text
    assert f"DEPLOY_KEY='{DEPLOY_KEY}'" in text
    assert "HOST_KEY_TYPES=ssh-ed25519" in text


def test_a_server_that_never_boots_is_given_up_in_time(fake: FakeSsh, provision: Run) -> None:
    fake.acts("die('connect to host 203.0.113.9 port 22: No route to host')")
    started = time.monotonic()
    with pytest.raises(HandOverError, match=r"cannot be reached.*s of waiting"):
        provision(boot_deadline=0.5)
    assert time.monotonic() - started < 5


def test_booting_may_take_five_minutes_by_default() -> None:
    request = {"connection": CONNECTION, "deploy_public_key": DEPLOY_KEY}
    assert provisioning.read(request)[2] == 300


def test_a_changed_host_key_stops_provisioning_at_once(fake: FakeSsh, provision: Run) -> None:
    fake.acts("die('Host key verification failed.')")
    with pytest.raises(HandOverError, match="another host key"):
        provision()
    assert len(fake.calls()) == 1


def test_a_user_who_may_not_become_root_is_told(fake: FakeSsh, provision: Run) -> None:
    fake.acts("die('sudo: a password is required', 1)")
    with pytest.raises(HandOverError, match="may not become root") as error:
        provision()
    assert "NOPASSWD" in error.value.remedy


def test_a_failed_installation_points_to_its_log(fake: FakeSsh, provision: Run) -> None:
    fake.acts("say('deployment-flow: ready'); say('error: port 80 is taken'); sys.exit(1)")
    with pytest.raises(HandOverError, match=r"installing the software .* failed") as error:
        provision()
    assert "/var/log/deployment-flow/provision.log" in error.value.remedy


def test_root_needs_no_sudo_and_others_do() -> None:
    assert provisioning.bootstrap("root", 1).startswith("sh -c ")
    assert provisioning.bootstrap("ada", 1).startswith("sudo -n sh -c ")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deploy_public_key", "ssh-ed25519 AAAA\nssh-ed25519 BBBB"),
        ("deploy_public_key", 'command="sh" ssh-ed25519 AAAA'),
        ("volume_device", "/dev/sda"),
        ("volume_device", "/dev/disk/by-id/x;reboot"),
        ("connection", {**CONNECTION, "host": "-oProxyCommand=x"}),
        ("connection", {**CONNECTION, "user": "root -o x"}),
        ("connection", {**CONNECTION, "known_hosts": "nothing here"}),
        ("connection", {}),
    ],
)
def test_malformed_requests_are_refused(field: str, value: object) -> None:
    request = {"connection": CONNECTION, "deploy_public_key": DEPLOY_KEY, field: value}
    with pytest.raises(HandOverError):
        provisioning.read(request)


def test_shipping_the_same_files_gives_the_same_bytes() -> None:
    assert shipment.pack({"A": "1"}) == shipment.pack({"A": "1"})
    assert shipment.pack({"A": "1"}) != shipment.pack({"A": "2"})


def test_what_an_editor_leaves_lying_about_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("provision.sh", "provision.sh~", ".provision.sh.swp", ".DS_Store", "a.orig"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(shipment, "SERVER", tmp_path)
    assert list(shipment.contents()) == ["provision.sh"]


def test_what_a_server_is_told_is_quoted_for_its_shell() -> None:
    with tarfile.open(fileobj=io.BytesIO(shipment.pack({"A": "it's $(x)"}))) as archive:
        told = archive.extractfile("parameters.sh")
        assert told is not None
        script = told.read().decode() + 'printf %s "$A"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $(x)"


def test_admins_are_told_to_the_server_a_key_a_line(fake: FakeSsh, provision: Run) -> None:
    fake.acts(INSTALLS)
    ada = "ssh-ed25519 AAAAADA ada@example.org"
    provision(admin_keys=[ada, "ssh-rsa AAAABOB Bob of $(evil) fame"])
    with tarfile.open(fake.folder / "tar") as archive:
        told = archive.extractfile("parameters.sh")
        assert told is not None
        assert f"ADMIN_KEYS='{ada}\nssh-rsa AAAABOB'\n" in told.read().decode()


@pytest.mark.parametrize("key", ["no key", "ssh-ed25519 AAAA'x", "command=x ssh-ed25519 AAAA"])
def test_what_is_no_key_admits_nobody(fake: FakeSsh, provision: Run, key: str) -> None:
    fake.acts(INSTALLS)
    with pytest.raises(HandOverError, match="not an OpenSSH public key"):
        provision(admin_keys=[key])
