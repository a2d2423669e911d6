"""The sandbox's own project folder: the team's program with the sandbox's settings.

`pulumi stack init` and `pulumi config set` write into the stack's file, so a
sandbox that used the committed ones would leave them changed, and encrypted for
another backend. `.sandbox/project/` has a Pulumi.yaml that is the committed one
with `main:` pointing back at the program and the sandbox's values as defaults,
and stack files of its own. PULUMI_OPTION_CWD in the environment makes a plain
`pulumi up -s staging`, typed in the checkout, use it.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flow import backends, foreign, plain_pulumi
from flow.errors import FlowError
from flow.sandbox_settings import merge, stack_settings
from flow.stacks import Stacks
from sandbox.services.object_store import BACKUPS

# The long-lived stages, and which of the sandbox's Hetzner projects holds each: a
# token reaches all of its project, so production, the stages before it and the
# demos are kept apart.
PROJECT_OF_STACK = {"dev": "nonprod", "staging": "nonprod", "prod": "prod"}
DEMO_PROJECT = "demo"

# The zone the sandbox seeds into each project.
ZONE_OF_PROJECT = {
    "prod": "example.test",
    "nonprod": "example-nonprod.test",
    "demo": "example-demo.test",
}

# What the sandbox's DNS answers for a demo without a zone.
ADDRESS_DOMAIN = "address.sandbox.test"

# The repositories of the sandbox's team: its copy of this one, and its application's.
DEPLOYMENT = "example-org/deployment"
APPLICATION = "example-org/fieldwork"

SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class SandboxProject:
    """Where things are. `root` is the checkout, `directory` the sandbox's folder."""

    root: Path
    directory: Path
    credentials: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The project folder of Pulumi."""
        return self.directory / "project"

    @property
    def stacks(self) -> Stacks:
        """The sandbox's stacks, through the engine."""
        around = {**foreign.blank(), **self.environment()}
        return Stacks(self.folder, around, self.root / ".toolchain/bin/pulumi")

    @property
    def repository(self) -> str:
        """The application's at the sandbox's GitHub, where stages have a part; "" before it is."""
        made = (self.directory / "github" / f"{APPLICATION}.git").is_dir()
        return APPLICATION if made else ""

    @property
    def images(self) -> str:
        """Where the sandbox's images are: registry and path."""
        return images_prefix(self.credentials)

    def environment(self) -> dict[str, str]:
        """What a shell needs on top of its own environment; secrets of the sandbox are among it."""
        tokens = self.credentials["projects"]
        bundle = str(self.folder / "certificates.pem")
        return {
            "PATH": self._path(os.environ.get("PATH", "/usr/bin:/bin")),
            "PULUMI_HOME": str(self.root / ".toolchain/pulumi-home"),
            "PULUMI_OPTION_CWD": str(self.folder),
            # Of dev and staging; for other stacks bin/pulumi takes the names with an ending.
            **self._opening(backends.NONPROD),
            **{
                backends.of_group(variable, group): value
                for group in backends.GROUPS
                for variable, value in self._opening(group).items()
            },
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            # The toolchain has put every plugin there. For an SDK that is installed and not
            # used the engine would otherwise try a download at every run: five seconds here.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "HCLOUD_ENDPOINT": str(self.credentials["endpoint"]),
            "HCLOUD_TOKEN": str(tokens[DEMO_PROJECT]["token"]),
            # What `flow init` asks for.
            **{f"HCLOUD_TOKEN_{name.upper()}": str(each["token"]) for name, each in tokens.items()},
            # The sandbox's GitHub, as its maintainer: for `flow promote` and the like, and for any
            # client that goes by these names.
            "GITHUB_TOKEN": str(self.credentials["github"]["users"]["maintainer"]["token"]),
            "GITHUB_API_URL": str(self.credentials["github"]["api"]),
            "GITHUB_SERVER_URL": str(self.credentials["github"]["url"]),
            "GITHUB_REPOSITORY": APPLICATION,
            # Where `flow backup` keeps what it saves.
            **backup_settings(self.credentials),
            # What servers pull images with; a default in Pulumi.yaml cannot be secret.
            "REGISTRY_USERNAME": str(self.credentials["registry"]["pull"]["username"]),
            "REGISTRY_PASSWORD": str(self.credentials["registry"]["pull"]["password"]),
            # The machine's own authorities and the sandbox's: for Go and Python's ssl,
            # AWS's libraries, curl, and requests.
            "SSL_CERT_FILE": bundle,
            "AWS_CA_BUNDLE": bundle,
            "CURL_CA_BUNDLE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            # Logged in to the sandbox's registry as the one who pushes, and to no other.
            "DOCKER_CONFIG": str(self.folder / "docker"),
            "FLOW_SANDBOX": "1",
        }

    def surroundings(self) -> dict[str, str]:
        """All of a process's environment that works in the sandbox: ours, and `environment`."""
        return {**foreign.inherited(), **self.environment()}

    @property
    def _is_separate(self) -> bool:
        """Whether each group has a state of its own; a sandbox of an older version has one."""
        has_one = (self.directory / "state/.pulumi").exists()
        return "passphrases" in self.credentials and not has_one

    def state(self, group: str) -> Path:
        """The folder of a group's state."""
        return self.directory / "state" / (group if self._is_separate else "")

    def _opening(self, group: str) -> dict[str, str]:
        """Where a group's state is, and its passphrase."""
        own = self.credentials["passphrases"][group] if self._is_separate else ""
        word = str(own or self.credentials["passphrase"])
        return {backends.URL: f"file://{self.state(group)}", backends.PASSPHRASE: word}

    def exports(self) -> str:
        """The environment as lines for `eval` in a POSIX shell."""
        lines = [f"unset {' '.join(foreign.FOREIGN)}"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in self.environment().items()]
        return "\n".join(lines)

    def write(self) -> None:
        """Write the folder, and make the long-lived stacks where they are missing.

        Cheap when nothing is to do. A person's own changes to the sandbox's stack
        files stay; what has changed in the committed ones since is taken over.
        """
        states = map(self.state, backends.GROUPS)
        for part in (self.folder, self.folder / "docker", self.folder / "bin", *states):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = self.folder / "bin/pulumi"
        _write(plain, plain_pulumi.script(self.root / ".toolchain/bin/pulumi"))
        plain.chmod(0o700)
        _write(self.folder / "certificates.pem", self._certificates())
        _write(self.folder / "docker/config.json", json.dumps(docker_config(self.credentials)))
        committed = _load(self.root / "Pulumi.yaml")
        trust = Path(str(self.credentials["ca"])).read_text()
        main = os.path.relpath(self.root, self.folder)
        project = sandbox_project(
            committed, self.credentials, main=main, acme_root=trust, repository=self.repository
        )
        _write(self.folder / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))

        namespace = str(committed["name"])
        taken_file = self.folder / "taken.json"
        taken = json.loads(taken_file.read_text()) if taken_file.exists() else {}
        made: list[str] | None = None
        for stack, hetzner in PROJECT_OF_STACK.items():
            file = self.folder / f"Pulumi.{stack}.yaml"
            own = _load(file) if file.exists() else {}
            wanted = stack_settings(
                _load(self.root / f"Pulumi.{stack}.yaml"),
                namespace,
                zone_of(self.credentials, hetzner),
            )
            merged = merge(own.get("config") or {}, taken.get(stack, {}), wanted)
            if merged != own.get("config"):
                _write(file, yaml.safe_dump({**own, "config": merged}, sort_keys=False))
            taken[stack] = wanted
            if "encryptionsalt" in own and "hcloud:token" in merged and self._has_state(stack):
                continue
            stacks = self.stacks
            made = stacks.names() if made is None else made
            if stack not in made:
                stacks.create(stack)
            stacks.set_secret(
                stack, "hcloud:token", str(self.credentials["projects"][hetzner]["token"])
            )
        if made is not None:
            self.stacks.unselect()
        _write(taken_file, json.dumps(taken, indent=2))

    def unpin(self) -> list[str]:
        """Forget versions that `pulumi up -c version=…` left in the stages' files; which stages."""
        key = f"{_load(self.root / 'Pulumi.yaml')['name']}:version"
        unpinned = []
        for stack in PROJECT_OF_STACK:
            file = self.folder / f"Pulumi.{stack}.yaml"
            own = _load(file)
            if (own.get("config") or {}).pop(key, None) is not None:
                _write(file, yaml.safe_dump(own, sort_keys=False))
                unpinned.append(stack)
        return unpinned

    def _has_state(self, stack: str) -> bool:
        folder = self.state(backends.group_of(stack)) / ".pulumi/stacks"
        return any(folder.glob(f"*/{stack}.json"))

    def _path(self, path: str) -> str:
        own = [
            *(str(self.folder / "bin"), str(self.root / ".venv/bin")),
            str(self.root / ".toolchain/bin"),
        ]
        return os.pathsep.join([*own, *(p for p in path.split(os.pathsep) if p not in own)])

    def _certificates(self) -> str:
        bundle = self.folder / "certificates.pem"
        machine = Path(os.environ.get("SSL_CERT_FILE", SYSTEM_CERTIFICATES))
        if machine == bundle or not machine.exists():
            machine = Path(SYSTEM_CERTIFICATES)
        parts = [Path(str(self.credentials["trust"])).read_text()]
        if machine.exists():
            parts.append(machine.read_text())
        return "\n".join(parts)


