"""A release's images without a build: what staging ran, to the byte, under the release's name.

Whatever was tested is then what production gets: a second build could take in another base image,
another package, another compiler.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import httpx
from github.Repository import Repository

from components import naming
from flow.building import Image
from flow.errors import FlowError
from flow.registry_login import pusher
from registry.client import (
    ImageError,
    NoImageError,
    Opened,
    Reference,
    Registry,
)

# Further back than any promotion reaches; each hundred is one request.
COMMITS = 100


def tested(repository: Repository, commit: str) -> list[str]:
    """Commits of staging whose files are those of `commit`, newest first.

    By their trees: a merge of staging into `main` is another commit with the same files, and so is
    a squashed one.
    """
    tree = repository.get_commit(commit).commit.tree.sha
    staging = repository.get_commits(sha=naming.STAGE_BRANCHES["staging"])
    found = itertools.islice(staging, COMMITS)
    return [each.sha for each in found if each.commit.tree.sha == tree]


def carry(
    images: Sequence[Image],
    version: str,
    sources: Sequence[str],
    client: httpx.Client | None = None,
) -> dict[str, Any]:
    """Give the images of the first of `sources` that has them all the release's names.

    images   what a build would make of `version`
    sources  versions of staging, that is commits

    {service: {"tags", "digest", "from"}}; empty where none has them all, and then nothing was
    changed. An image whose name does not say the version is carried as it is. Raises FlowError.
    """
    try:
        with Opened(client) as http:
            for source in sources:
                found = {}
                for image in images:
                    named = [Reference.parse(each) for each in image.references]
                    registry = Registry(http, _source(named[0], version, source), pusher())
                    try:
                        registry.digest()
                    except NoImageError:
                        break
                    found[image.service] = (registry, named)
                else:
                    return {
                        service: {
                            "tags": [f"{each.name}:{each.tag}" for each in named],
                            "digest": _tagged(registry, named),
                            "from": source,
                        }
                        for service, (registry, named) in found.items()
                    }
    except ImageError as error:
        raise FlowError(str(error)) from None
    return {}


def _source(named: Reference, version: str, source: str) -> Reference:
    tag = source if named.tag == version else named.tag
    return Reference(named.registry, named.repository, tag, None, named.name)


def _tagged(registry: Registry, named: Sequence[Reference]) -> str:
    digests = {registry.tag(each.tag) for each in named}
    if len(digests) != 1:
        raise FlowError(
            f"{named[0].name} was pushed anew while it was carried",
            "run it again when that is over",
        )
    return digests.pop()
