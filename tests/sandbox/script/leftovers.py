"""Everything a demo could leave on a server, listed before and after."""

import subprocess

from sandbox.hosts import images
from tests.sandbox.deploys.conftest import Host

# What apt, dpkg and systemd keep for themselves about packages that come and go.
_KEPT_BY_OTHERS = (
    *("/proc", "/sys", "/run", "/tmp", "/dev", "/var/cache/apt", "/var/lib/apt", "/var/log/apt"),
    *("/var/log/journal", "/var/lib/ucf", "/var/cache/debconf", "/root"),
    # Written when the kernel has something to say, and when a person logs in.
    *("/var/log/kern.log", "/var/log/wtmp.db", "/var/log/lastlog"),
)
_LISTINGS = {
    "files": "find / -xdev \\( "
    + " -o ".join(f"-path {path}" for path in _KEPT_BY_OTHERS)
    + " \\) -prune -o ! -name '*.dpkg-*' -print",
    "contents": "find /etc /usr/local -xdev -type f ! -name '*-' -exec sha256sum {} +",
    "files of root": "ls -A /root",
    "run": "ls /run | grep -vE 'adduser|motd|sendsigs|unattended-upgrades|sudo'",
    "packages": "dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'",
    "chosen packages": "apt-mark showmanual",
    "unit files": "systemctl list-unit-files --no-legend | grep -v '\\.scope'",
    # systemd forgets a container's mount a moment after it is gone; "mounts" has those there are.
    "units": "systemctl list-units --all --no-legend --plain --type=service,timer,socket,mount"
    " | awk '{print $1, $3}'"
    " | grep -vE 'user@|user-runtime|apt-daily|session|run-|docker-overlay2-.*mount'",
    "users": "getent passwd",
    "groups": "getent group",
    "links": "ip -o link | awk '{print $2}' | cut -d@ -f1",
    "mounts": "findmnt -rno TARGET | grep -v ^/run",
    "switches": "sysctl -a 2>/dev/null | grep -E 'forwarding|ip_forward ' | grep -vE 'docker0|br-'",
    # A `sleep` of a minute at most is what the installation's own beat leaves.
    "processes": "ps -eo comm | grep -vE 'sshd|sleep|ps|sort|grep|sh$|systemd|sd-pam|awk|cut'",
    "ports": "ss -Hltun | awk '{print $1, $5}'",
    "timed work": "ls /etc/cron.d /etc/cron.daily /var/spool/cron 2>/dev/null",
}


def listing(host: Host) -> dict[str, set[str]]:
    """What there is to see, from inside and of the packet filter from outside."""
    mark = "=-=-="
    script = "".join(
        f"echo '{mark}{name}'\n{{ {command}; }} | LC_ALL=C sort\n"
        for name, command in _LISTINGS.items()
    )
    done = host.ssh("LC_ALL=C sh -s", text=script)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {}
    for part in done.stdout.split(mark)[1:]:
        name, _, text = part.partition("\n")
        found[name] = set(text.splitlines())
    found["packet filter"] = _packet_filter(host)
    return found


def docker_objects(host: Host) -> dict[str, set[str]]:
    """What Docker has, where it stays."""
    return {
        f"docker {kind}": set(host.run(f"docker {words}").splitlines())
        for kind, words in {
            "containers": "ps --all --no-trunc --format '{{.ID}} {{.Names}}'",
            "images": "image ls --all --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}'",
            "networks": "network ls --format '{{.Name}}'",
            "volumes": "volume ls --format '{{.Name}}'",
            "caches": "builder du | grep -v ^ID || true",
        }.items()
    }


def _packet_filter(host: Host) -> set[str]:
    """The rules of the server's network, read by a container that shares it.

    Rules of the container the server itself is have ports that change with each start.
    """
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", f"container:flow-server-{host.server.id}",
         "--cap-add", "NET_ADMIN", "--entrypoint", "nft", images.FULL, "--stateless", "list",
         "ruleset"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {
        line.strip()
        for line in done.stdout.splitlines()
        # Chains of the kernel's own names that Docker made iptables add stand empty.
        if "counter" in line or line.startswith("table")
        if "SANDBOX" not in line and "DOCKER_" not in line
    }


def difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> dict[str, list[str]]:
    """What came (+) and what went (-), where something did."""
    found = {
        name: sorted(
            [f"+ {line}" for line in after[name] - before[name]]
            + [f"- {line}" for line in before[name] - after[name]]
        )
        for name in before
    }
    return {name: lines for name, lines in found.items() if lines}
