"""Backups in a real S3-compatible bucket; the agent's side of a session is faked."""

import base64
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyrage
import pytest
from botocore.exceptions import ClientError

from flow import backends, clock, saving, server
from flow.backups import records, restoring, retention, sealing
from flow.backups.bucket import Bucket, Place
from flow.backups.keeping import Store
from flow.backups.records import ASKED, SAFETY, Backup
from flow.errors import FlowError
from flow.stages import Stages
from flow.state import State
from sandbox.services.object_store import ObjectStore
from tests.contract.object_keys import KEYS

FOUND = State(
    {"version": "1.0.0", "release": "r-1", "ssh": "ssh root@192.0.2.7"},
    release={"version": "1.0.0", "revision": "c0ffee"},
)
TEAM = pyrage.x25519.Identity.generate()
DATA = b"PGDMP the campaign " * 9000
Agent = Callable[..., None]


@pytest.fixture(autouse=True)
def environment(
    object_store_here: ObjectStore, objects_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a runner has it."""
    for name, value in {
        "BACKUP_BUCKET": "backups",
        "BACKUP_ENDPOINT": object_store_here.endpoint,
        "BACKUP_REGION": "eu-central",
        "BACKUP_ACCESS_KEY_ID": KEYS["access_key"],
        "BACKUP_SECRET_ACCESS_KEY": KEYS["secret_key"],
        "SSL_CERT_FILE": str(objects_folder / "ca/ca.pem"),
        "REQUESTS_CA_BUNDLE": str(objects_folder / "ca/ca.pem"),
        # A passphrase would take age seconds each time, so that nobody guesses it.
        saving.RECIPIENT: str(TEAM.to_public()),
        sealing.IDENTITY: str(TEAM),
        clock.AHEAD: "0",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Backups of a project of this test's own."""
    made = Store(Bucket(Place.of_backups()), f"p-{request.node.name[:40]}".strip("[]"))
    yield made
    made.bucket.delete(list(made.bucket.listed(f"{made.project}/")))


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    """Makes the agent answer a dump with this content, and rows with these."""

    def answer(
        content: bytes = DATA, *, digest: str = "", restores: Sequence[str] = ("db",)
    ) -> None:
        pieces = [content[at : at + 4500] for at in range(0, len(content), 4500)]

        def ask(_: str, __: State, words: str, ___: float) -> Iterator[dict[str, Any]]:
            if words == "rows":
                rows = {"db": {"tasks": 24}}
                yield {"result": {"ok": True, "rows": rows, "restores": list(restores)}}
                return
            if words == "status":
                release = {"id": "r-1", "version": "1.0.0", "revision": "c0ffee"}
                yield {"result": {"ok": True, "release": release}}
                return
            yield {"dump": "db"}
            for piece in pieces:
                yield {"data": base64.b64encode(piece).decode()}
            yield {"end": "db", "sha256": digest or hashlib.sha256(content).hexdigest()}
            yield {"result": {"ok": True, "dumps": ["db"], "data": ["db"]}}

        monkeypatch.setattr(server, "ask", ask)

    answer()
    return answer


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a restore sends to the server."""
    seen: dict[str, Any] = {}

    def restore(
        stack: str, _: State, parts: Sequence[Mapping[str, Any]], write: Any, __: Any, **more: bool
    ) -> dict[str, Any]:
        assert more == {"scrubbed": False}
        pipe = io.BytesIO()
        write(pipe)
        seen.update(stack=stack, parts=parts, content=pipe.getvalue())
        return {"ok": True, "stopped_seconds": 1.5}

    monkeypatch.setattr(server, "restore", restore)
    return seen


def create(store: Store, why: str = ASKED) -> Backup:
    later()
    return store.create("staging", FOUND, why, _silent)


def later(days: float = 0) -> None:
    """A minute passes, or so many days: two backups of one second have no order."""
    os.environ[clock.AHEAD] = str(float(os.environ.get(clock.AHEAD) or 0) + 60 + days * 86400)


def _silent(_: str) -> None:
    """Progress nobody reads in a test."""


def keys(store: Store) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in store.bucket.listed(f"{store.project}/"))


def restore(store: Store, backup: Backup, *, safety: bool = True) -> restoring.Restored:
    later()
    with Stages() as stages:
        return restoring.restore(store, "staging", FOUND, backup, stages, safety=safety)


def test_a_backup_is_kept_sealed_with_what_is_known_of_it(store: Store, agent: Agent) -> None:
    made = create(store)
    assert store.found("staging") == [made]
    assert (made.version, made.bytes, made.rows) == ("1.0.0", len(DATA), {"db": {"tasks": 24}})
    assert made.parts[0].sha256 == hashlib.sha256(DATA).hexdigest()
    folder = records.folder(store.project, "staging", made.id)
    assert keys(store) == ["backup.json", "db.age"]
    assert b"campaign" not in store.bucket.get(f"{folder}db.age")


def test_a_restore_brings_back_what_was_saved_and_saves_what_is_there_first(
    store: Store, agent: Agent, arrived: dict[str, Any]
) -> None:
    made = create(store)
    agent(b"what is there now")
    done = restore(store, made)
    assert arrived["content"] == DATA
    assert arrived["parts"] == [
        {"service": "db", "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    ]
    assert done.safety is not None
    assert [each.why for each in store.found("staging")] == [ASKED, SAFETY]
    restore(store, store.one("staging", done.safety.id), safety=False)
    assert arrived["content"] == b"what is there now"


def test_without_a_teams_key_the_passphrase_seals_and_opens(
    store: Store, agent: Agent, arrived: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (saving.RECIPIENT, sealing.IDENTITY):
        monkeypatch.delenv(name)
    monkeypatch.setenv(backends.PASSPHRASE, "correct horse")
    made = create(store)
    assert keys(store) == ["backup.json", "db.age", "identity.age"]
    restore(store, made, safety=False)
    assert arrived["content"] == DATA
    folder = records.folder(store.project, "staging", made.id)
    store.bucket.delete([f"{folder}{records.IDENTITY}"])
    assert store.found("staging") == []  # nobody could open it


@pytest.mark.parametrize("cut", [DATA[:50], b""])
def test_a_dump_that_was_cut_leaves_nothing_in_the_bucket(
    store: Store, agent: Agent, cut: bytes
) -> None:
    agent(cut, digest="0" * 64)
    with pytest.raises(FlowError, match="was cut"):
        create(store)
    assert keys(store) == []


def test_a_backup_that_was_never_finished_or_has_lost_a_file_is_none(
    store: Store, agent: Agent
) -> None:
    good, other = create(store), create(store)
    folder = records.folder(store.project, "staging", other.id)
    store.bucket.put(f"{folder}db.age", b"cut")
    assert store.found("staging") == [good]
    store.bucket.delete([f"{folder}{records.FILE}"])
    assert store.found("staging") == [good]


def test_a_file_that_was_changed_in_the_bucket_is_sent_to_no_server(
    store: Store, agent: Agent, arrived: dict[str, Any]
) -> None:
    made = create(store)
    key = f"{records.folder(store.project, 'staging', made.id)}db.age"
    content = bytearray(store.bucket.get(key))
    content[-1] ^= 1
    store.bucket.put(key, bytes(content))
    with pytest.raises(FlowError, match="it was changed in the bucket"):
        restore(store, made)
    assert arrived == {}
    assert len(store.found("staging")) == 1  # not even a safety backup was made


def test_a_service_that_says_no_way_back_is_named_before_anything_is_done(
    store: Store, agent: Agent, arrived: dict[str, Any]
) -> None:
    made = create(store)
    agent(restores=())
    with pytest.raises(FlowError, match="no service db on staging says how") as error:
        restore(store, made)
    assert "deployment-flow.restore" in error.value.remedy
    assert arrived == {}


def test_a_restore_that_fails_names_the_way_back(
    store: Store, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(store)

    def fail(*_: Any, **__: Any) -> Any:
        raise FlowError("service db did not take its data back", "look at it")

    monkeypatch.setattr(server, "restore", fail)
    with pytest.raises(FlowError) as error:
        restore(store, made)
    safety = store.found("staging")[-1].id
    assert f"flow backup restore staging --from {safety}" in error.value.remedy


def _policy(*actions: str) -> str:
    resources = ["arn:aws:s3:::backups", "arn:aws:s3:::backups/*"]
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": resources}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    ("action", "can"),
    [("s3:ListBucket", "list"), ("s3:GetObject", "read"), ("s3:PutObject", "write to")],
)
def test_a_bucket_that_is_not_private_gets_no_data(
    store: Store, agent: Agent, action: str, can: str
) -> None:
    client = store.bucket._client
    client.put_bucket_policy(Bucket="backups", Policy=_policy(action))
    try:
        with pytest.raises(FlowError, match=f"anybody can {can} the bucket backups"):
            create(store)
        assert keys(store) == []
    finally:
        client.delete_bucket_policy(Bucket="backups")
    assert create(store)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("BACKUP_BUCKET", "nosuch", "there is no such bucket"),
        ("BACKUP_SECRET_ACCESS_KEY", "guessed", "the secret is another"),
        ("BACKUP_ACCESS_KEY_ID", "NOBODY", "(the key is|access key ID)"),
        ("BACKUP_ENDPOINT", "http://storage.example.org", "no https address"),
        ("BACKUP_BUCKET", "", "BACKUP_BUCKET not set"),
    ],
)
def test_a_bucket_that_cannot_be_used_says_why(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(FlowError, match=problem) as error:
        create(Store(Bucket(Place.of_backups()), "p"))
    assert KEYS["secret_key"] not in f"{error.value.problem} {error.value.remedy}"


def test_what_others_stand_for_is_removed_with_all_its_files(store: Store, agent: Agent) -> None:
    first = create(store)
    later(days=2)
    second = create(store)
    assert store.prune("staging", retention.Policy(1, 1, 1), _silent) == [first]
    assert store.found("staging") == [second]
    assert len(keys(store)) == 2


def test_a_key_that_may_not_delete_fails_no_backup(without_delete: Place, agent: Agent) -> None:
    store = Store(Bucket(without_delete), "p")
    first = create(store)
    later(days=2)
    second = create(store)
    said: list[str] = []
    assert store.prune("staging", retention.Policy(1, 0, 0), said.append) == []
    assert "the key may not do that" in said[0]
    assert store.found("staging") == [first, second]


def test_what_a_key_that_may_not_delete_leaves_is_one_file_and_never_a_backup(
    without_delete: Place, agent: Agent
) -> None:
    store = Store(Bucket(without_delete), "p")
    for _ in range(2):
        store.bucket.check_private("p/staging/")
    assert list(store.bucket.listed("p/")) == ["p/staging/.private"]
    assert store.found("staging") == []
    with pytest.raises(FlowError, match="there is no backup of staging"):
        store.one("staging", None)
    made = create(store)
    assert store.one("staging", None) == made
    assert store.found("staging") == [made]


def test_a_removal_that_fails_for_another_reason_than_the_keys_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: str) -> None:
        told: Any = {"Error": {"Code": "SlowDown", "Message": "ask less often"}}
        raise ClientError(told, "DeleteObject")

    with monkeypatch.context() as patch:
        patch.setattr(store.bucket._client, "delete_object", fail)
        with pytest.raises(FlowError, match="cannot delete from it: SlowDown: ask less often"):
            store.bucket.check_private(f"{store.project}/staging/")
