"""Moving a ref through the API: by the rules of a push, and with the events of one."""

from sandbox.github import access, pushes, rules
from sandbox.github.call import Call
from sandbox.github.errors import GithubError
from sandbox.github.git import NONE, GitError


def move(call: Call, ref: str, old: str, new: str, *, status: int = 422) -> None:
    """Move, make (old = NONE) or delete (new = NONE) a ref of the call's repository.

    status  of the refusal where rules forbid it. Raises 409 when it has moved meanwhile, and
    403 for a token that may not bring workflow files.
    """
    rules.check_update(call.hub, call.repository, call.caller, ref, old, new, status=status)
    git = call.hub.git(call.repository)
    if new != NONE and not pushes.may_change_workflows(call.caller):
        changed = git.run(
            "log", "--format=", "--name-only", new, "--not", "--all", "--", ".github/workflows"
        )
        if changed:
            headers = {"X-Accepted-GitHub-Permissions": "contents=write,workflows=write"}
            raise GithubError(403, access.REFUSALS[call.caller.kind], headers=headers)
    try:
        if new == NONE:
            git.delete(ref)
        else:
            git.update(ref, new, old)
    except GitError as error:
        raise GithubError(409, f"{ref} could not be moved: {error}") from None
    call.events += pushes.moved(call.hub, call.repository, call.caller, ref, old, new)
