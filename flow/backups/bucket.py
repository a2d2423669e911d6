"""An S3-compatible bucket that is private, through AWS's own client."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from flow.errors import FlowError

BUCKET = "BACKUP_BUCKET"
ENDPOINT = "BACKUP_ENDPOINT"
REGION = "BACKUP_REGION"
ACCESS_KEY = "BACKUP_ACCESS_KEY_ID"
SECRET_KEY = "BACKUP_SECRET_ACCESS_KEY"  # noqa: S105  # nosec B105
SECONDS = 30
_PROBE = ".private"
_REFUSALS = frozenset({"AccessDenied", "Forbidden", "403"})
"""How a key that may not is answered; the number where the answer has no body."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAKING = threading.Lock()
_AUTHORITIES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")
_NEXT: Mapping[str, tuple[str, str]] = {
    "NoSuchBucket": ("there is no such bucket", "make it, private, at your provider"),
    "AccessDenied": ("the key may not do that", "give the key read, write and list there"),
    "InvalidAccessKeyId": ("the key is not known there", "check {1} and {0}"),
    "SignatureDoesNotMatch": ("the secret is another", "check {2}, and the region"),
}


@dataclass(frozen=True)
class Place:
    """Where a bucket is, and what opens it."""

    bucket: str
    endpoint: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    of: tuple[str, str, str] = (ENDPOINT, ACCESS_KEY, SECRET_KEY)
    """What endpoint and keys are called where somebody can correct them."""

    @classmethod
    def of_backups(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The environment's. Raises FlowError naming every variable that is missing."""
        names = (BUCKET, ACCESS_KEY, SECRET_KEY)
        missing = [name for name in names if not environment.get(name)]
        if missing:
            raise FlowError(
                f"no bucket for backups: {', '.join(missing)} not set",
                f"set {', '.join(names)}, and {ENDPOINT} and {REGION} where they are not AWS's "
                "(docs/backups.md)",
            )
        region = environment.get(REGION) or "us-east-1"
        endpoint = environment.get(ENDPOINT) or f"https://s3.{region}.amazonaws.com"
        key, secret = environment[ACCESS_KEY], environment[SECRET_KEY]
        return cls(environment[BUCKET], endpoint, region, key, secret)

    def __post_init__(self) -> None:
        parts = urlsplit(self.endpoint)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise FlowError(
                f"{self.endpoint} is no https address, and what goes there is data",
                f"give it in {self.of[0]} as https://…",
            )

    def address(self, key: str = "") -> str:
        """Of the bucket, or of something in it."""
        return f"{self.endpoint.rstrip('/')}/{quote(self.bucket)}" + (
            f"/{quote(key)}" if key else ""
        )


class Bucket:
    """One bucket. Every method raises FlowError where it cannot be reached or refuses."""

    def __init__(self, place: Place) -> None:
        self.place = place
        # Two at once would both make the session they share.
        with _MAKING:
            self._client = _client(place)

    def check_private(self, folder: str) -> None:
        """Raises FlowError where anybody can list, read or write it: each is tried, without a key.

        folder  where a file may be put for the try; ends with a slash. It stays there where the
                bucket's key may not delete
        """
        # Of one name: where nothing is deleted there would be one more with each backup.
        key = f"{folder}{_PROBE}"
        self.put(key, b"Whoever reads this without a key reads the backups, too.\n")
        try:
            tries = (
                ("list", "GET", f"{self.place.address()}?list-type=2&max-keys=1"),
                ("read", "GET", self.place.address(key)),
                ("write to", "PUT", self.place.address(key)),
            )
            for can, method, address in tries:
                if self._is_open(method, address):
                    raise FlowError(
                        f"anybody can {can} the bucket {self.place.bucket}: nothing is kept there",
                        "make it private (no public policy, no public ACL), then run it again",
                    )
        finally:
            self._remove_probe(key)

    def _remove_probe(self, key: str) -> None:
        """Remove it, unless the key may not: to delete is no right that a backup needs."""
        from botocore.exceptions import ClientError

        with self._explained("delete from it"):
            try:
                self._client.delete_object(Bucket=self.place.bucket, Key=key)
            except ClientError as error:
                if _code(error.response) not in _REFUSALS:
                    raise

    def _is_open(self, method: str, address: str) -> bool:
        try:
            with httpx.Client(timeout=SECONDS) as client:
                answer = client.request(method, address, content=b"x" if method == "PUT" else None)
        except httpx.HTTPError as error:
            raise FlowError(
                f"{self.place.endpoint} does not answer: {error}", f"check {self.place.of[0]}"
            ) from error
        if answer.status_code in (401, 403):
            return False
        if answer.is_success:
            return True
        raise FlowError(
            f"whether the bucket {self.place.bucket} is private cannot be told: without a key it "
            f"answers {answer.status_code}",
            f"check {self.place.of[0]}",
        )

    def put(self, key: str, content: bytes) -> None:
        """Write a small object."""
        with self._explained(f"write {key}"):
            self._client.put_object(Bucket=self.place.bucket, Key=key, Body=content)

    def upload(self, key: str, file: Path) -> None:
        """Write a file of any size, in parts, and see that it arrived whole."""
        with self._explained(f"write {key}"):
            self._client.upload_file(str(file), self.place.bucket, key)
            size = self._client.head_object(Bucket=self.place.bucket, Key=key)["ContentLength"]
        if size != file.stat().st_size:
            raise FlowError(f"{key} arrived with {size} of {file.stat().st_size} bytes")

    def get(self, key: str, limit: int = 1 << 20) -> bytes:
        """A small object's content."""
        with self._explained(f"read {key}"):
            body = self._client.get_object(Bucket=self.place.bucket, Key=key)["Body"]
            content = bytes(body.read(limit + 1))
        if len(content) > limit:
            raise FlowError(f"{key} is larger than such a file can be")
        return content

    def download(self, key: str, file: Path) -> None:
        """An object of any size into a file."""
        with self._explained(f"read {key}"):
            self._client.download_file(self.place.bucket, key, str(file))

    def listed(self, folder: str) -> dict[str, int]:
        """Key → bytes of everything below a folder."""
        found: dict[str, int] = {}
        with self._explained("list it"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.place.bucket, Prefix=folder):
                found |= {each["Key"]: int(each["Size"]) for each in page.get("Contents") or []}
        return found

    def delete(self, keys: list[str]) -> None:
        """Remove objects; those that are gone are fine."""
        with self._explained("delete from it"):
            for key in keys:
                self._client.delete_object(Bucket=self.place.bucket, Key=key)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = _code(error.response)
            message = (error.response.get("Error") or {}).get("Message")
            why, remedy = _NEXT.get(code, (f"{code}: {message}", "try it again"))
            raise self._failed(what, why, remedy.format(*self.place.of)) from None
        except (BotoCoreError, Boto3Error) as error:
            remedy = f"check {self.place.of[0]}, then try it again"
            raise self._failed(what, str(error), remedy) from None

    def _failed(self, what: str, why: str, remedy: str) -> FlowError:
        return FlowError(
            f"bucket {self.place.bucket} at {self.place.endpoint}: cannot {what}: {why}", remedy
        )


def _client(place: Place) -> Any:
    # Half a second of imports that no other command needs.
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=place.endpoint,
        region_name=place.region,
        aws_access_key_id=place.access_key,
        aws_secret_access_key=place.secret_key,
        # As every other client here; AWS's own variable comes last, and it knows no other.
        verify=next((os.environ[name] for name in _AUTHORITIES if os.environ.get(name)), None),
        config=Config(
            connect_timeout=10,
            read_timeout=SECONDS,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": "path"},
            # Others than AWS do not all know the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _code(response: Mapping[str, Any]) -> str:
    """The word for what went wrong in an answer of S3's."""
    return str((response.get("Error") or {}).get("Code") or "unknown")
