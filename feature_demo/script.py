"""Assembles feature-demo.sh: a head, every file it carries as a here-document, one last line.

It runs here, where the project is checked out, and on a server, where the script puts itself
on PATH: from the same files it makes the same bytes.
"""

from pathlib import Path, PurePosixPath
from typing import Final

from remote import shipment

ROOT: Final = Path(__file__).resolve().parents[1]
END: Final = "feature-demo.sh--end-of-file"
# What renders a release: pure, and without Pulumi.
COMPONENTS: Final = (
    *("__init__", "bundle", "caddyfile", "compose", "compose_advice", "compose_check"),
    *("compose_files", "naming", "plain_yaml"),
)


def contents() -> dict[str, str]:
    """Path in the project → text of everything the script carries, sorted by path."""
    ours = sorted(Path(__file__).parent.glob("*.py"))
    files = [
        *ours,
        Path(__file__).parent / "header.sh",
        *(ROOT / f"components/{name}.py" for name in COMPONENTS),
        *(ROOT / f"remote/{name}.py" for name in ("__init__", "shipment")),
    ]
    found = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in files}
    found |= {f"remote/server/{name}": data.decode() for name, data in shipment.contents().items()}
    return dict(sorted(found.items()))


def render() -> str:
    """The whole script. Raises ValueError for a file a here-document cannot carry."""
    carried = contents()
    lines = []
    for folder in sorted({str(PurePosixPath(path).parent) for path in carried}):
        lines.append(f'    mkdir -p "$folder/{folder}"\n')
    for path, text in carried.items():
        if END in text.splitlines() or (text and not text.endswith("\n")):
            raise ValueError(f"{path} cannot be carried: it has no last line end, or ours in it")
        lines.append(f"    cat >\"$folder/{path}\" <<'{END}'\n{text}{END}\n")
    body = "".join(lines)
    return f'{carried["feature_demo/header.sh"]}unpack() {{\n{body}}}\n\nmain "$@"\n'
