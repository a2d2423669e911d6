"""What servers pull images with, and where it comes from."""

from collections.abc import Mapping

import pulumi
from pydantic import SecretStr

from planning.record import Record
from settings_model import Settings


def with_kept(settings: Settings, last: Record) -> Settings:
    """Settings with the registry login this stack holds, where none is named.

    One that the environment named stays on a machine that has none there: an `up` that takes
    it away would leave a server that cannot pull. It is never shown to another registry.
    """
    kept = last.registry
    if settings.registry_username is not None or kept is None:
        return settings
    if kept.get("server") != settings.registry:
        return settings
    return settings.model_copy(
        update={
            "registry_username": str(kept["username"]),
            "registry_password": SecretStr(str(kept["password"])),
        }
    )


def argument(settings: Settings) -> pulumi.Output[Mapping[str, str] | None]:
    """{"server", "username", "password"}, secret; None for public images."""
    password = settings.registry_password
    if settings.registry_username is None or password is None:
        return pulumi.Output.from_input(None)
    found: Mapping[str, str] = {
        "server": settings.registry,
        "username": settings.registry_username,
        "password": password.get_secret_value(),
    }
    return pulumi.Output.secret(found)
