"""Who may do what: tokens, the permissions they carry, and the roles of people.

A token is of one of three kinds. A person's (`classic`: all that the person may; `fine_grained`:
only its permissions, in its repositories), a workflow run's GITHUB_TOKEN (`workflow`: one
repository, the job's permissions), and an app installation's (`installation`).
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jwt

from sandbox.github.errors import GithubError, not_found
from sandbox.store import Record, Store

ROLES = ("none", "read", "triage", "write", "maintain", "admin")
_PREFIX = {
    "classic": "ghp_",
    "fine_grained": "github_pat_",
    "workflow": "ghs_",
    "installation": "ghs_",
}
# All that a run's own token can be given; more cannot be asked for in a workflow file.
WORKFLOW_PERMISSIONS = frozenset(
    {"actions", "attestations", "checks", "contents", "deployments", "discussions", "id_token"}
    | {"issues", "metadata", "models", "packages", "pages", "pull_requests", "security_events"}
    | {"statuses"}
)
# What a person needs to be for it; reading takes `read`, any other writing takes `write`.
_ADMINISTRATIVE = frozenset({"administration", "environments", "secrets", "variables"})
REFUSALS = {
    "app": "Resource not accessible by integration",
    "fine_grained": "Resource not accessible by personal access token",
    "workflow": "Resource not accessible by integration",
    "installation": "Resource not accessible by integration",
}
_LEVELS = {"none": 0, "read": 1, "write": 2, "admin": 3}
BOT = "github-actions[bot]"


@dataclass(frozen=True)
class Caller:
    """Who calls. `login` is the person's, the app's bot's, or "" for nobody and an app itself.

    kind          of the token; `anonymous` without one, `app` for an app's own JSON web token

    permissions   {"contents": "write"} of a token that is limited to them; None: all the person's
    repositories  full names the token reaches; None: every one the person does
    expires       epoch seconds, or None
    """

    login: str
    kind: str
    permissions: Mapping[str, str] | None = None
    repositories: tuple[str, ...] | None = None
    token_id: str = ""
    expires: float | None = None

    @property
    def is_workflow(self) -> bool:
        """A run's own GITHUB_TOKEN: what it makes starts no workflow."""
        return self.kind == "workflow"


NOBODY = Caller("", "anonymous")


class Tokens:
    """Makes tokens and finds their callers; only their hashes are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def mint(
        self,
        login: str,
        kind: str = "classic",
        *,
        permissions: Mapping[str, str] | None = None,
        repositories: Sequence[str] | None = None,
        expires: float | None = None,
        token: str | None = None,
    ) -> str:
        """A new token, or the given one; `expires` in epoch seconds of the sandbox's clock."""
        value = token or _PREFIX[kind] + secrets.token_hex(20)
        if self._store.get("token", _digest(value)) is None:
            record = {
                "id": _digest(value),
                "login": login,
                "kind": kind,
                "permissions": None if permissions is None else _named(permissions),
                "repositories": None if repositories is None else list(repositories),
                "expires": expires,
            }
            self._store.add("token", "", record)
        return value

    def revoke(self, token: str) -> None:
        """From now on it is a bad credential."""
        self._store.remove("token", _digest(token))

    def caller(self, token: str | None) -> Caller:
        """Whose token it is; nobody's without one. Raises 401 for one that is not known."""
        if not token:
            return NOBODY
        if token.count(".") == 2:
            return self._app(token)
        record = self._store.get("token", _digest(token))
        expired = record and record["expires"] and record["expires"] < self._store.now()
        if record is None or expired:
            raise GithubError(401, "Bad credentials")
        repositories = record["repositories"]
        return Caller(
            record["login"],
            record["kind"],
            record["permissions"],
            None if repositories is None else tuple(repositories),
            record["id"],
            record["expires"],
        )

    def _app(self, token: str) -> Caller:
        """The app that signed a JSON web token with its key: it asks for tokens, and no more."""
        try:
            claimed = jwt.decode(token, options={"verify_signature": False})
            app = self._store.get("app", str(claimed.get("iss", "")))
            if app is None:
                raise GithubError(404, "Integration not found")
            told = jwt.decode(token, app["public_key"], ["RS256"], leeway=60)
        except jwt.ExpiredSignatureError:
            raise GithubError(
                401, "'Expiration time' claim ('exp') must be in the future"
            ) from None
        except jwt.PyJWTError:
            raise GithubError(401, "A JSON web token could not be decoded") from None
        if "exp" not in told or told["exp"] - told.get("iat", 0) > 660:
            raise GithubError(401, "'Expiration time' claim ('exp') is too far in the future")
        return Caller("", "app", {}, (), str(app["id"]))


