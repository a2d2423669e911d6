"""Who may pull and push: the token service the image registry sends its clients to.

As at ghcr.io: a client shows user and password here and gets a token, signed and good
for minutes, of what it may do with the repositories it named; the registry believes the
signature and keeps no password. Only the registry's own protocol is spoken (GET with
basic authentication), not OAuth2's POST, which clients try and fall back from.
"""

import base64
import datetime
import fnmatch
import hashlib
import logging
import re
import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.hosts import network
from sandbox.services.authority import Authority

log = logging.getLogger(__name__)

NAME: Final = "registry-token.sandbox.test"
PORT: Final = 7082
REALM: Final = f"https://{NAME}:{PORT}/token"
# Docker takes anything under a minute for a minute.
LIFE_SECONDS: Final = 300
_ALL: Final = frozenset({"pull", "push", "delete"})
_SCOPE: Final = re.compile(r"(?P<type>[a-z]+):(?P<name>[^\s:]+(?::\d+/[^\s:]+)?):(?P<actions>\S+)")


class Access(TypedDict):
    """One entry of a token, as the Distribution project describes it."""

    type: str
    name: str
    actions: list[str]


@dataclass(frozen=True)
class Account:
    """Somebody the registry knows, and what they may do with which repositories."""

    name: str
    actions: frozenset[str]
    """Of pull, push and delete."""
    repositories: tuple[str, ...] = ("*",)
    """Patterns as a shell's: example-org/*"""

    def access(self, scopes: Sequence[str]) -> list[Access]:
        """What of the `scopes` asked for (repository:NAME:pull,push) is theirs."""
        given: list[Access] = []
        for text in (each for scope in scopes for each in scope.split()):
            scope = _SCOPE.fullmatch(text)
            if scope is None:
                continue
            allowed = self._allowed(scope["type"], scope["name"]) & set(scope["actions"].split(","))
            if allowed:
                given.append(
                    Access(type=scope["type"], name=scope["name"], actions=sorted(allowed))
                )
        return given

    def _allowed(self, kind: str, name: str) -> frozenset[str]:
        if kind == "repository" and any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self.repositories
        ):
            return self.actions
        # The list of all repositories: for those who may do everything.
        if kind == "registry" and self.actions == _ALL and "*" in self.repositories:
            return frozenset({"*"})
        return frozenset()


Lookup = Callable[[str, str], Account | None]
"""User name and password → whose they are; None for nobody's."""


class Accounts:
    """Every place credentials may come from, asked in turn. May be asked from any thread."""

    def __init__(self, *lookups: Lookup) -> None:
        self._lookups = lookups

    def find(self, username: str, password: str) -> Account | None:
        """Whose credentials these are. An empty password is nobody's."""
        if not password:
            return None
        found = (lookup(username, password) for lookup in self._lookups)
        return next((account for account in found if account is not None), None)


def known_users(users: Mapping[str, Mapping[str, str]]) -> Lookup:
    """The two of credentials.json: `push` may do everything, `pull` only that.

    users  {"push" or "pull": {"username", "password"}}
    """
    rights = {"push": _ALL, "pull": frozenset({"pull"})}

    def find(username: str, password: str) -> Account | None:
        found = None
        for role, actions in rights.items():
            user = users[role]
            is_name = secrets.compare_digest(user["username"].encode(), username.encode())
            is_word = secrets.compare_digest(user["password"].encode(), password.encode())
            if is_name and is_word:
                found = Account(username, actions)
        return found

    return find


class Issuer:
    """Signs tokens for one registry with the key of a certificate the registry was given."""

    def __init__(
        self,
        service: str,
        certificate: Path,
        key: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._key = key.read_bytes()
        self._key_id = key_id(certificate.read_bytes())
        self._clock = clock

    def issue(self, subject: str, access: Sequence[Access]) -> dict[str, object]:
        """The answer a client gets."""
        now = int(self._clock())
        token = jwt.encode(
            {
                "iss": NAME,
                "sub": subject,
                "aud": self._service,
                "iat": now,
                "nbf": now - 10,
                "exp": now + LIFE_SECONDS,
                "jti": secrets.token_hex(8),
                "access": access,
            },
            self._key,
            algorithm="ES256",
            headers={"kid": self._key_id},
        )
        issued = datetime.datetime.fromtimestamp(now, datetime.UTC)
        return {
            "token": token,
            "access_token": token,
            "expires_in": LIFE_SECONDS,
            "issued_at": issued.isoformat().replace("+00:00", "Z"),
        }


def key_id(certificate: bytes) -> str:
    """The name the registry gives the key of a certificate (PEM): libtrust's fingerprint."""
    public = (
        x509.load_pem_x509_certificate(certificate)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def signing(authority: Authority) -> tuple[Path, Path]:
    """Certificate and key tokens are signed with, and the service is reached by."""
    return authority.issue(NAME, (network.GATEWAY4,))


def create_app(accounts: Accounts, issuer: Issuer, service: str) -> Starlette:
    """GET /token?service=…&scope=repository:NAME:pull,push, with basic authentication."""

    async def token(request: Request) -> Response:
        pair = _basic(request.headers.get("authorization", ""))
        account = await run_in_threadpool(accounts.find, *pair) if pair else None
        asked = request.query_params.get("service")
        if account is None:
            log.info("no token for %s", repr(pair[0]) if pair else "somebody without a password")
            why = "user and password are not known here" if pair else "a login is needed"
            return _refusal(401, "UNAUTHORIZED", why, service)
        if asked != service:
            return _refusal(400, "UNSUPPORTED", f"there is only the service {service}", service)
        access = account.access(request.query_params.getlist("scope"))
        return JSONResponse(
            issuer.issue(account.name, access), headers={"Cache-Control": "no-store"}
        )

    return Starlette(routes=[Route("/token", token, methods=["GET"])])


def answers(authority: Authority) -> bool:
    """Whether the service refuses somebody without a password, as it should."""
    try:
        reply = httpx.get(
            f"https://{network.GATEWAY4}:{PORT}/token",
            verify=ssl.create_default_context(cafile=str(authority.certificate)),
            timeout=2.0,
            trust_env=False,
        )
    except httpx.HTTPError:
        return False
    return reply.status_code == 401


def _refusal(status: int, code: str, message: str, service: str) -> Response:
    headers = {"WWW-Authenticate": f'Basic realm="{service}"'} if status == 401 else {}
    errors = {"errors": [{"code": code, "message": message}]}
    return JSONResponse(errors, status, headers=headers)


def _basic(header: str) -> tuple[str, str] | None:
    """User name and password of an Authorization header; None where there are none."""
    kind, _, value = header.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (name, password) if colon else None
