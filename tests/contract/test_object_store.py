"""The sandbox's object storage: an S3 gateway as it is, private, and on this machine alone."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from sandbox.services import object_store
from sandbox.services.authority import Authority
from sandbox.services.object_store import ObjectStore, ObjectStoreError
from tests.contract.object_keys import KEYS


@pytest.fixture
def client(object_store_here: ObjectStore, objects_folder: Path) -> Any:
    """AWS's own client with the gateway's keys."""
    return boto3.client(
        "s3",
        endpoint_url=object_store_here.endpoint,
        region_name=object_store.REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        verify=str(objects_folder / "ca/ca.pem"),
    )


def test_its_buckets_are_there_and_nobody_reads_them_without_a_key(
    object_store_here: ObjectStore, client: Any, objects_folder: Path
) -> None:
    assert [each["Name"] for each in client.list_buckets()["Buckets"]] == ["backups", "states"]
    client.put_object(Bucket="backups", Key="a/b", Body=b"content")
    for path in ("/", "/backups", "/backups?list-type=2", "/backups/a/b"):
        answer = httpx.get(
            object_store_here.endpoint + path, verify=_trusting(objects_folder), trust_env=False
        )
        assert answer.status_code == 403, path
        assert b"content" not in answer.content


def test_what_was_put_outlives_a_new_start(object_store_here: ObjectStore, client: Any) -> None:
    client.put_object(Bucket="states", Key="kept", Body=b"kept", Metadata={"by": "test"})
    object_store_here.stop()
    assert object_store_here.status()["running"] is False
    object_store_here.start(KEYS)
    object_store_here.wait()
    found = client.get_object(Bucket="states", Key="kept")
    assert (found["Body"].read(), found["Metadata"]) == (b"kept", {"by": "test"})


def test_another_key_opens_nothing(object_store_here: ObjectStore, objects_folder: Path) -> None:
    other = boto3.client(
        "s3",
        endpoint_url=object_store_here.endpoint,
        region_name=object_store.REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key="guessed",
        verify=str(objects_folder / "ca/ca.pem"),
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        other.list_objects_v2(Bucket="backups")


def test_no_command_line_and_no_log_shows_its_key(
    object_store_here: ObjectStore, objects_folder: Path
) -> None:
    shown = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, check=True, timeout=20
    )
    assert b"/objects/buckets" in shown.stdout
    assert KEYS["secret_key"].encode() not in shown.stdout
    assert KEYS["secret_key"] not in (objects_folder / "logs/objects.log").read_text()
    outside = [kind for kind in ("0.0.0.0", "::") if _listens(object_store_here, kind)]
    assert outside == []


def test_without_the_program_the_remedy_is_named(
    objects_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ObjectStoreError, match=r"toolchain\.install"):
        ObjectStore(tmp_path, objects_folder, Authority(objects_folder / "ca")).program()


def _listens(object_store_here: ObjectStore, address: str) -> bool:
    port = int(object_store_here.endpoint.rpartition(":")[2])
    wanted = f"{'0' * 8 if address == '0.0.0.0' else '0' * 32}:{port:04X}"
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return any(wanted in table.read_text() for table in tables if table.exists())


def _trusting(objects_folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(objects_folder / "ca/ca.pem"))
