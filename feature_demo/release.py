"""A release of the demo, in the very format of a stack's deploy, and its way to the agent.

Needs PyYAML: imported once the server has it.
"""

import getpass
import os
import socket
from collections.abc import Mapping
from typing import Any

from components import bundle
from components import compose as rules
from feature_demo import agent
from feature_demo.demo import USER, Demo
from feature_demo.pins import Pins
from feature_demo.sources import Source
from feature_demo.words import DemoError, Say


def compose_of(demo: Demo, source: Source) -> dict[str, Any]:
    """The demo's Compose file, checked. Raises DemoError with every mistake."""
    file = source.folder / demo.compose_file
    try:
        loaded = bundle.load(bundle.carried(file, source.folder))
        mistakes = bundle.check(loaded)
    except bundle.ComposeError as error:
        mistakes = error.mistakes
    except (OSError, UnicodeDecodeError) as error:
        mistakes = [f"it cannot be read ({error})"]
    mistakes += [
        f"{name}: would steer Docker or the shell; rename the variable in the --settings file"
        for name in sorted(demo.settings)
        if rules.RESERVED.fullmatch(name)
    ]
    if mistakes:
        raise _refused(demo, mistakes)
    return loaded


def request(demo: Demo, compose: Mapping[str, Any], pins: Pins) -> dict[str, Any]:
    """What the agent is handed. Raises DemoError."""
    try:
        made = bundle.render(
            bundle.Release(compose, pins.version, pins.images, pins.prefix, pins.revision),
            bundle.Public(
                hostname=demo.domain,
                acme_server=demo.acme_server or None,
                acme_root=demo.acme_root or None,
                acme_email=demo.acme_email or None,
                auth_user=None if demo.public else USER,
                noindex=not demo.public,
            ),
            bundle.Variables({}, list(demo.settings)),
        )
    except bundle.ComposeError as error:
        raise _refused(demo, error.mistakes) from None
    return {
        "bundle": made,
        "secrets": demo.settings,
        "registry": demo.registry,
        "auth": None if demo.public else {"password": demo.password},
        "who": f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}",
    }


def deploy(demo: Demo, compose: Mapping[str, Any], pins: Pins, say: Say) -> dict[str, Any]:
    """Hand it over and follow it: release, version, url, changed, tls. Raises DemoError."""
    return agent.ask("deploy", lambda line: say(f"    {line}"), request(demo, compose, pins))


def _refused(demo: Demo, mistakes: list[str]) -> DemoError:
    lines = "".join(f"\n  - {each}" for each in mistakes)
    return DemoError(
        f"{demo.compose_file} of {demo.branch} cannot be deployed:{lines}",
        "correct it in the branch (docs/compose.md has the rules), or give the variables in a "
        "file as --settings, then run the command again",
    )
