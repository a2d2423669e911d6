"""The login that servers pull images with, as far as its looks tell."""

from __future__ import annotations

_GHCR = "ghcr.io/"
_FINE_GRAINED = "github_pat_"


def problem(images: str, password: str) -> str:
    """What is wrong with a password for a registry; empty where nothing is seen.

    GitHub's registry knows runs' own tokens and classic ones, and no fine-grained token.
    """
    if images.startswith(_GHCR) and password.startswith(_FINE_GRAINED):
        return "ghcr.io takes no fine-grained token: make a classic one with read:packages alone"
    return ""
