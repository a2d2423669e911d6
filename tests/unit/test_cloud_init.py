"""First boot: what a server of Hetzner's is told, and what it is not."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from components import cloud_init, keys

HOST = keys.new_key_pair("host")


def parsed(key: str = "ssh-ed25519 AAAA maintenance") -> dict[str, Any]:
    text = cloud_init.render(
        host_private_key=HOST["private"],
        host_public_key=HOST["public"],
        maintenance_public_key=key,
    )
    assert text.startswith("#cloud-config\n")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_the_host_key_is_the_pinned_one_and_the_only_one() -> None:
    document = parsed()
    assert document["ssh_keys"]["ed25519_private"] == HOST["private"]
    assert document["ssh_keys"]["ed25519_public"] == HOST["public"]
    assert document["ssh_deletekeys"] is True


def test_only_keys_may_log_in() -> None:
    document = parsed()
    assert document["ssh_authorized_keys"] == ["ssh-ed25519 AAAA maintenance"]
    assert document["ssh_pwauth"] is False
    assert document["users"] == []
    (sshd,) = document["write_files"]
    assert "PasswordAuthentication no" in sshd["content"]
    assert "PermitRootLogin prohibit-password" in sshd["content"]


def test_an_expired_root_password_does_not_stop_key_logins() -> None:
    assert parsed()["chpasswd"] == {"expire": False}


def test_the_host_key_is_the_only_secret_in_user_data() -> None:
    text = str({**parsed(), "ssh_keys": None})
    assert "PRIVATE" not in text


def test_it_is_well_under_hetzners_limit() -> None:
    assert len(yaml.dump(parsed())) < 8 * 1024


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=80))
def test_no_key_comment_can_add_to_the_document(comment: str) -> None:
    document = parsed(f"ssh-ed25519 CCCC {comment}")
    assert set(document) == set(parsed())
    assert document["ssh_authorized_keys"] == [f"ssh-ed25519 CCCC {comment}"]


def test_a_new_key_pair_is_ed25519_in_openssh_form() -> None:
    assert HOST["private"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert HOST["private"].endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert HOST["public"].startswith("ssh-ed25519 AAAA")
    assert keys.new_key_pair("host")["public"] != HOST["public"]
