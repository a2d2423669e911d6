"""SSH keys."""

import base64
import binascii
import hashlib
from typing import Any

from sandbox.hetzner import labels
from sandbox.hetzner.cloud import Call
from sandbox.hetzner.errors import ApiError, invalid
from sandbox.hetzner.listing import Answer, page, select, timestamp
from sandbox.hetzner.routing import Routes
from sandbox.store import Record

routes = Routes()


def fingerprint(public_key: str) -> str:
    """The MD5 fingerprint of an OpenSSH public key; raises `invalid_input`."""
    try:
        blob = base64.b64decode(public_key.split()[1], validate=True)
    except (IndexError, binascii.Error):
        raise invalid(public_key="is not a public key in OpenSSH format") from None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[place : place + 2] for place in range(0, 32, 2))


def render(key: Record) -> dict[str, Any]:
    """An SSH key as the API shows it."""
    shown = {name: key[name] for name in ("id", "name", "fingerprint", "public_key", "labels")}
    return {**shown, "created": timestamp(key["created"])}


@routes.get("/ssh_keys")
def list_ssh_keys(call: Call) -> Answer:
    """All keys of the project."""
    chosen = select(call.owned("ssh_key"), call.query, ("name", "fingerprint"))
    return page("ssh_keys", call.path, chosen, render, call.query)


@routes.post("/ssh_keys")
def create_ssh_key(call: Call) -> Answer:
    """A new key; its name and the key itself must be new to the project."""
    labels.check(call.body.get("labels", {}))
    call.unique_name("ssh_key", call.body["name"])
    mark = fingerprint(call.body["public_key"])
    if any(key["fingerprint"] == mark for key in call.owned("ssh_key")):
        raise ApiError(
            "uniqueness_error",
            "SSH key with the same fingerprint already exists",
            {"fields": [{"name": "public_key", "messages": ["is already used"]}]},
        )
    key = call.store.add(
        "ssh_key",
        call.project,
        {
            "name": call.body["name"],
            "public_key": call.body["public_key"],
            "fingerprint": mark,
            "labels": call.body.get("labels", {}),
            "created": call.store.now(),
        },
    )
    return Answer(201, {"ssh_key": render(key)})


@routes.get("/ssh_keys/{id}")
def get_ssh_key(call: Call) -> Answer:
    """One key."""
    return Answer(200, {"ssh_key": render(call.find("ssh_key"))})


@routes.put("/ssh_keys/{id}")
def update_ssh_key(call: Call) -> Answer:
    """Its name and labels."""
    key = call.rename("ssh_key")
    return Answer(200, {"ssh_key": render(key)})


@routes.delete("/ssh_keys/{id}")
def delete_ssh_key(call: Call) -> Answer:
    """Forget a key; servers made with it keep it."""
    call.store.remove("ssh_key", call.find("ssh_key")["id"])
    return Answer(204, None)
