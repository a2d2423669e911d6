"""The one error a hand-over ends with."""

from __future__ import annotations

from remote.ssh import Reason


class HandOverError(Exception):
    """What is wrong and where (the message), and what to do next (`remedy`)."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def host_key_error(host: str) -> HandOverError:
    """The server does not hold the pinned key: nothing was sent."""
    return HandOverError(
        f"{host} shows another host key than the one this stack pinned; nothing was sent to it",
        "if you rebuilt the server yourself, run `pulumi up` with its new key (hostKey for a given "
        "host); if you did not, somebody may be in between: compare with the key on its console",
    )


def session_error(host: str, reason: Reason, detail: str) -> HandOverError:
    """Any other failure of a session, in words."""
    causes = {
        "refused": "refused the SSH connection",
        "timeout": "does not answer on SSH",
        "unreachable": "cannot be reached: no route to it",
        "closed": "closed the SSH connection",
        "denied": "does not accept the key of this stack",
        "name": "is a name that does not resolve",
        "other": "could not be used over SSH",
    }
    remedies = {
        "denied": "check that the user exists and that its authorized_keys holds the stack's key; "
        "`pulumi up` of the whole stack installs the deploy key",
        "name": "give an address, or make the DNS record, then run `pulumi up` again",
    }
    return HandOverError(
        f"{host} {causes.get(reason, causes['other'])} ({detail})",
        remedies.get(
            reason,
            "check that the server runs, that your address is in sshFrom and that this machine's "
            "network lets SSH out; then run `pulumi up` again",
        ),
    )