def sandbox_project(
    committed: Mapping[str, Any],
    credentials: Mapping[str, Any],
    *,
    main: str,
    acme_root: str,
    repository: str = "",
) -> dict[str, Any]:
    """The sandbox's Pulumi.yaml: the committed one with `main` and other defaults.

    main       the program's folder, relative to the project's
    acme_root  PEM of the authority that signs the ACME server's own certificate
    repository the application's, where there is one
    """
    project = dict(committed)
    project["main"] = main
    runtime = project.get("runtime")
    if isinstance(runtime, dict) and (runtime.get("options") or {}).get("virtualenv"):
        options = dict(runtime["options"])
        options["virtualenv"] = os.path.join(main, options["virtualenv"])  # noqa: PTH118 (a relative path in a file)
        project["runtime"] = {**runtime, "options": options}
    defaults = {
        "zone": zone_of(credentials, DEMO_PROJECT),
        "addressDomain": ADDRESS_DOMAIN,
        "images": images_prefix(credentials),
        "acmeServer": credentials["acme"]["directory"],
        "acmeRoot": acme_root,
        "githubRepository": repository,
    }
    config = dict(project.get("config") or {})
    for key, value in defaults.items():
        declared = next((k for k in (key, f"{committed['name']}:{key}") if k in config), None)
        if declared is None:
            config[f"{committed['name']}:{key}"] = {"default": value, "type": "string"}
        else:
            schema = config[declared] if isinstance(config[declared], dict) else {"type": "string"}
            # Pulumi refuses a default that is also `secret`.
            kept = {k: v for k, v in schema.items() if k not in ("value", "secret")}
            config[declared] = {**kept, "default": value}
    config["hcloud:endpoint"] = {"value": credentials["endpoint"]}
    project["config"] = config
    return project


