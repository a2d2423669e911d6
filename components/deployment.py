"""A server's software, and the release on it: both handed over by `remote/hand_over.py`.

Each is one `local.Command` that runs OpenSSH on the machine `pulumi up` runs on. The
command line is the same everywhere and everything else, secrets included, goes in on
stdin, so the state shows nothing and a run that changes nothing runs nothing. Neither
has a delete command: with a dead host it would block a destroy.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
from pulumi_command import local

from components.server import Connection

# Longer than the hand-over's own deadlines, which say what went wrong.
_TIMEOUTS = pulumi.CustomTimeouts(create="35m", update="35m")


def _hand_over(verb: str) -> str:
    return f"python3 -m remote.hand_over {verb}"


class _HandOver:
    """The command, and its one line of JSON."""

    def __init__(
        self,
        name: str,
        verb: str,
        request: Mapping[str, Any],
        triggers: list[pulumi.Input[Any]],
        parent: pulumi.Resource,
    ) -> None:
        # Sorted, so that the same request is the same text in every run.
        stdin: pulumi.Output[str] = pulumi.Output.json_dumps(
            dict(request), sort_keys=True, separators=(",", ":")
        )
        secret_stdin: pulumi.Output[str] = pulumi.Output.secret(stdin)
        self.command = local.Command(
            name,
            create=_hand_over(verb),
            stdin=secret_stdin,
            # Its stdout is the answer; only what is said for people belongs on the screen.
            logging=local.Logging.STDERR,
            add_previous_output_in_env=False,
            triggers=triggers,
            opts=pulumi.ResourceOptions(parent=parent, custom_timeouts=_TIMEOUTS),
        )
        # The answer holds nothing secret, though it came of secret input.
        self._answer = pulumi.Output.unsecret(self.command.stdout)

    def field(self, name: str) -> pulumi.Output[str]:
        """One field of the answer."""
        return self._answer.apply(lambda text: str(json.loads(text)[name]))


class ProvisionArgs(TypedDict):
    """What a server is given besides its software."""

    connection: Connection
    """As root, or as a user who may sudo without a password."""
    deploy_public_key: pulumi.Input[str]
    """The key that may run the deploy agent, `ssh-ed25519 AAAA…`."""
    software: pulumi.Input[str]
    """`remote.shipment.fingerprint()`: another one installs again."""
    machine: pulumi.Input[str]
    """The server's id, or a given host's address: another one installs again."""
    admin_keys: NotRequired[Sequence[str]]
    """OpenSSH public keys that may log in as root, besides the stack's own."""
    volume_device: NotRequired[pulumi.Input[str | None]]
    """/dev/disk/by-id/… of the data volume, mounted at /data; None: data is on the disk."""
    volume_size: NotRequired[pulumi.Input[int]]
    """GB; another size provisions again, which grows the filesystem."""
    boot_deadline: NotRequired[pulumi.Input[int]]
    """Seconds until SSH must answer; 300 by default."""


class Provision(pulumi.ComponentResource):
    """Docker, Caddy, firewall, hardened SSH, automatic upgrades and the deploy agent.

    Waits until the server has booted; stops before anything is sent when its host key is
    not the pinned one. Safe to repeat, instant where nothing changed.
    """

    software: pulumi.Output[str]
    """Fingerprint of what the server has now."""
    cloud_init: pulumi.Output[str]
    """`done`, `absent`, or a word like `degraded-done` when user data was not applied whole."""
    machine: pulumi.Output[str]
    """The server that was provisioned, and its volume; give it to `Deployment`."""

    def __init__(
        self, name: str, args: ProvisionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Provision", name, None, opts)
        hand_over = _HandOver(
            f"{name}-provision",
            "provision",
            {
                "connection": args["connection"],
                "deploy_public_key": args["deploy_public_key"],
                "admin_keys": list(args.get("admin_keys", [])),
                "volume_device": args.get("volume_device"),
                "volume_size": args.get("volume_size", 0),
                "boot_deadline": args.get("boot_deadline", 300),
            },
            # A trigger replaces the command: both are run anew on another machine.
            [args["machine"], args["software"]],
            self,
        )
        self.software = hand_over.field("software")
        self.cloud_init = hand_over.field("cloud_init")
        # With the volume: on another one the release has to be started anew, too.
        self.machine = pulumi.Output.all(
            args["machine"], args.get("volume_device"), self.software
        ).apply(lambda found: " ".join(str(each) for each in found[:2] if each))
        self.register_outputs({"software": self.software, "cloudInit": self.cloud_init})


class DeploymentArgs(TypedDict):
    """A release and where it goes."""

    connection: Connection
    """As user `flow`, whose key runs the deploy agent only."""
    bundle: pulumi.Input[Mapping[str, Any]]
    """What `bundle.render` made; nothing secret."""
    secrets: NotRequired[pulumi.Input[Mapping[str, str]]]
    """Variables of the application that are secret."""
    registry: NotRequired[pulumi.Input[Mapping[str, str] | None]]
    """{"server", "username", "password"}: what the server pulls with from now on."""
    password: NotRequired[pulumi.Input[str | None]]
    """Of basic authentication, where the bundle was rendered with a `auth_user`."""
    behind: NotRequired[bool]
    """`history.is_behind`: no job of it runs on data that is there."""
    machine: pulumi.Input[str]
    """`Provision.machine`: another server gets the release again."""
    hardware: NotRequired[pulumi.Input[str | None]]
    """The server's type: after a resize, which is a restart, the release is found healthy anew."""


class Deployment(pulumi.ComponentResource):
    """A release that runs: handed to the agent, started, found healthy through its URL."""

    version: pulumi.Output[str]
    release: pulumi.Output[str]
    """Id of the release on the server: a hash of all it consists of."""
    url: pulumi.Output[str]
    tls: pulumi.Output[str]
    """`issued`; `pending` while the first certificate is still awaited; `off` for http."""

    def __init__(
        self, name: str, args: DeploymentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Deployment", name, None, opts)
        hand_over = _HandOver(
            f"{name}-release",
            "deploy",
            {
                "connection": args["connection"],
                "bundle": args["bundle"],
                "secrets": args.get("secrets", {}),
                "registry": args.get("registry"),
                "auth": {"password": args.get("password")},
                "hardware": args.get("hardware"),
                # Only where it is so: what is handed over is no other for all the rest.
                **({"behind": True} if args.get("behind") else {}),
            },
            [args["machine"]],
            self,
        )
        self.version = hand_over.field("version")
        self.release = hand_over.field("release")
        self.url = hand_over.field("url")
        self.tls = hand_over.field("tls")
        self.register_outputs(
            {"version": self.version, "release": self.release, "url": self.url, "tls": self.tls}
        )
