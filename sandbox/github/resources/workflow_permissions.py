"""Whether a repository's workflows run, and what they may do by themselves."""

from sandbox.github.actions.uses import ACCESS_LEVELS, NO_ACCESS
from sandbox.github.call import Call
from sandbox.github.errors import invalid, refused
from sandbox.github.routing import Answer, Routes

routes = Routes()

_SWITCH = "/repos/{owner}/{repo}/actions/permissions"
_PATH = _SWITCH + "/workflow"
_ACCESS = _SWITCH + "/access"


@routes.get(_SWITCH, permission="administration:read")
def switched(call: Call) -> Answer:
    """Whether workflows run here; in a fork they do not before somebody switches them on."""
    enabled = call.repository.get("actions_enabled", not call.repository.get("fork_of"))
    return Answer({"enabled": enabled, "allowed_actions": "all", "sha_pinning_required": False})


@routes.put(_SWITCH, permission="administration:write")
def switch(call: Call) -> Answer:
    """Switch them on or off."""
    enabled = call.body.get("enabled") is True
    call.store.change("repository", call.repository["id"], actions_enabled=enabled)
    return Answer(status=204)


@routes.get(_PATH, permission="administration:read")
def get(call: Call) -> Answer:
    """As it is set; a new repository's workflows may read, and open no pull requests."""
    return Answer(
        {
            "default_workflow_permissions": call.repository.get("workflow_permissions", "read"),
            "can_approve_pull_request_reviews": call.repository.get("actions_may_approve", False),
        }
    )


@routes.put(_PATH, permission="administration:write")
def change(call: Call) -> Answer:
    """Set either or both."""
    changes = {}
    if "default_workflow_permissions" in call.body:
        value = call.body["default_workflow_permissions"]
        if value not in ("read", "write"):
            raise invalid("Repository", "default_workflow_permissions")
        changes["workflow_permissions"] = value
    if "can_approve_pull_request_reviews" in call.body:
        changes["actions_may_approve"] = call.body["can_approve_pull_request_reviews"] is True
    call.store.change("repository", call.repository["id"], **changes)
    return Answer(status=204)


@routes.get(_ACCESS, permission="administration:read")
def accessible(call: Call) -> Answer:
    """Whose workflows may call what is here; nobody's, before somebody lets them."""
    _check_private(call)
    return Answer({"access_level": call.repository.get("actions_access", NO_ACCESS)})


@routes.put(_ACCESS, permission="administration:write")
def give_access(call: Call) -> Answer:
    """Let the workflows of the same owner's private repositories, or nobody's."""
    _check_private(call)
    (level,) = call.need("Repository", "access_level")
    if level not in ACCESS_LEVELS:
        raise invalid("Repository", "access_level")
    call.store.change("repository", call.repository["id"], actions_access=level)
    return Answer(status=204)


def _check_private(call: Call) -> None:
    if not call.repository["private"]:
        raise refused("Access policy only applies to internal and private repositories.")
