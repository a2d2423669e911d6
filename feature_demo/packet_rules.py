"""Docker's packet filter rules and bridges, which it leaves behind when it is removed."""

import json
import re
import shutil
import subprocess
from typing import Any, Final

from remote.server.agent.commands import Commands

_DOCKERS: Final = re.compile(r"\bDOCKER(-[A-Z0-9-]+)?\b|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
_OF_IPTABLES: Final = frozenset({"filter", "nat", "mangle", "raw", "security"})


def without_docker(saved: list[str]) -> list[str]:
    """The lines of iptables-save without Docker's chains and rules."""
    return [
        # Docker closes forwarding where it was the one to open it.
        line.replace(":FORWARD DROP", ":FORWARD ACCEPT")
        for line in saved
        if not _DOCKERS.search(line)
    ]


def empty_tables(ruleset: dict[str, Any]) -> list[tuple[str, str]]:
    """Family and name of tables of iptables' that hold no rule, from `nft -j list ruleset`."""
    parts = ruleset.get("nftables", [])
    tables = [(part["table"]["family"], part["table"]["name"]) for part in parts if "table" in part]
    used = {(part["rule"]["family"], part["rule"]["table"]) for part in parts if "rule" in part}
    return [
        table
        for table in tables
        if table not in used and table[0] in ("ip", "ip6") and table[1] in _OF_IPTABLES
    ]


def clear(commands: Commands) -> None:
    """Take Docker's rules, its empty tables and its bridges away. Docker has to be stopped."""
    for tool in ("iptables", "ip6tables"):
        if shutil.which(f"{tool}-save") is None:
            continue
        saved = commands.run([f"{tool}-save"], seconds=30)
        kept = without_docker(list(saved.lines))
        if saved.ok and kept != list(saved.lines):
            commands.run([f"{tool}-restore"], seconds=30, stdin="\n".join(kept) + "\n")
    if shutil.which("nft") is not None:
        for family, name in empty_tables(_listed("nft", "-j", "list", "ruleset") or {}):
            commands.run(["nft", "delete", "table", family, name], seconds=30)
    if shutil.which("ip") is not None:
        for link in _listed("ip", "-json", "link", "show", "type", "bridge") or []:
            name = str(link.get("ifname")) if isinstance(link, dict) else ""
            if _DOCKERS.fullmatch(name):
                commands.run(["ip", "link", "delete", name], seconds=30)


def _listed(*words: str) -> Any:
    """JSON of a command; one line of any length, which `Commands` would cut."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return None
