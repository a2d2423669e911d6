"""The form in which testers of staging report what is wrong, with the version they had."""

from __future__ import annotations

from urllib.parse import urlencode

FILE = ".github/ISSUE_TEMPLATE/bug.yml"
TEXT = """\
name: Bug on staging
description: What does not work in the version that is being tested
labels: [bug]
body:
  - type: markdown
    attributes:
      value: |
        For the version on staging. A bug that must not reach production gets the label
        `release-blocker`: while an issue has it, nothing is promoted to production.
  - type: input
    id: version
    attributes:
      label: Version
      description: The staging version this is about, as the application or `flow status` tells it
    validations:
      required: true
  - type: textarea
    id: what
    attributes:
      label: What happens, and what should
    validations:
      required: true
  - type: textarea
    id: steps
    attributes:
      label: Steps that lead there
"""


def address(repository_url: str, version: str) -> str:
    """Where the form opens with its version filled in."""
    return f"{repository_url}/issues/new?{urlencode({'template': 'bug.yml', 'version': version})}"
