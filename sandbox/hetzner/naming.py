"""Names the API accepts."""

import re

from sandbox.hetzner.errors import invalid

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})+")
_RECORD_NAME = re.compile(rf"@|(?:\*|{_DOMAIN_LABEL})(?:\.{_DOMAIN_LABEL})*")


def check_hostname(name: str) -> None:
    """Raise `invalid_input` unless a server can be called so (RFC 1123)."""
    if len(name) > 253 or not _HOSTNAME.fullmatch(name):
        raise invalid(name="must be a valid hostname (letters, digits, dashes and dots)")


def check_domain(name: str) -> None:
    """Raise `invalid_input` unless a zone can be called so."""
    if len(name) > 253 or not _DOMAIN.fullmatch(name):
        raise invalid(name="must be a domain name in lower case without a final dot")


def check_record_name(name: str) -> None:
    """Raise `invalid_input` unless a record set can be called so in its zone."""
    if len(name) > 253 or not _RECORD_NAME.fullmatch(name):
        raise invalid(name="must be @ or a name in lower case relative to the zone")
