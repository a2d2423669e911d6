"""How a server is described to Docker: its rights, its devices, its first files."""

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import docker
import yaml

from sandbox.hosts import images, network
from sandbox.hosts.interface import HostSpec

LABEL = "deployment-flow.server"
OWNER_LABEL = "deployment-flow.sandbox"
STOP_SECONDS = 20  # what a clean shutdown gets before its power is cut

# Names of the capabilities by number (linux/capability.h).
_CAPABILITY_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
    "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
    "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
    "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
    "CHECKPOINT_RESTORE"
)
_CAPABILITIES = _CAPABILITY_NAMES.split()


def name_of(server_id: int) -> str:
    """The container of a server."""
    return f"flow-server-{server_id}"


def missing_capabilities() -> list[str]:
    """Capabilities that root lacks on this machine; `--privileged` asks for all and fails."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    status = Path("/proc/self/status").read_text()
    bound = next(line for line in status.splitlines() if line.startswith("CapBnd"))
    held = int(bound.split()[1], 16)
    return [name for n, name in enumerate(_CAPABILITIES[: last + 1]) if not held >> n & 1]


def rights() -> dict[str, Any]:
    """Host config for a container that boots systemd and runs Docker."""
    missing = missing_capabilities()
    if not missing:
        return {"Privileged": True}
    return {
        "CapAdd": ["ALL"],
        "CapDrop": missing,
        "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
        "MaskedPaths": [],
        "ReadonlyPaths": [],
        "DeviceCgroupRules": ["a *:* rwm"],
    }


def limits(cores: int, memory_gb: float) -> dict[str, Any]:
    """Processor and memory of a server type, as far as this machine has them."""
    usable = min(float(cores), float(os.cpu_count() or 1))
    return {
        "CpuPeriod": 100_000,
        "CpuQuota": int(usable * 100_000),
        "Memory": int(memory_gb * (1 << 30)),
        "MemorySwap": -1,
    }


def config(spec: HostSpec, ipv4: str, owner: Path) -> dict[str, Any]:
    """The body of Docker's create call.

    ipv4   the address given to Docker, which needs one even for a server without
    owner  the sandbox's directory
    """
    return {
        "Image": images.tag_of(spec.image),
        # The kernel takes 64 characters; a name may be a whole domain name.
        "Hostname": spec.name.partition(".")[0][:63],
        "Env": ["container=docker"],
        "Labels": {LABEL: str(spec.server_id), OWNER_LABEL: str(owner)},
        # Docker inside needs a filesystem of its own below its overlays.
        "Volumes": {"/var/lib/docker": {}},
        "StopTimeout": STOP_SECONDS,
        "HostConfig": {
            **rights(),
            **limits(spec.cores, spec.memory_gb),
            "NetworkMode": network.NETWORK,
            "Dns": [network.GATEWAY4],
            "CgroupnsMode": "private" if is_cgroup_v2() else "host",
            "Tmpfs": {"/run": "exec,mode=755", "/run/lock": "mode=1777"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            "PidsLimit": -1,
        },
        "NetworkingConfig": {
            "EndpointsConfig": {network.NETWORK: {"IPAMConfig": {"IPv4Address": ipv4}}}
        },
    }


def make(client: docker.DockerClient, name: str, body: dict[str, Any]) -> None:
    """Create a container from the body of Docker's create call."""
    client.api.create_container_from_config(body, name)  # type: ignore[no-untyped-call]


def is_cgroup_v2() -> bool:
    """Whether this machine has the unified cgroup hierarchy only."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def first_files(spec: HostSpec, authority: bytes) -> bytes:
    """A tar of what the server finds on its disk: cloud-init's seed and our settings."""
    seed = "var/lib/cloud/seed/nocloud"
    meta = {
        "instance-id": str(spec.server_id),
        "local-hostname": spec.name,
        "public-keys": list(spec.ssh_keys),
    }
    nameservers = [network.GATEWAY4] if spec.ipv4 else []
    nameservers += [network.GATEWAY6] if spec.ipv6 else []
    return archive(
        {
            f"{seed}/meta-data": yaml.safe_dump(meta).encode(),
            f"{seed}/user-data": spec.user_data.encode(),
            f"{seed}/vendor-data": _vendor_data(spec).encode(),
            "etc/sandbox/ca.pem": authority,
            "etc/sandbox/resolv.conf": "".join(f"nameserver {n}\n" for n in nameservers).encode(),
        }
    )


def _vendor_data(spec: HostSpec) -> str:
    """As Hetzner's: a root password that expires at once, where no key was given."""
    if spec.root_password_hash is None:
        return "#cloud-config\n{}\n"
    password = {"name": "root", "password": spec.root_password_hash, "type": "hash"}
    body = {"chpasswd": {"expire": True, "users": [password]}, "ssh_pwauth": True}
    return "#cloud-config\n" + yaml.safe_dump(body)


def archive(files: dict[str, bytes]) -> bytes:
    """A tar of files readable by root only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            info.mode = 0o644 if path.startswith("etc/") else 0o600
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
