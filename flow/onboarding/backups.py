"""What `flow init` is told of backups: their bucket, its key, how many stay, whom they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flow import backends, saving
from flow.backups import bucket, records, retention
from flow.backups.bucket import Bucket, Place
from flow.errors import FlowError
from flow.onboarding.states import Ask, State

_NONE = "-"
# The variable that answers it, what it asks, whether it is secret, whether it may stay empty.
_QUESTIONS = (
    (bucket.ENDPOINT, "Address of the bucket for backups (https://…, empty: AWS's)", False, True),
    (bucket.REGION, "Region of the bucket for backups (empty: us-east-1)", False, True),
    (bucket.ACCESS_KEY, "Access key of the bucket for backups", True, False),
    (bucket.SECRET_KEY, "Secret key of the bucket for backups", True, False),
    (
        saving.RECIPIENT,
        "Public key that production's backups are encrypted to, age1… (empty: none are made)",
        False,
        True,
    ),
)


@dataclass(frozen=True)
class Backups:
    """Where nightly backups go."""

    place: Place
    recipient: str = ""
    """The public key that production's are encrypted to; empty: none of production are made.

    Staging's are by its state's passphrase: the runs that make them reach its data anyway, and a
    drill then opens them without a private key at GitHub.
    """
    keep: str = ""
    """As BACKUP_KEEP says it; empty: what is set stays."""

    @property
    def secrets(self) -> dict[str, str]:
        """What opens the bucket, by the names runs know."""
        return {
            bucket.ACCESS_KEY: self.place.access_key,
            bucket.SECRET_KEY: self.place.secret_key,
        }

    @property
    def variables(self) -> dict[str, str]:
        """The rest, of staging's and production's alike.

        Address and region always: those of an earlier bucket would stay otherwise.
        """
        return {
            bucket.BUCKET: self.place.bucket,
            bucket.ENDPOINT: self.place.endpoint,
            bucket.REGION: self.place.region,
            retention.VARIABLE: self.keep,
        }


def collect(environment: Mapping[str, str], ask: Ask | None, lacking: list[str]) -> dict[str, str]:
    """What is said, by variable; nothing without a bucket. What nobody says goes to `lacking`."""
    name = environment.get(bucket.BUCKET, "").strip()
    if not name and ask is not None:
        name = ask("Private bucket for nightly backups (-: none)", _NONE, False).strip()
    if name in ("", _NONE):
        return {}
    said = {bucket.BUCKET: name, retention.VARIABLE: environment.get(retention.VARIABLE, "")}
    for variable, question, secret, optional in _QUESTIONS:
        value = environment.get(variable, "").strip()
        if not value and ask is not None:
            value = ask(question, "", secret).strip()
        if not value and not optional:
            lacking.append(variable)
        said[variable] = value
    return said


def parse(said: Mapping[str, str]) -> Backups | None:
    """What `collect` was told; None where that is nothing. Raises FlowError for what cannot be."""
    if not said:
        return None
    place = Place.of_backups(said)
    retention.policy(said)
    recipient = said.get(saving.RECIPIENT, "")
    if recipient:
        saving.recipient(recipient)
    return Backups(place, recipient, said.get(retention.VARIABLE, ""))


def check_key(backups: Backups, states: Mapping[str, State]) -> None:
    """Raises FlowError where the key is that of production's state, or the demos'.

    states  by group
    """
    for group, whose in ((backends.PROD, "production"), (backends.DEMO, "demos")):
        if backups.place.access_key == states[group].key:
            raise FlowError(
                f"{bucket.ACCESS_KEY} is the key of the bucket with the state of {whose}, and runs "
                "of staging would be given it",
                "give backups a bucket with a key that opens no other, or, if whoever may push a "
                "demo's branch may have all that production has, --one-state",
                code=2,
            )


def check_private(backups: Backups, project: str) -> None:
    """Raises FlowError where the key does not open the bucket, or anybody gets in without one.

    A file is written there for that, and removed again where the key may delete.

    project  its name, which is that of the folder of all its backups
    """
    store = Bucket(backups.place)
    for stack in ("staging", "prod") if backups.recipient else ("staging",):
        folder = records.folder(project, stack)
        store.check_private(folder)
        store.listed(folder)
