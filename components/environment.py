"""One stage, whole: a host, its names, its software and the release on it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import pulumi

from components import bundle, history
from components.deployment import Deployment, Provision
from components.dns import Dns, Record, wanted_records
from components.keys import kept_password
from components.server import SSH_PORT, Server, ServerArgs

if TYPE_CHECKING:
    from components.github_environment import GithubArgs

AUTH_USER = "demo"


class PublicArgs(TypedDict):
    """How the stage faces the public."""

    label: str
    """First part of a host name that is made of the address."""
    hostname: str | None
    """None: <label>.<address>.<address_domain>."""
    address_domain: str
    zone: str | None
    """A zone of the Hetzner project; None for DNS elsewhere."""
    acme_server: str | None
    acme_root: str | None
    acme_email: str | None
    hidden: bool
    """Behind a generated password, and not for search engines."""
    hsts: bool


class ApplicationArgs(TypedDict):
    """What runs on the stage."""

    release: bundle.Release
    environment: Mapping[str, str]
    secrets: pulumi.Input[Mapping[str, str]]
    """Variables of the application; secret."""
    secret_names: Sequence[str]
    registry: pulumi.Input[Mapping[str, str] | None]
    """{"server", "username", "password"}, secret; None for public images."""


class AsleepArgs(TypedDict):
    """What a stage that sleeps was when it was awake, and will be again."""

    url: str
    version: str
    release: str
    """Its id on the server that is gone."""


class EnvironmentArgs(TypedDict):
    """What one stage is made of."""

    server: ServerArgs
    public: PublicArgs
    application: ApplicationArgs
    kept: Mapping[str, Any]
    """What the next `up` must know to deploy the same release again."""
    earlier: Sequence[Mapping[str, Any]]
    """The releases of before, as history.with_release has them."""
    now: int
    """Seconds since 1970."""
    admin_keys: Sequence[str]
    """OpenSSH public keys that may log in as root."""
    software: str
    """Fingerprint of what a server is given besides the release."""
    boot_deadline: int
    """Seconds a server may take until it accepts SSH."""
    github: NotRequired["GithubArgs | None"]
    """None for a stage without a part at GitHub."""
    asleep: NotRequired[AsleepArgs | None]
    """Where it sleeps: no server is made, and nothing is deployed."""


def address_name(label: str, domain: str, ipv4: str | None, ipv6: str | None) -> str:
    """A name that resolves without a zone: hello.203-0-113-7.sslip.io."""
    address = ipv4.replace(".", "-") if ipv4 else (ipv6 or "").replace(":", "-")
    return f"{label}.{address}.{domain}"


def render(application: ApplicationArgs, public: PublicArgs, hostname: str) -> dict[str, Any]:
    """The bundle of this stage under `hostname`; pure. Raises bundle.ComposeError."""
    return bundle.render(
        application["release"],
        bundle.Public(
            hostname=hostname,
            acme_server=public["acme_server"],
            acme_root=public["acme_root"],
            acme_email=public["acme_email"],
            auth_user=AUTH_USER if public["hidden"] else None,
            noindex=public["hidden"],
            hsts=public["hsts"],
        ),
        bundle.Variables(application["environment"], application["secret_names"]),
    )


class Environment(pulumi.ComponentResource):
    """One stage of the flow, from server to answering URL."""

    hostname: pulumi.Output[str]
    url: pulumi.Output[str]
    version: pulumi.Output[str]
    """Version that was found healthy."""
    release_id: pulumi.Output[str]
    """Its id on the server."""
    server: Server
    dns_records: pulumi.Output[Sequence[Record]]
    """What to enter where DNS is kept; empty where this stage makes its records itself."""
    ssh: pulumi.Output[str]
    """A command that opens a shell, once an admin key is on the server."""
    password: pulumi.Output[str] | None
    """Of user `demo`, where the stage is hidden; secret."""

    def __init__(
        self, name: str, args: EnvironmentArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("deployment-flow:index:Environment", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        public, application = args["public"], args["application"]
        asleep = args.get("asleep")
        self.server = server = Server(name, {**args["server"], "asleep": asleep is not None}, child)
        self.hostname = self._hostname(public)
        names = self._names(name, args)
        self.password = kept_password(f"{name}-password", parent=self) if public["hidden"] else None
        deployed: list[pulumi.Resource] = []
        if asleep is None:
            deployed = [self._deploy(name, args, names)]
        else:
            self.url = pulumi.Output.from_input(asleep["url"])
            self.version = pulumi.Output.from_input(asleep["version"])
            self.release_id = pulumi.Output.from_input(asleep["release"])
        self.ssh = _ssh_command(server)
        github = args.get("github")
        if github is not None:
            # Last: no deployment waits for GitHub, or fails with it.
            self._at_github(name, github, pulumi.ResourceOptions(parent=self, depends_on=deployed))
        self.register_outputs(
            {
                "url": self.url,
                "hostname": self.hostname,
                "version": self.version,
                # Only once it was found healthy: a release that failed is not what runs.
                "release": self.release_id.apply(lambda _: args["kept"]),
                "releases": self.release_id.apply(
                    lambda id_: history.with_release(
                        args["earlier"], args["kept"], id_, args["now"]
                    )
                ),
                "registry": pulumi.Output.all(application["registry"], self.release_id).apply(
                    lambda found: found[0]
                ),
            }
        )

    def _deploy(
        self, name: str, args: EnvironmentArgs, names: list[pulumi.Resource]
    ) -> pulumi.Resource:
        """The server's software and the release on it."""
        server, public, application = self.server, args["public"], args["application"]
        child = pulumi.ResourceOptions(parent=self)
        provision = Provision(
            name,
            {
                "connection": server.maintenance,
                "deploy_public_key": server.deploy_public_key,
                "software": args["software"],
                "machine": server.machine,
                "admin_keys": args["admin_keys"],
                "volume_device": server.volume_device,
                "boot_deadline": args["boot_deadline"],
                "volume_size": args["server"]["volume_size"],
            },
            child,
        )
        deployment = Deployment(
            name,
            {
                "connection": server.deploy,
                "bundle": self.hostname.apply(
                    lambda hostname: render(application, public, hostname)
                ),
                "secrets": application["secrets"],
                "registry": application["registry"],
                "password": self.password,
                "behind": history.is_behind(args["earlier"], args["kept"]),
                "machine": provision.machine,
                "hardware": server.hardware,
            },
            # A certificate is only to be had once the name resolves.
            pulumi.ResourceOptions(parent=self, depends_on=names),
        )
        self.url, self.version = deployment.url, deployment.version
        self.release_id = deployment.release
        return deployment

    def _at_github(self, name: str, args: "GithubArgs", opts: pulumi.ResourceOptions) -> None:
        # Only here: to import it takes a tenth of a second, and not every stack has this part.
        from components.github_environment import GithubEnvironment

        server = self.server
        GithubEnvironment(
            name,
            {
                **args,
                "host": server.deploy["host"],
                "site": self.url,
                "deploy_key": server.deploy_key,
                "known_hosts": server.known_hosts,
            },
            opts,
        )

    def _hostname(self, public: PublicArgs) -> pulumi.Output[str]:
        if public["hostname"] is not None:
            return pulumi.Output.from_input(public["hostname"])
        return pulumi.Output.all(self.server.ipv4, self.server.ipv6).apply(
            lambda found: address_name(public["label"], public["address_domain"], *found)
        )

    def _names(self, name: str, args: EnvironmentArgs) -> list[pulumi.Resource]:
        """Records in the zone, or what a person has to enter; neither for an address's name."""
        public = args["public"]
        self.dns_records = pulumi.Output.from_input([])
        if public["hostname"] is None:
            return []
        if public["zone"] is None:
            self.dns_records = pulumi.Output.all(
                public["hostname"], self.server.ipv4, self.server.ipv6
            ).apply(lambda found: wanted_records(*found))
            return []
        given = args["server"].get("given_host")
        dns = Dns(
            name,
            {
                "hostname": public["hostname"],
                "zone": public["zone"],
                "ipv4": self.server.ipv4,
                "ipv6": self.server.ipv6,
                "has_ipv4": given is None or ":" not in given["address"],
                "has_ipv6": given is None or ":" in given["address"],
                "labels": args["server"]["labels"],
            },
            pulumi.ResourceOptions(parent=self),
        )
        return [dns]


def _ssh_command(server: Server) -> pulumi.Output[str]:
    def command(found: Sequence[Any]) -> str:
        user, host, port = found
        return f"ssh {user}@{host}" if int(port) == SSH_PORT else f"ssh -p {port} {user}@{host}"

    login = server.maintenance
    return pulumi.Output.all(login["user"], login["host"], login["port"]).apply(command)
