"""GitHub Apps: what an app asks with its own web token, and the tokens it gets to work with."""

from typing import Any

from sandbox.github import access, accounts, payloads
from sandbox.github.call import Call
from sandbox.github.errors import GithubError, not_found, refused
from sandbox.github.hub import iso
from sandbox.github.listing import page
from sandbox.github.resources import repositories
from sandbox.github.routing import Answer, Routes
from sandbox.store import Record

routes = Routes()

_INSTALLATIONS = "/app/installations"
_HOUR = 3600
_LEVELS = ("read", "write", "admin")


@routes.get("/app")
def get(call: Call) -> Answer:
    """The app itself."""
    app = _own(call)
    owner = accounts.simple(call.hub, app["account"])
    return Answer(
        {
            "id": app["id"],
            "slug": app["slug"],
            "node_id": f"A_{app['id']}",
            "client_id": f"Iv1.{app['id']:016x}",
            "owner": owner,
            "name": app["slug"],
            "description": "",
            "external_url": call.hub.url,
            "html_url": f"{call.hub.url}/apps/{app['slug']}",
            "created_at": app["created_at"],
            "updated_at": app["created_at"],
            "permissions": app["permissions"],
            "events": [],
            "installations_count": 1,
        }
    )


@routes.get(_INSTALLATIONS)
def list_installations(call: Call) -> Answer:
    """Where it is installed."""
    app = _own(call)
    return page(call, [app], lambda record: _installation(call, record))


@routes.get(_INSTALLATIONS + "/{installation_id}")
def get_installation(call: Call) -> Answer:
    """One of them."""
    return Answer(_installation(call, _installed(call)))


@routes.get("/repos/{owner}/{repo}/installation")
def of_repository(call: Call) -> Answer:
    """Its installation for a repository."""
    app = _own(call)
    owner, name = call.params["owner"], call.params["repo"]
    if call.hub.repository(owner, name)["owner"] != app["account"]:
        raise not_found()
    return Answer(_installation(call, app))


@routes.get("/orgs/{org}/installation")
def of_organization(call: Call) -> Answer:
    """Its installation for an organisation."""
    app = _own(call)
    if call.hub.account(call.params["org"])["login"] != app["account"]:
        raise not_found()
    return Answer(_installation(call, app))


@routes.post(_INSTALLATIONS + "/{installation_id}/access_tokens")
def create_token(call: Call) -> Answer:
    """A token for an hour: for all repositories or some, with all permissions or fewer."""
    app = _installed(call)
    asked = call.body.get("permissions") or app["permissions"]
    for name, level in asked.items():
        granted = app["permissions"].get(name)
        if level not in _LEVELS or granted is None or _LEVELS.index(level) > _LEVELS.index(granted):
            raise refused("The permissions requested are not granted to this installation.")
    chosen = _chosen(call, app)
    expires = call.store.now() + _HOUR
    reach = [record["full_name"] for record in chosen] or [f"{app['account']}/*"]
    token = call.hub.tokens.mint(
        app["bot"], "installation", permissions=asked, repositories=reach, expires=expires
    )
    told: Record = {
        "token": token,
        "expires_at": iso(expires),
        "permissions": asked,
        "repository_selection": "selected" if chosen else "all",
    }
    if chosen:
        told["repositories"] = [payloads.repository(call.hub, record) for record in chosen]
    return Answer(told, 201)


@routes.get("/installation/repositories")
def repositories_of_token(call: Call) -> Answer:
    """What an installation's (or a run's) token reaches."""
    if call.caller.kind not in ("installation", "workflow"):
        raise GithubError(403, "You must authenticate with an installation access token.")
    found = [
        record
        for record in call.store.all("repository")
        if access.role(call.store, call.caller, record) == "admin"
    ]
    return page(call, found, lambda r: repositories.shape(call, r), under="repositories")


def _own(call: Call) -> Record:
    if call.caller.kind != "app":
        raise GithubError(401, "A JSON web token could not be decoded")
    record = call.store.get("app", call.caller.token_id)
    if record is None:
        raise GithubError(404, "Integration not found")
    return record


def _installed(call: Call) -> Record:
    app = _own(call)
    if str(app["installation_id"]) != call.params["installation_id"]:
        raise not_found()
    return app


def _chosen(call: Call, app: Record) -> list[Record]:
    wanted = {str(number) for number in call.body.get("repository_ids") or []}
    names = {str(name) for name in call.body.get("repositories") or []}
    found = [
        record
        for record in call.store.all("repository")
        if record["owner"] == app["account"]
        and (str(record["id"]) in wanted or record["name"] in names)
    ]
    if len(found) < len(wanted) + len(names):
        raise refused(
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation."
        )
    return found


def _installation(call: Call, app: Record) -> dict[str, Any]:
    number, account = app["installation_id"], accounts.simple(call.hub, app["account"])
    settings = f"{call.hub.url}/organizations/{app['account']}/settings"
    return {
        "id": number,
        "account": account,
        "repository_selection": "all",
        "access_tokens_url": call.url(f"/app/installations/{number}/access_tokens"),
        "repositories_url": call.url("/installation/repositories"),
        "html_url": f"{settings}/installations/{number}",
        "app_id": app["id"],
        "app_slug": app["slug"],
        "target_id": account["id"],
        "target_type": account["type"],
        "permissions": app["permissions"],
        "events": [],
        "created_at": app["created_at"],
        "updated_at": app["created_at"],
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": None,
    }
