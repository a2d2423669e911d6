"""What stops an installation, told to the person who started it."""

from __future__ import annotations


class InstallError(Exception):
    """An installation cannot go on; the message says why and what to do next."""
