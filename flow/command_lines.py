"""A command as it is told to others: without what may be a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

LONGEST = 160
LEFT_OUT = "…"
# What follows these is a setting, and may be a secret one.
_SETTING = re.compile(r"config$|-c|--config(?==|$)|--secret(?==|$)")
_SECRET_NAME = re.compile(r"token|secret|passw|passphrase|credential|key", re.IGNORECASE)
_NAMED = re.compile(r"(-{0,2}[\w.:-]+)=.+", re.DOTALL)
_USER = re.compile(r"(?<=://)[^/@\s]+@")
# As tokens are: long, and of capitals, small letters and digits. No digest is of all three.
_OPAQUE = re.compile(r"(?=[\w+-]*[A-Z])(?=[\w+-]*[a-z])(?=[\w+-]*[0-9])[\w+-]{32,}")
# Shorter ones would be found in words that are none.
_SHORTEST_SECRET = 8


def shown(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> str:
    """A command by its program's name and its arguments, at most LONGEST characters; pure.

    Left out is all that follows `config`, `-c` or `--secret`; the values of options and variables
    that are named as secrets are; what `environment` has under such a name; an address's user and
    password; and what looks like a token.
    """
    secrets = [
        value
        for name, value in environment.items()
        if len(value) >= _SHORTEST_SECRET and _SECRET_NAME.search(name)
    ]
    told = [Path(words[0]).name] if words else []
    hidden = False
    for word in words[1:]:
        if setting := _SETTING.match(word):
            told += [setting[0], LEFT_OUT]
            break
        told.append(LEFT_OUT if hidden else _clean(word, secrets))
        hidden = word.startswith("-") and "=" not in word and bool(_SECRET_NAME.search(word))
    return plain(" ".join(told))


def plain(text: str) -> str:
    """A text of others' for a terminal: nothing in it moves the cursor, and it is short; pure."""
    return "".join(each if each.isprintable() else " " for each in text)[:LONGEST]


def _clean(word: str, secrets: Sequence[str]) -> str:
    if (named := _NAMED.fullmatch(word)) and _SECRET_NAME.search(named[1]):
        return f"{named[1]}={LEFT_OUT}"
    for secret in secrets:
        word = word.replace(secret, LEFT_OUT)
    return _OPAQUE.sub(LEFT_OUT, _USER.sub(f"{LEFT_OUT}@", word))
