"""Make the hcloud plugin's schema and metadata again, after its inputs changed.

    python3 -m toolchain.generate

For whoever moves the provider or the bridge to another version: the result is
committed, so nobody else runs the generator. It takes about a minute more than
building the plugin does.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain.build import SOURCES
from toolchain.errors import InstallError
from toolchain.golang import find_go

OUTPUT = SOURCES / "hcloud"
GENERATED = ("schema.json", "bridge-metadata.json")
#: The digest of the inputs the committed files were made from.
RECORD = OUTPUT / "generated-from.sha256"
#: The modules whose version decides what the generator says.
MODULES = (
    "github.com/hetznercloud/terraform-provider-hcloud",
    "github.com/pulumi/pulumi-terraform-bridge/v3",
    "github.com/hashicorp/terraform-plugin-sdk/v2",
    "github.com/hashicorp/terraform-plugin-framework",
    "github.com/pulumi/pulumi/pkg/v3",
)


def inputs_digest() -> str:
    """Return the digest of what the generated files depend on, and of these themselves."""
    digest = hashlib.sha256()
    go_mod = (SOURCES / "go.mod").read_text()
    for module in MODULES:
        for line in re.findall(rf"^.*{re.escape(module)} .*$", go_mod, flags=re.MULTILINE):
            digest.update(" ".join(line.split()).encode() + b"\n")
    sources = [OUTPUT / "provider.go", SOURCES / "cmd" / "pulumi-tfgen-hcloud" / "main.go"]
    for path in [*sources, *(OUTPUT / name for name in GENERATED)]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main() -> int:
    """Run the generator and write its results; return the exit status."""
    try:
        go = find_go(SOURCES / "go.mod")
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        generator = Path(scratch) / "generate"
        subprocess.run(
            [go, "build", "-mod=readonly", "-o", str(generator), "./cmd/pulumi-tfgen-hcloud"],
            cwd=SOURCES,
            check=True,
        )
        # Examples and descriptions come from the upstream's documents and serve
        # SDK generation only, which is not done here.
        subprocess.run(
            [str(generator), "schema", "--skip-docs", "--skip-examples", "--out", scratch],
            cwd=scratch,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        for name in GENERATED:
            (OUTPUT / name).write_bytes((Path(scratch) / name).read_bytes())
    RECORD.write_text(inputs_digest() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