def zone_of(credentials: Mapping[str, Any], project: str) -> str:
    """The DNS zone in a Hetzner project of the sandbox."""
    return str(credentials["projects"][project].get("zone") or ZONE_OF_PROJECT[project])


def backup_settings(credentials: Mapping[str, Any]) -> dict[str, str]:
    """Bucket and keys of backups in the sandbox's object storage, as flow.backups reads them."""
    objects = credentials["objects"]
    return {
        "BACKUP_BUCKET": BACKUPS,
        "BACKUP_ENDPOINT": str(objects["endpoint"]),
        "BACKUP_REGION": str(objects["region"]),
        "BACKUP_ACCESS_KEY_ID": str(objects["access_key"]),
        "BACKUP_SECRET_ACCESS_KEY": str(objects["secret_key"]),
    }


def images_prefix(credentials: Mapping[str, Any]) -> str:
    """Registry and path of the example's images."""
    return str(credentials.get("images") or f"{credentials['registry']['server']}/example")


def docker_config(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Docker's config.json for pushing to the sandbox's registry."""
    registry = credentials["registry"]
    user = registry["push"]
    login = base64.b64encode(f"{user['username']}:{user['password']}".encode()).decode()
    return {
        "auths": {registry["server"]: {"auth": login}},
        # Another config folder hides a person's own plugins (buildx, compose).
        "cliPluginsExtraDirs": [str(Path.home() / ".docker/cli-plugins")],
    }


def _load(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise FlowError(f"{file} is missing", "run flow in a checkout of the project") from error
    except yaml.YAMLError as error:
        raise FlowError(f"{file} is not YAML: {error}", f"correct {file}") from error
    return content if isinstance(content, dict) else {}


def _write(file: Path, content: str) -> None:
    """Write for the owner only, and only what differs, so that times tell changes."""
    if file.exists() and file.read_text() == content:
        return
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(content)
