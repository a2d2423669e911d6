"""From flags and answers to a Demo: what is kept from before, what is asked, what is checked."""

import argparse
import dataclasses
import re
import secrets
from pathlib import Path
from typing import Any, Final

from components import naming
from feature_demo import branches, checks
from feature_demo import demo as demos
from feature_demo.asking import Terminal
from feature_demo.demo import Demo
from feature_demo.words import DemoError

_DNS: Final = re.compile(
    r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_IMAGES: Final = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_COPIED: Final = {
    "application": "folder", "compose_file": "compose_file", "images": "images",
    "version": "version", "address": "address", "registry_user": "registry_user",
    "registry": "registry_server", "git_user": "git_user", "acme_server": "acme_server",
    "acme_email": "acme_email",
    "public": "public", "branch": "branch", "domain": "domain",
}  # fmt: skip


def wanted(arguments: argparse.Namespace, known: Demo | None, terminal: Terminal) -> Demo:
    """The demo to bring up. Asks for what a first one lacks. Raises DemoError."""
    given = {
        name: getattr(arguments, flag)
        for flag, name in _COPIED.items()
        if getattr(arguments, flag) is not None
    }
    given |= _files(arguments)
    if arguments.git is not None:
        given["source"] = arguments.git
    if arguments.folder is not None:
        given["source"] = str(Path(arguments.folder).resolve())
    if known is not None:
        demo = dataclasses.replace(known, **given)
        if given.get("source", known.source) != known.source and "git_token" not in given:
            # A token never goes to another repository than it was given for.
            demo = dataclasses.replace(demo, git_token="")  # nosec B106
        if given.get("images", known.images).partition("/")[0] != known.images.partition("/")[
            0
        ] and ("registry_password" not in given):
            demo = dataclasses.replace(demo, registry_user="", registry_password="")  # nosec B106
    else:
        demo = _asked(given, terminal)
    _check_shapes(demo)
    demo = _credential(demo, terminal)
    if not demo.domain:
        demo = dataclasses.replace(demo, domain=_domain(demo, arguments, terminal))
    _check_domain(demo.domain)
    if not demo.public and not demo.password:
        demo = dataclasses.replace(demo, password=secrets.token_urlsafe(15))
    return demo


def _files(arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if arguments.settings is not None:
        found["settings"] = demos.read_settings(arguments.settings)
    if arguments.registry_password_file is not None:
        found["registry_password"] = demos.read_secret(
            arguments.registry_password_file, "registry's password"
        )
    if arguments.git_token_file is not None:
        found["git_token"] = demos.read_secret(arguments.git_token_file, "git token")
    if arguments.acme_root is not None:
        found["acme_root"] = demos.read_pem(arguments.acme_root)
    return found


def _asked(given: dict[str, Any], terminal: Terminal) -> Demo:
    if "source" not in given:
        answer = terminal.text("Git URL of the application, or a folder of this server", "--git")
        is_folder = Path(answer).is_dir() and not answer.endswith(".git")
        given["source"] = str(Path(answer).resolve()) if is_folder else answer
    if "branch" not in given:
        folder = Path(given["source"]).name if given["source"].startswith("/") else None
        given["branch"] = terminal.text("Branch", "--branch", folder)
    if "settings" not in given:
        path = terminal.text(
            "File with the application's settings, lines NAME=value (Enter: none)", "--settings", ""
        )
        given["settings"] = demos.read_settings(path) if path else {}
    if "images" not in given:
        given["images"] = terminal.text(
            "Where its images are, as ghcr.io/team/app (Enter: build them here)", "--images", ""
        )
        if given["images"] and "registry_user" not in given:
            given["registry_user"] = terminal.text(
                "User of that registry (Enter: they are public)", "--registry-user", ""
            )
    if given.get("registry_user") and "registry_password" not in given:
        given["registry_password"] = terminal.secret(
            "Password of that user", "--registry-password-file"
        )
    given.setdefault("domain", "")
    return Demo(**given)


def _check_shapes(demo: Demo) -> None:
    wrong = ""
    if not branches.is_branch_name(demo.branch):
        wrong = f"{demo.branch!r} is no branch; give --branch as feature-demo/map"
    elif demo.is_git and not re.match(r"(https?|ssh|git|file)://|[\w.-]+@[\w.-]+:", demo.source):
        wrong = f"{demo.source!r} is neither a git URL nor a folder; give --git or --folder"
    elif demo.is_git and re.match(r"https?://[^/]*@", demo.source):
        wrong = "the git URL has a credential in it; give that as --git-token-file instead"
    elif not demo.is_git and not Path(demo.source, demo.folder, demo.compose_file).is_file():
        wrong = f"{demo.source} has no {demo.compose_file}; give --application and --compose-file"
    elif demo.images and not _IMAGES.fullmatch(demo.images):
        wrong = f"{demo.images!r} is no registry and path; give --images as ghcr.io/team/app"
    elif demo.version and not (demo.images and _TAG.fullmatch(demo.version)):
        wrong = "--version is a tag, for images that are pulled; give --images, too"
    elif demo.registry_user and not demo.registry_password:
        wrong = "the registry's password is missing; give --registry-password-file"
    elif demo.registry_password and not demo.registry_user:
        wrong = "the registry's user is missing; give --registry-user"
    elif demo.acme_server and not re.fullmatch(r"https://[^\s/]+(/\S*)?", demo.acme_server):
        wrong = f"{demo.acme_server!r} is no https address; correct --acme-server"
    elif demo.acme_email and not re.fullmatch(r"[^@\s]+@[^@\s]+", demo.acme_email):
        wrong = f"{demo.acme_email!r} is no mail address; correct --acme-email"
    if wrong:
        cause, _, remedy = wrong.rpartition("; ")
        raise DemoError(cause, remedy)


def _credential(demo: Demo, terminal: Terminal) -> Demo:
    """Ask the repository for the branch; for a token where it wants one."""
    if not demo.is_git:
        return demo
    for _ in range(3):
        try:
            branches.commit_of(demo.source, demo.branch, demo.git_user, demo.git_token)
        except branches.NeedsCredentialError:
            if not terminal.can_ask:
                raise DemoError(
                    f"{demo.source} is not public, or there is no such repository",
                    "check --git; give --git-token-file with a token that may read it",
                ) from None
            token = terminal.secret(f"Token that may read {demo.source}", "--git-token-file")
            demo = dataclasses.replace(demo, git_token=token)
        else:
            break
    return demo


def _domain(demo: Demo, arguments: argparse.Namespace, terminal: Terminal) -> str:
    own = [demo.address] if demo.address else checks.addresses()
    default = address_name(demo.branch, own, arguments.address_domain or "sslip.io")
    if default is None:
        return terminal.text("Domain of the demo", "--domain")
    return terminal.text("Domain of the demo", "--domain", default)


def address_name(branch: str, addresses: list[str], domain: str) -> str | None:
    """A name that needs no DNS record: map.203-0-113-7.sslip.io; as a stack's demo has."""
    label = naming.host_label(naming.stack_of_branch(demo_branch(branch)))
    for address in addresses:
        if ":" not in address:
            return f"{label}.{address.replace('.', '-')}.{domain}"
    return f"{label}.{addresses[0].replace(':', '-')}.{domain}" if addresses else None


def demo_branch(branch: str) -> str:
    """A long-lived branch shown as a demo must not take the name of its stage."""
    return branch if branch not in naming.STAGE_BRANCHES.values() else naming.DEMO_BRANCH + branch


def _check_domain(domain: str) -> None:
    if not _DNS.fullmatch(domain):
        raise DemoError(
            f"{domain!r} is no lower-case DNS name", "give --domain as demo.example.org"
        )
