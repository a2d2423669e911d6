"""Buckets in the sandbox's object storage, each with a key that opens no other."""

import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import boto3
import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials


@dataclass(frozen=True)
class Bucket:
    """One bucket, and the key of the only user it lets in."""

    name: str
    endpoint: str
    region: str
    trust: str
    key: str
    key_secret: str = field(repr=False)

    @property
    def url(self) -> str:
        """The place of a state, as Pulumi is told it."""
        return (
            f"s3://{self.name}?endpoint={self.endpoint}&region={self.region}"
            "&s3ForcePathStyle=true&request_checksum_calculation=when_supported"
        )

    def names(self) -> list[str]:
        """Of every object in it."""
        listed = self._client().list_objects_v2(Bucket=self.name)
        return sorted(each["Key"] for each in listed.get("Contents", []))

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.key_secret,
            verify=self.trust,
            config=Config(s3={"addressing_style": "path"}),
        )


class Buckets:
    """Makes them as whoever owns the object storage does."""

    def __init__(self, objects: Mapping[str, str], trust: str) -> None:
        self._objects = objects
        self._trust = trust

    def make(self, name: str) -> Bucket:
        """A bucket, its user and the user's key."""
        at = (self._objects["endpoint"], self._objects["region"], self._trust)
        owners = Bucket("", *at, self._objects["access_key"], self._objects["secret_key"])
        owners._client().create_bucket(Bucket=name)
        made = Bucket(name, *at, f"{name.upper()}", secrets.token_urlsafe(24))
        parts = {"Access": made.key, "Secret": made.key_secret, "Role": "user"}
        account = "".join(f"<{part}>{escape(value)}</{part}>" for part, value in parts.items())
        self._ask("create-user", f"<Account>{account}</Account>")
        self._ask("change-bucket-owner", bucket=name, owner=made.key)
        return made

    def _ask(self, what: str, body: str = "", **parameters: str) -> None:
        """The gateway's own way to have users."""
        request = AWSRequest(
            "PATCH", f"{self._objects['endpoint']}/{what}", data=body.encode(), params=parameters
        )
        keys = Credentials(self._objects["access_key"], self._objects["secret_key"])
        S3SigV4Auth(keys, "s3", self._objects["region"]).add_auth(request)
        signed = request.prepare()
        httpx.request(
            signed.method,
            signed.url,
            content=signed.body,
            headers=dict(signed.headers),
            verify=ssl.create_default_context(cafile=self._trust),
            trust_env=False,
            timeout=30,
        ).raise_for_status()
