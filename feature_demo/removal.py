"""Takes a demo off a server, and with it everything the script brought.

Every step looks for what is there, so that a half-made installation goes as well, and a
removal that was interrupted goes on.
"""

import contextlib
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Final

from feature_demo import before as snapshots
from feature_demo import packet_rules
from feature_demo.before import Before
from feature_demo.demo import BUILT
from feature_demo.install import COMMAND
from feature_demo.words import DemoError, Say
from remote.server.agent.commands import Commands, Ended
from remote.server.agent.jobs import JobsRun
from remote.server.agent.machine import Machine
from remote.server.agent.releases import Store

UNITS: Final = ("deployment-flow.service", "deployment-flow-firewall.service")
OURS: Final = (
    "/etc/deployment-flow",
    "/usr/local/lib/deployment-flow",
    "/var/log/deployment-flow",
)
PROJECT: Final = "app"
_MARGIN: Final = 200 * 1024**2


class Removal:
    """One removal, step by step."""

    def __init__(self, machine: Machine, before: Before, commands: Commands, say: Say) -> None:
        self._machine = machine
        self._before = before
        self._commands = commands
        self._say = say
        if not before.is_whole:
            # The installation was cut short: all that came since is of it.
            snapshots.count(before)
        self._added = set(before.added.get("packages", []))
        self._docker_is_ours = "docker.io" in self._added
        self._caddy_is_ours = "caddy" in self._added

    def data(self) -> list[Path]:
        """Folders of the application that hold something."""
        release = Store(self._machine.state).current()
        names = release.manifest["data"] if release is not None else []
        found = [self._machine.data / name for name in names]
        return [path for path in found if path.is_dir() and any(path.iterdir())]

    def dump(self, folder: Path, name: str) -> Path:
        """Stop the application and pack its data; the archive's path. Raises DemoError."""
        release = Store(self._machine.state).current()
        paths = self.data()
        size = sum(file.lstat().st_size for path in paths for file in path.rglob("*"))
        if not folder.is_dir():
            raise DemoError(f"{folder} is no folder", "give another one as --dump-to")
        if shutil.disk_usage(folder).free < size + _MARGIN:
            raise DemoError(
                f"{folder} has no room for a dump of {size // 1024**2} MiB; nothing was removed",
                "give another folder as --dump-to, or --no-dump to lose the data",
            )
        self._say("stopping the application, so that its data stand still")
        self._stop()
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = folder / f"feature-demo-{name}-{stamp}.tar.gz"
        partial = target.with_name(f".{target.name}.part")
        self._say(f"packing {size // 1024**2} MiB of data")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with (
                os.fdopen(descriptor, "wb") as file,
                tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive,
            ):
                for path in paths:
                    archive.add(path, f"data/{path.name}")
                if release is not None:
                    archive.add(release.path / "manifest.json", "manifest.json")
                    archive.add(release.path / "compose.yaml", "compose.yaml")
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise DemoError(
                f"the data could not be packed ({error}); nothing was removed",
                "give another folder as --dump-to; `feature-demo.sh update` starts the demo again",
            ) from None
        partial.rename(target)
        return target

    def run(self) -> None:
        """Remove everything. Raises DemoError only where something of ours would be left."""
        self._say("removing the application")
        names = [path.name for path in self._data_folders()]
        self._containers()
        self._say("removing agent, firewall and units")
        self._units()
        self._docker_settings()
        self._web_server()
        self._services()
        if self._docker_is_ours:
            # Before the tools for that are gone, and when Docker cannot write them anew.
            self._run("systemctl", "stop", "docker.socket", "docker.service", "containerd.service")
            packet_rules.clear(self._commands)
        if "unattended-upgrades" in self._added:
            # Its package leaves it running, so as not to cut an upgrade off.
            self._run("systemctl", "stop", "unattended-upgrades.service")
        self._packages()
        self._files(names)
        self._people()
        self._folders()
        self._switches()
        shutil.rmtree(self._machine.state, ignore_errors=True)
        COMMAND.unlink(missing_ok=True)

    def _data_folders(self) -> list[Path]:
        """Also of releases that were before: a volume may have had its day."""
        names = {
            str(name)
            for path in (self._machine.state / "releases").glob("*/manifest.json")
            for name in snapshots.loaded(path).get("data", [])
        }
        return [self._machine.data / name for name in sorted(names)]

    def _run(self, *words: str, seconds: float = 120) -> list[str]:
        """A command that may fail: its lines where it did not."""
        if shutil.which(words[0]) is None:
            return []
        ended = self._commands.run(
            words, seconds=seconds, environment={"HOME": "/root", "LC_ALL": "C.UTF-8"}
        )
        return [line for line in ended.lines if line.strip()] if ended.ok else []

    def _stop(self) -> None:
        mine = ("--filter", f"label=com.docker.compose.project={PROJECT}")
        if running := self._run("docker", "ps", "--quiet", *mine):
            self._run("docker", "stop", *running, seconds=300)

    def _containers(self) -> None:
        """Containers, volumes, networks and images; of all of Docker where it came with us."""
        self._run("systemctl", "stop", "deployment-flow-deploy.service")
        if not self._run("docker", "version", "--format", "{{.Server.Version}}"):
            return
        self._stop()
        mine = (
            () if self._docker_is_ours
            else ("--filter", f"label=com.docker.compose.project={PROJECT}")
        )  # fmt: skip
        images = self._images()
        for kind, listing in (
            ("container", ("ps", "--all", "--quiet")),
            ("volume", ("volume", "ls", "--quiet")),
            ("network", ("network", "ls", "--quiet", "--filter", "type=custom")),
        ):
            if found := self._run("docker", *listing, *mine):
                force = () if kind == "network" else ("--force",)
                self._run("docker", kind, "rm", *force, *found, seconds=300)
        if images:
            self._run("docker", "image", "rm", "--force", *images, seconds=300)
        self._run("docker", "builder", "prune", "--all", "--force", seconds=300)

    def _images(self) -> list[str]:
        built = self._run(
            "docker", "image", "ls", "--quiet", "--no-trunc", "--filter",
            f"reference={BUILT}/*",
        )  # fmt: skip
        released = {
            image
            for path in (self._machine.state / "releases").glob("*/manifest.json")
            for image in snapshots.loaded(path).get("images", {}).values()
        }
        return sorted({*built, *map(str, released)})

    def _units(self) -> None:
        for unit in UNITS:
            self._run("systemctl", "disable", "--now", unit)
            (Path("/etc/systemd/system") / unit).unlink(missing_ok=True)
        self._run("nft", "delete", "table", "inet", "deployment_flow")
        for folder in OURS:
            shutil.rmtree(folder, ignore_errors=True)
        self._run("systemctl", "daemon-reload")
        self._run("systemctl", "reset-failed", *UNITS)

    def _docker_settings(self) -> None:
        path = "/etc/docker/daemon.json"
        if not self._docker_is_ours and Path(path).exists():
            snapshots.restore(Path(path), self._before.files.get(path))
            # Of some it learns only as it starts, which is not for us where containers are.
            is_used = bool(self._run("docker", "ps", "--all", "--quiet"))
            self._run("systemctl", "reload" if is_used else "restart", "docker")

    def _web_server(self) -> None:
        if self._caddy_is_ours or not Path("/etc/caddy").is_dir():
            return
        for name in (
            *("acme-root.pem", "Caddyfile.before", "Caddyfile.candidate"),
            *("deployment-flow.green", "deployment-flow.loading"),
        ):
            (Path("/etc/caddy") / name).unlink(missing_ok=True)
        path = "/etc/caddy/Caddyfile"
        snapshots.restore(Path(path), self._before.files.get(path))
        self._run("systemctl", "reload-or-restart", "caddy")

    def _services(self) -> None:
        """Those of others start and run as they did."""
        for name, (enabled, active) in self._before.services.items():
            if enabled == "disabled":
                self._run("systemctl", "disable", name)
            if active != "active":
                sockets = ["docker.socket"] if name.startswith("docker") else []
                self._run("systemctl", "stop", *sockets, name)

    def _packages(self) -> None:
        """Those that came with us, but for what a package of somebody else needs by now."""
        ours = self._added & set(snapshots.packages())
        if not ours:
            return
        # An installation that was cut short leaves some half configured.
        self._run("dpkg", "--configure", "-a", seconds=600)
        if torn := sorted(ours & set(snapshots.torn())):
            before_repair = snapshots.names()
            # Whole again first: of half a package dpkg does not know the files.
            self._apt("--reinstall", "install", *torn)
            if still := sorted(set(torn) & set(snapshots.torn())):
                self._run("dpkg", "--purge", "--force-remove-reinstreq", "--force-depends", *still)
            # What they depend on came along.
            snapshots.count(self._before, before_repair)
            self._added |= set(self._before.added["packages"])
            ours = self._added & set(snapshots.packages())
        quick = ("-o", "APT::AutoRemove::RecommendsImportant=false",
                 "-o", "APT::AutoRemove::SuggestsImportant=false")  # fmt: skip
        self._run("apt-mark", "auto", *sorted(ours))
        unneeded = {
            line.split()[1].partition(":")[0]
            for line in self._run("apt-get", *quick, "--simulate", "autoremove")
            if line.startswith(("Remv ", "Purg "))
        }
        # What was removed before and left its configuration is in no such list.
        left = set(self._run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n"))
        rest = {line.split()[-1] for line in left if line.startswith("rc")} & ours
        going = sorted(ours & unneeded | rest)
        if kept := sorted(ours - set(going)):
            self._say(f"kept, because other packages need them by now: {', '.join(kept)}")
            self._run("apt-mark", "manual", *kept)
        if not going:
            return
        self._say(f"removing {len(going)} packages")
        ended = self._apt("purge", *going)
        if not ended.ok:
            raise DemoError(
                f"apt-get could not remove the packages: {ended.last()[:300]}",
                "run `dpkg --configure -a`, then `feature-demo.sh remove` again",
            )

    def _apt(self, *words: str) -> Ended:
        return self._commands.run(
            ["apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=240", *words],
            seconds=900,
            environment={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        )

    def _files(self, data: list[str]) -> None:
        for name in data:
            shutil.rmtree(self._machine.data / name, ignore_errors=True)
        JobsRun(self._machine.data).forget()
        for path in ("/etc/hosts", "/etc/apt/apt.conf.d/20auto-upgrades"):
            snapshots.restore(Path(path), self._before.files.get(path))

    def _people(self) -> None:
        there = {"users": snapshots.users, "groups": snapshots.groups}
        for kind, command in (("users", "userdel"), ("groups", "groupdel")):
            for name in self._before.added.get(kind, []):
                if name in there[kind]():
                    self._run(command, name)

    def _folders(self) -> None:
        """What packages leave behind. A folder that held something before is not touched."""
        if self._docker_is_ours:
            Path("/run/docker.sock").unlink(missing_ok=True)
        kept = self._added & set(snapshots.packages())
        for name, package in snapshots.FOLDERS.items():
            path, was_filled = Path(name), self._before.filled.get(name)
            if was_filled or not path.is_dir() or package in kept:
                continue
            if name == "/data" and any(path.iterdir()):
                self._say(f"kept, because the demo did not make it: {name}")
                continue
            # A mount point cannot be removed, its contents can.
            for inner in path.iterdir():
                if inner.is_dir() and not inner.is_symlink():
                    shutil.rmtree(inner, ignore_errors=True)
                else:
                    inner.unlink(missing_ok=True)
            if was_filled is None:
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _switches(self) -> None:
        if not self._docker_is_ours:
            return
        for name, value in self._before.switches.items():
            path = Path("/proc/sys") / name
            with contextlib.suppress(OSError):
                if path.read_text().strip() != value:
                    path.write_text(value)
