"""Secrets of repositories, environments and organisations: kept, and never shown."""

import re
from typing import Any

from sandbox.github import access, sealing
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.resources import environments
from sandbox.github.routing import Answer, Handler, Routes
from sandbox.store import Record

routes = Routes()

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST = 48 * 1024
# Where secrets are, and the permission each place takes. Clients use both forms of an
# environment's; the second is GitHub's older one.
PLACES = (
    ("/repos/{owner}/{repo}/actions", ""),
    ("/repos/{owner}/{repo}/environments/{environment_name}", "environments"),
    ("/repositories/{repository_id}/environments/{environment_name}", "environments"),
    ("/orgs/{org}/actions", "organization"),
)


def scope(call: Call) -> tuple[str, str]:
    """(project, environment) of what the path names. Raises 403 and 404."""
    if "org" in call.params:
        record = call.hub.account(call.params["org"])
        if "members" not in record:
            raise not_found()
        if record["members"].get(call.caller.login) != "admin":
            raise GithubError(403, "You must be an organization admin.")
        # Only its owners come here, and of their tokens only those with all their rights.
        if call.caller.permissions is not None:
            raise GithubError(403, access.REFUSALS[call.caller.kind])
        return str(record["login"]), ""
    if "environment_name" in call.params:
        return call.full_name, str(environments.of(call)["name"])
    return call.full_name, ""


def valid_name(name: str, what: str) -> str:
    """The name as it is kept: in capitals. Raises 422."""
    if not _NAME.fullmatch(name):
        raise refused(
            f"{what} names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or "
            "underscores (_). Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or "
            "underscores (_)."
        )
    if name.upper().startswith("GITHUB_"):
        raise refused(f"{what} names must not start with GITHUB_.")
    return name.upper()


def audience(call: Call) -> Record:
    """Which repositories an organisation's secret or variable is for; {} for others'."""
    if "org" not in call.params:
        return {}
    chosen = call.body.get("visibility", "private")
    if chosen not in ("all", "private", "selected"):
        raise refused("visibility must be one of all, private, selected")
    ids = [int(number) for number in call.body.get("selected_repository_ids") or []]
    return {"visibility": chosen, "selected_repository_ids": ids}


def kept(call: Call, kind: str) -> list[Record]:
    """All secrets (or variables) of the place the path names, by name."""
    project, environment = scope(call)
    found = [r for r in call.store.all(kind, project) if r["environment"] == environment]
    return sorted(found, key=lambda record: str(record["name"]))


def list_secrets(call: Call) -> Answer:
    """Names and times."""
    return page(call, kept(call, "secret"), lambda record: _shape(call, record), under="secrets")


def public_key(call: Call) -> Answer:
    """What a client seals with."""
    key = sealing.key_of(call.store, *scope(call))
    return Answer({"key_id": key["key_id"], "key": key["public"]})


def get(call: Call) -> Answer:
    """Name and times; nothing reads the value but jobs."""
    return Answer(_shape(call, _one(call)))


def put(call: Call) -> Answer:
    """A new secret, or a new value."""
    project, environment = scope(call)
    name = valid_name(call.params["secret_name"], "Secret")
    sealed, key_id = call.need("Secret", "encrypted_value", "key_id")
    value = sealing.opened(sealing.key_of(call.store, project, environment), sealed, key_id)
    if len(value.encode()) > _LARGEST:
        raise refused("Secret value is too large: at most 48 KB.")
    now = call.hub.now()
    changes = {"value": value, "updated_at": now, **audience(call)}
    for record in kept(call, "secret"):
        if record["name"] == name:
            call.store.change("secret", record["id"], **changes)
            return Answer(status=204)
    fresh = {"name": name, "environment": environment, "created_at": now, **changes}
    call.store.add("secret", project, fresh)
    return Answer({}, 201)


def delete(call: Call) -> Answer:
    """Gone."""
    call.store.remove("secret", _one(call)["id"])
    return Answer(status=204)


def _one(call: Call) -> Record:
    for record in kept(call, "secret"):
        if record["name"] == call.params["secret_name"].upper():
            return record
    raise not_found()


def _shape(call: Call, record: Record) -> dict[str, Any]:
    told = {key: record[key] for key in ("name", "created_at", "updated_at")}
    if "visibility" in record:
        told["visibility"] = record["visibility"]
        if record["visibility"] == "selected":
            address = f"/orgs/{record['project']}/actions/secrets/{record['name']}/repositories"
            told["selected_repositories_url"] = call.url(address)
    return told


def _register() -> None:
    for under, name in PLACES:
        permission = "" if name == "organization" else name or "secrets"
        read = f"{permission}:read" if permission else ""
        write = f"{permission}:write" if permission else ""
        secrets = f"{under}/secrets"
        one = f"{secrets}/{{secret_name}}"
        handlers: tuple[tuple[Any, str, str, Handler], ...] = (
            (routes.get, secrets, read, list_secrets),
            (routes.get, f"{secrets}/public-key", read, public_key),
            (routes.get, one, read, get),
            (routes.put, one, write, put),
            (routes.delete, one, write, delete),
        )
        for register, path, needed, handler in handlers:
            register(path, permission=needed)(handler)


_register()