def _named(permissions: Mapping[str, str]) -> dict[str, str]:
    # Workflow files write `pull-requests`, the API `pull_requests`.
    return {name.replace("-", "_"): level for name, level in permissions.items()}


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def role(store: Store, caller: Caller, repository: Record) -> str:
    """The caller's role in a repository: of a person, of a token's reach."""
    full_name = repository["full_name"]
    reach = caller.repositories
    # An installation may be for all of an owner's: `example-org/*`.
    if reach is not None and not {full_name, f"{repository['owner']}/*"} & set(reach):
        return "none" if repository["private"] else "read"
    if caller.kind in ("workflow", "installation"):
        return "admin"  # its permissions alone decide
    found = "none" if repository["private"] else "read"
    if caller.login:
        if caller.login == repository["owner"]:
            return "admin"
        organisations = store.all("organization")
        owner = next((o for o in organisations if o["login"] == repository["owner"]), None)
        membership = owner["members"].get(caller.login) if owner else None
        if membership == "admin":
            return "admin"
        if membership:
            # What GitHub calls the base permission; an organisation may change it there.
            found = "read"
        given = repository["collaborators"].get(caller.login)
        if given and ROLES.index(given) > ROLES.index(found):
            found = given
    return found


def check(
    store: Store, caller: Caller, repository: Record | None, permission: str, needed: str = ""
) -> None:
    """Raise GitHub's refusal unless the caller may; 404 for what it may not even see.

    permission  `contents:write`, several with `|` where one of them will do, "" for any token
    needed      the role, where it is not the usual one of the (first) permission
    """
    name, _, level = permission.partition("|")[0].partition(":")
    # What an app asks for itself its handler decides.
    if repository is not None and (caller.kind != "app" or permission):
        _check_role(role(store, caller, repository), needed or _usual_role(name, level))
    if not permission:
        return
    if level == "write" and not caller.login:
        raise GithubError(401, "Requires authentication")
    public = repository is not None and not repository["private"]
    alternatives = permission.split("|")
    if not any(granted(caller, alternative, public=public) for alternative in alternatives):
        accepted = "; ".join(alternatives).replace(":", "=")
        headers = {"X-Accepted-GitHub-Permissions": accepted}
        raise GithubError(403, REFUSALS[caller.kind], headers=headers)


def granted(caller: Caller, permission: str, *, public: bool = False) -> bool:
    """Whether the token is for that: `contents:write`; what is public anybody's may read."""
    name, _, level = permission.partition(":")
    if caller.permissions is None or name == "metadata":
        return True
    name = name.replace("-", "_")
    granted = caller.permissions.get(name, "none")
    if caller.is_workflow and name not in WORKFLOW_PERMISSIONS:
        granted = "none"
    readable = public and level == "read" and name not in _ADMINISTRATIVE
    return readable or _LEVELS[granted] >= _LEVELS[level]


def _usual_role(name: str, level: str) -> str:
    if name not in _ADMINISTRATIVE:
        return "write" if level == "write" else "read"
    if level == "write":
        return "admin"
    return "read" if name == "administration" else "write"


def _check_role(has: str, needed: str) -> None:
    if has == "none":
        raise not_found()
    if ROLES.index(has) < ROLES.index(needed):
        if needed == "admin":
            raise GithubError(403, "Must have admin rights to Repository.")
        raise GithubError(403, f"Must have {needed} access to Repository.")


def token_of(header: str | None) -> str | None:
    """The token in an Authorization header: `token x`, `Bearer x`, or Basic's password."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return value.strip() or None
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise GithubError(401, "Bad credentials") from None
        return password or user or None
    return None
