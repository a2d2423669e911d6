"""The registry's token service: who gets a token, for what, and for how long."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from starlette.applications import Starlette

from sandbox.github.access import Tokens
from sandbox.services import registry_tokens as tokens
from sandbox.services.authority import Authority
from sandbox.services.registry_github import github_tokens
from sandbox.store import Store

SERVICE = "registry.sandbox.test"
USERS = {
    "push": {"username": "push", "password": "push-word"},
    "pull": {"username": "pull", "password": "pull-word"},
}
NOW = 1_800_000_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.ensure()
    return made


class Client:
    """Somebody who asks for a token."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(
        self, scopes: Sequence[str] = (), service: str = SERVICE, **more: Any
    ) -> httpx.Response:
        """One request to /token."""
        parameters = {"service": service, "scope": list(scopes)}

        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="https://x") as http:
                return await http.get("/token", params=parameters, **more)

        return asyncio.run(asked())


@pytest.fixture
def client(authority: Authority) -> Client:
    """Somebody asking a service whose clock stands still."""
    issuer = tokens.Issuer(SERVICE, *tokens.signing(authority), clock=lambda: NOW)
    return client_of(issuer, tokens.Accounts(tokens.known_users(USERS)))


def client_of(issuer: tokens.Issuer, accounts: tokens.Accounts) -> Client:
    return Client(tokens.create_app(accounts, issuer, SERVICE))


def claims(authority: Authority, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a token says, once its signature is found to be of the certificate's key."""
    certificate, _ = tokens.signing(authority)
    key: Any = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    token = answer["token"]
    assert jwt.get_unverified_header(token)["kid"] == tokens.key_id(certificate.read_bytes())
    timeless: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    decoded: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], audience=SERVICE, options=timeless
    )
    return decoded


def ask(client: Client, user: str, password: str, *scopes: str) -> Any:
    return client.get(scopes, auth=(user, password))


@pytest.mark.parametrize(
    ("user", "asked", "given"),
    [
        ("push", "repository:example/web:pull,push", ["pull", "push"]),
        ("push", "repository:example/web:delete", ["delete"]),
        ("pull", "repository:example/web:pull", ["pull"]),
        ("pull", "repository:example/web:pull,push", ["pull"]),
        ("push", "registry:catalog:*", ["*"]),
    ],
)
def test_a_user_gets_what_it_asks_for_as_far_as_it_may(
    client: Client, authority: Authority, user: str, asked: str, given: list[str]
) -> None:
    answer = ask(client, user, f"{user}-word", asked)
    assert answer.status_code == 200
    kind, name, _ = asked.split(":")
    said = claims(authority, answer.json())
    assert said["access"] == [{"type": kind, "name": name, "actions": given}]
    assert said["sub"] == user


@pytest.mark.parametrize(
    "scope",
    [
        "repository:example/web:push",
        "repository:example/web:delete",
        "registry:catalog:*",
        "repository:example/web:*",
        "plugin:example/web:pull",
        "nonsense",
        "",
    ],
)
def test_a_token_of_one_who_may_not_says_so_by_saying_nothing(
    client: Client, authority: Authority, scope: str
) -> None:
    answer = ask(client, "pull", "pull-word", scope)
    assert answer.status_code == 200
    assert claims(authority, answer.json())["access"] == []


def test_several_scopes_are_answered_in_one_token(client: Client, authority: Authority) -> None:
    answer = ask(client, "pull", "pull-word", "repository:a:pull repository:b:push,pull")
    both = claims(authority, answer.json())["access"]
    assert [(each["name"], each["actions"]) for each in both] == [("a", ["pull"]), ("b", ["pull"])]


def test_a_login_asks_for_nothing_and_gets_a_token_of_nothing(
    client: Client, authority: Authority
) -> None:
    assert claims(authority, ask(client, "push", "push-word").json())["access"] == []


def test_a_token_is_good_for_minutes(client: Client, authority: Authority) -> None:
    answer = ask(client, "pull", "pull-word").json()
    said = claims(authority, answer)
    assert said["exp"] - said["iat"] == answer["expires_in"] == 300
    assert said["iat"] == NOW
    assert answer["issued_at"] == "2027-01-15T08:00:00Z"


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer abc",
        "Basic",
        "Basic !!!",
        basic(b"no colon"),
        basic(b"\xff\xfe:x"),
        basic(b"pull:wrong"),
        basic(b"pull:push-word"),
        basic(b"pull:"),
        basic(b":pull-word"),
        basic("pull:gehe\u00efm".encode()),
    ],
)
def test_nobody_else_gets_a_token(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.get(["repository:example/web:pull"], headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert "token" not in answer.json()


def test_a_token_for_another_registry_is_not_given(client: Client) -> None:
    answer = client.get(service="ghcr.io", auth=("pull", "pull-word"))
    assert answer.status_code == 400


def test_credentials_from_elsewhere_can_be_plugged_in(authority: Authority) -> None:
    def of_a_workflow(_username: str, password: str) -> tokens.Account | None:
        if password != "ghs_short_lived":
            return None
        return tokens.Account("actions", frozenset({"pull", "push"}), ("example-org/*",))

    issuer = tokens.Issuer(SERVICE, *tokens.signing(authority))
    both = tokens.Accounts(tokens.known_users(USERS), of_a_workflow)
    client = client_of(issuer, both)
    scopes = ("repository:example-org/web:pull,push", "repository:other/web:pull")
    answer = ask(client, "anyone", "ghs_short_lived", *scopes)
    assert claims(authority, answer.json())["access"] == [
        {"type": "repository", "name": "example-org/web", "actions": ["pull", "push"]}
    ]
    assert ask(client, "pull", "pull-word").status_code == 200
    assert ask(client, "anyone", "another").status_code == 401


@pytest.mark.parametrize(
    ("kind", "permissions", "expires", "actions"),
    [
        ("workflow", {"packages": "write"}, None, {"pull", "push"}),
        ("workflow", {"packages": "read"}, None, {"pull"}),
        ("workflow", {"contents": "write"}, None, None),
        ("classic", None, None, {"pull", "push"}),
        ("classic", None, 1.0, None),
    ],
)
def test_a_token_of_the_sandboxs_github_is_a_password_as_far_as_it_may(
    kind: str, permissions: dict[str, str] | None, expires: float | None, actions: set[str] | None
) -> None:
    with closing(Store()) as store:
        token = Tokens(store).mint("developer", kind, permissions=permissions, expires=expires)
        accounts = tokens.Accounts(github_tokens(store))
        found = accounts.find("whoever", token)
        assert (None if found is None else set(found.actions)) == actions
        assert accounts.find("whoever", f"{token}x") is None
        assert accounts.find("developer", "") is None
