"""Where things are on a server. One value, so that tests can move all of it elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Paths under `root` ("/" on a server)."""

    root: Path = Path("/")

    @property
    def state(self) -> Path:
        """Releases, runs, lock and credentials; root only."""
        return self.root / "var/lib/deployment-flow"

    @property
    def runs(self) -> Path:
        """One folder a hand-over: request, log and result."""
        return self.state / "runs"

    @property
    def data(self) -> Path:
        """Where the data volume is mounted."""
        return self.root / "data"

    @property
    def docker_config(self) -> Path:
        """Docker's configuration folder with the server's own registry credential."""
        return self.state / "docker"

    @property
    def caddy(self) -> Path:
        """Caddy's configuration folder."""
        return self.root / "etc/caddy"

    @property
    def docker_root(self) -> Path:
        """Where images and containers take their space."""
        return self.root / "var/lib/docker"

    @property
    def reboot_required(self) -> Path:
        """Is there while an upgrade, of the kernel for one, waits for a reboot."""
        return self.root / "run/reboot-required"

    def facts(self) -> dict[str, str]:
        """What provision.sh wrote down: VOLUME (a device or empty) and FINGERPRINT."""
        path = self.root / "etc/deployment-flow/server.conf"
        lines = path.read_text().splitlines() if path.exists() else []
        return dict(line.split("=", 1) for line in lines if "=" in line)
