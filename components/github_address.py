"""Where GitHub's REST API is, of the address the provider is given. Pure."""

from typing import Final

PUBLIC: Final = "https://api.github.com"


def rest_url(url: str) -> str:
    """https://github.com/ → https://api.github.com; a server of one's own → …/api/v3."""
    address = url.rstrip("/")
    if address in ("https://github.com", PUBLIC):
        return PUBLIC
    host = address.removeprefix("https://")
    if host.endswith(".ghe.com"):
        return f"https://{host}" if host.startswith("api.") else f"https://api.{host}"
    return f"{address.removesuffix('/api/v3')}/api/v3"
