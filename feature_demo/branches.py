"""Does a branch exist? Asked as git asks, over HTTP, before git is even installed."""

import base64
import difflib
import http.client
import re
import shutil
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO, Final

from feature_demo.words import DemoError

SECONDS: Final = 30
_LIMIT: Final = 32 * 1024 * 1024
_BRANCH: Final = re.compile(r"[^\s~^:?*\[\\\x00-\x20\x7f-]([^\s~^:?*\[\\\x00-\x20\x7f]*)")
_HEADS: Final = "refs/heads/"


class NeedsCredentialError(Exception):
    """The repository is not public, or there is none."""


def is_branch_name(text: str) -> bool:
    """Whether git takes it as a branch's name, and no command as a flag."""
    return (
        bool(_BRANCH.fullmatch(text))
        and ".." not in text
        and "//" not in text
        and "@{" not in text
        and not text.endswith(("/", ".lock", "."))
    )


def authorization(user: str, token: str) -> str:
    """The header that carries a git credential."""
    pair = f"{user or 'x-access-token'}:{token}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def commit_of(url: str, branch: str, user: str, token: str) -> str | None:
    """The commit a branch is at; None where it cannot be asked before git is there.

    Raises DemoError when there is no such repository or branch, NeedsCredentialError when
    the server wants one.
    """
    if urllib.parse.urlsplit(url).scheme in ("http", "https"):
        heads = _heads(url, user, token)
    elif shutil.which("git"):
        heads = _heads_by_git(url)
    else:
        return None
    if branch in heads:
        return heads[branch]
    near = difflib.get_close_matches(branch, heads, n=3) or sorted(heads)[:5]
    there = f"it has {', '.join(near)}{' and more' if len(heads) > len(near) else ''}"
    raise DemoError(
        f"{url} has no branch {branch!r}; {there if heads else 'it is empty'}",
        "give --branch as `git branch -r` shows it, or push the branch first",
    )


def _heads(url: str, user: str, token: str) -> dict[str, str]:
    address = f"{url.rstrip('/')}/info/refs?service=git-upload-pack"
    headers = {"User-Agent": "git/2.47.0", "Accept": "*/*"}
    if token:
        headers["Authorization"] = authorization(user, token)
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 (http or https)
    try:
        with urllib.request.build_opener(_Redirects).open(request, timeout=SECONDS) as answer:
            data = answer.read(_LIMIT)
    except urllib.error.HTTPError as error:
        error.close()
        # A private repository says 404 to a stranger.
        if error.code in (401, 403, 404) and not token:
            raise NeedsCredentialError from None
        why = "refuses the token" if error.code in (401, 403) else f"answers {error.code}"
        raise DemoError(
            f"{url} {why}", "check the URL, and that the token may read this repository"
        ) from None
    except (OSError, ssl.SSLError, http.client.HTTPException) as error:
        raise DemoError(
            f"{url} cannot be asked ({error})", "check the URL and the network"
        ) from None
    heads = dict(_read(data))
    if not data.startswith(b"001e# service=git-upload-pack"):
        raise DemoError(f"{url} is no git repository", "give the URL `git clone` takes")
    return heads


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows as git does: a token stays with the server it was given for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request, without the token where it goes elsewhere."""
        there = super().redirect_request(req, fp, code, msg, headers, newurl)
        if there is not None and _server(newurl) != _server(req.full_url):
            there.remove_header("Authorization")
        return there


def _server(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


def _read(data: bytes) -> Iterator[tuple[str, str]]:
    """Branch and commit of git's packet lines: four hexadecimal digits of length, then text."""
    at = 0
    while at + 4 <= len(data):
        try:
            length = int(data[at : at + 4], 16)
        except ValueError:
            return
        line = data[at + 4 : at + length].split(b"\0")[0].decode("utf-8", "replace").strip()
        at += max(length, 4)
        commit, _, name = line.partition(" ")
        if name.startswith(_HEADS):
            yield name.removeprefix(_HEADS), commit


def _heads_by_git(url: str) -> dict[str, str]:
    done = subprocess.run(
        ["git", "ls-remote", "--heads", "--", url],
        capture_output=True, text=True, timeout=SECONDS * 2, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "GIT_TERMINAL_PROMPT": "0",
             "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"},
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise DemoError(f"{url} cannot be read: {said}", "check the URL and this server's access")
    pairs = (line.split("\t", 1) for line in done.stdout.splitlines())
    return {name.removeprefix(_HEADS): commit for commit, name in pairs}
