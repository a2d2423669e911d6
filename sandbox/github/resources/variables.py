"""Variables of repositories, environments and organisations: what jobs may know, and people."""

from typing import Any

from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.listing import page
from sandbox.github.resources import secrets
from sandbox.github.routing import Answer, Handler, Routes
from sandbox.store import Record

routes = Routes()

_LARGEST = 48 * 1024


def list_variables(call: Call) -> Answer:
    """All, with their values."""
    found = secrets.kept(call, "variable")
    return page(call, found, lambda record: _shape(call, record), under="variables")


def get(call: Call) -> Answer:
    """One."""
    return Answer(_shape(call, _one(call, call.params["name"])))


def create(call: Call) -> Answer:
    """A new one."""
    project, environment = secrets.scope(call)
    name, value = call.body.get("name"), call.body.get("value")
    if not isinstance(name, str) or not isinstance(value, str):
        raise refused('Invalid request.\n\n"name" and "value" have to be strings.')
    name = secrets.valid_name(name, "Variable")
    if any(record["name"] == name for record in secrets.kept(call, "variable")):
        raise GithubError(409, "Already exists - Variable already exists")
    now = call.hub.now()
    record = {
        "name": name,
        "value": _sized(value),
        "environment": environment,
        "created_at": now,
        "updated_at": now,
        **secrets.audience(call),
    }
    call.store.add("variable", project, record)
    return Answer({}, 201)


def change(call: Call) -> Answer:
    """Another value, another name."""
    record = _one(call, call.params["name"])
    changes: Record = {"updated_at": call.hub.now()}
    if "name" in call.body:
        changes["name"] = secrets.valid_name(str(call.body["name"]), "Variable")
    if "value" in call.body:
        changes["value"] = _sized(str(call.body["value"]))
    if "visibility" in call.body:
        changes |= secrets.audience(call)
    call.store.change("variable", record["id"], **changes)
    return Answer(status=204)


def delete(call: Call) -> Answer:
    """Gone."""
    call.store.remove("variable", _one(call, call.params["name"])["id"])
    return Answer(status=204)


def _sized(value: str) -> str:
    if len(value.encode()) > _LARGEST:
        raise refused("Variable value is too large: at most 48 KB.")
    return value


def _one(call: Call, name: str) -> Record:
    for record in secrets.kept(call, "variable"):
        if record["name"] == name.upper():
            return record
    raise not_found()


def _shape(call: Call, record: Record) -> dict[str, Any]:
    told = {key: record[key] for key in ("name", "value", "created_at", "updated_at")}
    if "visibility" in record:
        told["visibility"] = record["visibility"]
        if record["visibility"] == "selected":
            address = f"/orgs/{record['project']}/actions/variables/{record['name']}/repositories"
            told["selected_repositories_url"] = call.url(address)
    return told


def _register() -> None:
    for under, name in secrets.PLACES:
        permission = "" if name == "organization" else name or "variables"
        read = f"{permission}:read" if permission else ""
        write = f"{permission}:write" if permission else ""
        variables = f"{under}/variables"
        one = f"{variables}/{{name}}"
        handlers: tuple[tuple[Any, str, str, Handler], ...] = (
            (routes.get, variables, read, list_variables),
            (routes.post, variables, write, create),
            (routes.get, one, read, get),
            (routes.patch, one, write, change),
            (routes.delete, one, write, delete),
        )
        for register, path, needed, handler in handlers:
            register(path, permission=needed)(handler)


_register()
