"""The ten lines of workflow in an application's repository."""

from __future__ import annotations

import re

FILE = ".github/workflows/deployment.yml"
_PINNED = re.compile(r"uses: (\S+)/\.github/workflows/flow\.yml@([0-9a-f]{40})")

_TEXT = """\
# Deploys this application (docs: {repository}). What is deployed, and how, is in that repository.
name: deployment
on:
  push: {{branches: [development, staging, main, "feature-demo/**"]}}
  release: {{types: [published]}}
  delete:
  schedule: [{{cron: "17 4 * * *"}}]
  workflow_dispatch:
permissions: {{}}
jobs:
  flow:
    permissions:
      {{contents: write, deployments: write, issues: read, packages: write, pull-requests: write}}
    uses: {repository}/.github/workflows/flow.yml@{commit}
    secrets: inherit
"""


def render(repository: str, commit: str) -> str:
    """The file's text; `repository` is the team's own of the flow, pinned to `commit`."""
    return _TEXT.format(repository=repository, commit=commit)


def pinned(text: str) -> tuple[str, str] | None:
    """Repository and commit such a file calls; None when it calls none."""
    found = _PINNED.search(text)
    return (found[1], found[2]) if found else None
