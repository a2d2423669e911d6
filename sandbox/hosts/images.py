"""Builds the images servers boot from, out of Debian's packages alone.

Three images, each the next one's base: `deployment-flow/base:trixie` (minbase,
also the base of applications' images where no registry is reachable),
`deployment-flow/host:debian-13-bare` (what Hetzner's image is at first boot) and
`deployment-flow/host:debian-13` (the same with Docker, Compose and Caddy already
there). Each carries a hash of what it was made from and is built again only when
that changes.
"""

import hashlib
import io
import platform
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, cast

import docker
from docker.errors import BuildError, ImageNotFound

from sandbox.hosts import package_sources
from sandbox.hosts.package_sources import SUITE, PackageSources

BASE = f"deployment-flow/base:{SUITE}"
BARE = "deployment-flow/host:debian-13-bare"
FULL = "deployment-flow/host:debian-13"

_RECIPES = Path(__file__).parent / "image"
_LABEL = "deployment-flow.inputs"
_DEADLINE = 1200  # seconds for one image; the slowest takes about 90

Report = Callable[[str], None]


class ImageBuildError(RuntimeError):
    """An image could not be made; the message ends with the tool's last lines."""


def tag_of(image: str) -> str:
    """The Docker image for an image name of the API (`debian-13`, `debian-13-bare`)."""
    return BARE if image.endswith("-bare") else FULL


def ensure(client: docker.DockerClient, log: Path, report: Report) -> None:
    """Build whichever images are missing or made from other inputs."""
    sources = package_sources.from_this_machine()
    wanted = _wanted(sources)
    if not _is_current(client, BASE, wanted[BASE]):
        report("making a Debian root filesystem from this machine's package mirror (about 30 s)")
        _import_base(client, sources, wanted[BASE], log)
    if not _is_current(client, BARE, wanted[BARE]):
        report("building the servers' bare image (about 60 s)")
        _build(client, "bare.Dockerfile", BARE, BASE, wanted[BARE], log)
    if not _is_current(client, FULL, wanted[FULL]):
        report("building the servers' image with Docker and Caddy (about 60 s)")
        _build(client, "full.Dockerfile", FULL, BARE, wanted[FULL], log)


def are_current(client: docker.DockerClient) -> bool:
    """Whether `ensure` would have nothing to do."""
    wanted = _wanted(package_sources.from_this_machine())
    return all(_is_current(client, tag, inputs) for tag, inputs in wanted.items())


def _wanted(sources: PackageSources) -> dict[str, str]:
    """Tag → hash of what the image is made from, its base included."""
    recipe = "\n".join([*sources.lines, *sources.settings, SUITE, platform.machine()])
    base = _digest(recipe.encode())
    bare = _digest(
        base.encode(), *_contents("bare.Dockerfile", "entrypoint", "volumes", "cloud.cfg")
    )
    full = _digest(bare.encode(), *_contents("full.Dockerfile"))
    return {BASE: base, BARE: bare, FULL: full}


def _contents(*names: str) -> list[bytes]:
    return [(_RECIPES / name).read_bytes() for name in names]


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _is_current(client: docker.DockerClient, tag: str, inputs: str) -> bool:
    try:
        labels = client.images.get(tag).labels
    except ImageNotFound:
        return False
    return bool(labels.get(_LABEL) == inputs)


def _import_base(
    client: docker.DockerClient, sources: PackageSources, inputs: str, log: Path
) -> None:
    """mmdebstrap's tar stream goes straight into `docker import`."""
    settings = [f"--aptopt={line}" for line in sources.settings]
    command = [
        "mmdebstrap", "--variant=minbase", "--mode=root", f"--keyring={sources.keyring}",
        "--include=ca-certificates", *settings,
        # Kept in the image: a server's own apt needs what the machine's needed.
        "--dpkgopt=force-unsafe-io", SUITE, "-", *sources.lines,
    ]  # fmt: skip
    with (
        log.open("ab") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        stdout = cast(IO[bytes], process.stdout)
        try:
            repository, _, tag = BASE.partition(":")
            client.api.import_image_from_stream(
                iter(lambda: stdout.read(1 << 20), b""),
                repository=repository,
                tag=tag,
                changes=[f"LABEL {_LABEL}={inputs}", 'CMD ["/bin/bash"]'],
            )
        finally:
            stdout.close()
            status = process.wait(timeout=_DEADLINE)
    if status != 0:
        client.images.remove(BASE, force=True)
        raise ImageBuildError(
            f"mmdebstrap could not make a Debian {SUITE} root filesystem (exit {status}). "
            f"Its messages are in {log}:\n{_tail(log)}"
        )


def _build(
    client: docker.DockerClient, recipe: str, tag: str, base: str, inputs: str, log: Path
) -> None:
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for path in sorted(_RECIPES.iterdir()):
            archive.add(path, arcname=path.name)
    context.seek(0)
    try:
        _, lines = client.images.build(
            fileobj=context,
            custom_context=True,
            dockerfile=recipe,
            tag=tag,
            buildargs={"BASE": base},
            labels={_LABEL: inputs},
            network_mode="host",
            rm=True,
            forcerm=True,
            nocache=True,
            timeout=_DEADLINE,
        )
    except BuildError as error:
        _note(log, error.build_log)
        raise ImageBuildError(f"building {tag} failed: {error}\n{_tail(log)}") from error
    _note(log, lines)


def _note(log: Path, lines: Iterable[Any]) -> None:
    with log.open("a") as file:
        file.writelines(str(line.get("stream", "")) for line in lines)


def _tail(log: Path, lines: int = 12) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
