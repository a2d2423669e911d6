"""The sandbox's block in /etc/hosts, by which a browser here finds the environments."""

from collections.abc import Mapping, Sequence
from pathlib import Path

HOSTS = Path("/etc/hosts")
_BEGIN = "# deployment-flow sandbox: begin (this block is written again as records change)"
_END = "# deployment-flow sandbox: end"


def render(text: str, names: Mapping[str, Sequence[str]]) -> str:
    """`text` with its block replaced; without names, without a block."""
    before, begin, rest = text.partition(_BEGIN + "\n")
    after = rest.partition(_END + "\n")[2] if begin else ""
    outside = before + after
    if not names:
        return outside
    if outside and not outside.endswith("\n"):
        outside += "\n"
    lines = [f"{address}\t{name}" for name in sorted(names) for address in names[name]]
    return outside + "\n".join([_BEGIN, *lines, _END, ""])


def write(names: Mapping[str, Sequence[str]], path: Path = HOSTS) -> None:
    """Bring the file up to date. Written in place: it may be a mount of its own."""
    text = path.read_text()
    new = render(text, names)
    if new != text:
        path.write_text(new)
