"""Make the bridged plugins' schemas and metadata again, after their inputs changed.

    python3 -m toolchain.generate

For whoever moves a provider or the bridge to another version: the result is
committed, so nobody else runs the generators. It takes about a minute more than
building the plugins does.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from toolchain.build import SOURCES
from toolchain.errors import InstallError
from toolchain.golang import find_go

#: The modules whose version decides what every generator says.
BRIDGE = (
    "github.com/pulumi/pulumi-terraform-bridge/v3",
    "github.com/hashicorp/terraform-plugin-sdk/v2",
    "github.com/hashicorp/terraform-plugin-framework",
    "github.com/pulumi/pulumi/pkg/v3",
)


@dataclass(frozen=True)
class Bridged:
    """A plugin made of a Terraform provider; `name` is that of its folder and its package."""

    name: str
    upstream: str
    #: What the generator makes and is committed.
    files: tuple[str, ...] = ("schema.json",)

    @property
    def folder(self) -> Path:
        """Where the description of the provider lies, and what is made of it."""
        return SOURCES / self.name

    @property
    def record(self) -> Path:
        """The digest of the inputs the committed files were made from."""
        return self.folder / "generated-from.sha256"

    @property
    def generator(self) -> str:
        """Return the Go package of the generator."""
        return f"./cmd/pulumi-tfgen-{self.name}"

    def inputs_digest(self) -> str:
        """Return the digest of what the generated files depend on, and of these themselves."""
        digest = hashlib.sha256()
        go_mod = (SOURCES / "go.mod").read_text()
        for module in (self.upstream, *BRIDGE):
            for line in re.findall(rf"^.*{re.escape(module)} .*$", go_mod, flags=re.MULTILINE):
                digest.update(" ".join(line.split()).encode() + b"\n")
        sources = [self.folder / "provider.go", SOURCES / self.generator / "main.go"]
        for path in [*sources, *(self.folder / name for name in self.files)]:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


PLUGINS = {
    "hcloud": Bridged(
        "hcloud",
        "github.com/hetznercloud/terraform-provider-hcloud",
        # Written on two plugin SDKs, and the metadata say which resource is whose.
        ("schema.json", "bridge-metadata.json"),
    ),
    "github": Bridged("github", "github.com/integrations/terraform-provider-github/v6"),
}


def main() -> int:
    """Run the generators and write their results; return the exit status."""
    try:
        go = find_go(SOURCES / "go.mod")
    except InstallError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for plugin in PLUGINS.values():
        _generate(go, plugin)
    return 0


def _generate(go: str, plugin: Bridged) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        generator = Path(scratch) / "generate"
        subprocess.run(
            [go, "build", "-mod=readonly", "-o", str(generator), plugin.generator],
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
        for name in plugin.files:
            (plugin.folder / name).write_bytes((Path(scratch) / name).read_bytes())
    plugin.record.write_text(plugin.inputs_digest() + "\n")


if __name__ == "__main__":
    sys.exit(main())
