"""Names the API accepts."""

import re

from sandbox.hetzner.errors import invalid

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})+")
# Of the public suffixes with two labels a few; any one label is taken for one, as `.test` is.
_SUFFIXES_OF_TWO = frozenset(
    f"{second}.{first}"
    for first in ("au", "br", "il", "in", "jp", "ke", "nz", "tr", "ug", "uk", "za")
    for second in ("ac", "co", "com", "edu", "gov", "net", "or", "org")
)
_RECORD_NAME = re.compile(rf"@|(?:\*|{_DOMAIN_LABEL})(?:\.{_DOMAIN_LABEL})*")


def check_hostname(name: str) -> None:
    """Raise `invalid_input` unless a server can be called so (RFC 1123)."""
    if len(name) > 253 or not _HOSTNAME.fullmatch(name):
        raise invalid(name="must be a valid hostname (letters, digits, dashes and dots)")


def check_domain(name: str) -> None:
    """Raise `invalid_input` unless a zone can be called so."""
    if len(name) > 253 or not _DOMAIN.fullmatch(name):
        raise invalid(name="must be a domain name in lower case without a final dot")
    labels = name.split(".")
    if len(labels) > 2 + (".".join(labels[-2:]) in _SUFFIXES_OF_TWO):
        raise invalid(name="must be below a public suffix: subdomains are not supported")


def check_record_name(name: str) -> None:
    """Raise `invalid_input` unless a record set can be called so in its zone."""
    if len(name) > 253 or not _RECORD_NAME.fullmatch(name):
        raise invalid(name="must be @ or a name in lower case relative to the zone")
