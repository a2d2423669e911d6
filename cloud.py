"""What the Hetzner project can give a new server: asked once, before anything is registered.

A server that exists stays where it is and asks nothing.
"""

from collections.abc import Sequence
from typing import Final

import pulumi

TIMEOUT_SECONDS: Final = 20


class CloudError(pulumi.RunError):
    """Hetzner cannot give what the settings ask for, or cannot be asked; nothing was changed."""


def place(*, token: str, endpoint: str, server_type: str, locations: Sequence[str]) -> str:
    """The first of `locations` where `server_type` is sold now.

    Raises CloudError when there is none, or the API does not answer.
    """
    # Only a first `up` needs the client, and importing it costs a third of a second.
    import requests
    from hcloud import APIException, Client

    client = Client(
        token=token,
        api_endpoint=endpoint,
        application_name="deployment-flow",
        timeout=TIMEOUT_SECONDS,
    )
    try:
        found = client.server_types.get_by_name(server_type)
    except APIException as error:
        raise CloudError(_refused(endpoint, error)) from None
    except requests.RequestException as error:
        raise CloudError(
            f"{endpoint} does not answer ({type(error).__name__}). Nothing was changed. "
            "Next: check the network and https://status.hetzner.com, then run the command again."
        ) from None
    if found is None:
        raise CloudError(
            f"Hetzner sells no server type {server_type}. Nothing was changed. "
            "Next: pulumi config set serverType cx23 (hcloud server-type list shows them)."
        )
    sold = [
        str(each.location.name)
        for each in found.locations or []
        if getattr(each, "available", True)
    ]
    for location in locations:
        if location in sold:
            return location
    elsewhere = f"it is sold in {', '.join(sold)}" if sold else "it is sold nowhere now"
    raise CloudError(
        f"Server type {server_type} is in none of {', '.join(locations)}; {elsewhere}. "
        "Nothing was changed. Next: pulumi config set serverType, or --path 'locations[0]'."
    )


def _refused(endpoint: str, error: Exception) -> str:
    code = getattr(error, "code", None)
    if code in ("unauthorized", "forbidden"):
        return (
            f"{endpoint} refuses the token ({code}). Nothing was changed. Next: make a token with "
            "read and write access, then: pulumi config set --secret hcloud:token"
        )
    return (
        f"{endpoint} answers {code}: {error}. Nothing was changed. "
        "Next: run the command again in a few minutes."
    )
