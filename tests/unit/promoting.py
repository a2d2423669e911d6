"""A repository with the three branches of the stages, for tests of what moves between them."""

from typing import Any

from tests.unit.github_commits import move, push
from tests.unit.github_hub import Served


def begin(served: Served) -> str:
    """One commit, which all three branches are at; its sha."""
    first = push(served, "main", {"a.txt": "one\n"}, who="maintainer", message="First")
    for branch in ("staging", "development"):
        move(served, branch, first, who="maintainer")
    served.repo.edit(default_branch="development")
    return first


def merged(
    served: Served,
    name: str,
    title: str,
    *labels: str,
    base: str = "development",
    body: str = "",
    how: str = "merge",
) -> Any:
    """A pull request of one commit, merged."""
    push(served, name, start=base)
    pull = served.repo.create_pull(base=base, head=name, title=title, body=body)
    if labels:
        pull.add_to_labels(*labels)
    pull.merge(merge_method=how)
    return served.repo.get_pull(pull.number)


def merge(served: Served, url: str) -> None:
    """Merge the pull request of an address."""
    served.repo.get_pull(int(url.rpartition("/")[2])).merge()
