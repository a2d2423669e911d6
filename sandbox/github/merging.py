"""How a pull request's commits get into its base: the three ways, in a bare repository."""

from sandbox.github.git import Commit, Git, Person

# git takes no times of so few digits as 0.
_SOME_TIME = 1_000_000_000
METHODS = ("merge", "squash", "rebase")


class ConflictError(Exception):
    """The two sides change the same lines."""


def merge_base(git: Git, base: str, head: str) -> str | None:
    """The newest commit both have, or None when their histories have none in common."""
    return git.run("merge-base", base, head, check=False).split("\n")[0] or None


def commits(git: Git, base: str, head: str, *, most: int = 250) -> list[Commit]:
    """What `head` has and `base` has not, oldest first."""
    found = git.log("--topo-order", f"{base}..{head}", limit=most) if head else []
    return list(reversed(found))


def merge(git: Git, base: str, head: str, message: str, author: Person, when: float) -> str:
    """A merge commit of both. Raises ConflictError."""
    tree = git.merge_tree(base, head)
    if tree is None:
        raise ConflictError
    return git.write_commit(tree, (base, head), message, author, when)


def squash(git: Git, base: str, head: str, message: str, author: Person, when: float) -> str:
    """One commit on `base` with all that `head` brings. Raises ConflictError."""
    tree = git.merge_tree(base, head)
    if tree is None:
        raise ConflictError
    return git.write_commit(tree, (base,), message, author, when)


def rebase(git: Git, base: str, head: str, committer: Person, when: float) -> str:
    """Each commit of `head` again on top of `base`, its author kept. Raises ConflictError.

    As GitHub does, every commit is made anew, and merge commits are left out.
    """
    onto = base
    for commit in commits(git, base, head):
        if len(commit.parents) > 1:
            continue
        tree = _picked(git, onto, commit)
        environment = {
            "GIT_AUTHOR_NAME": commit.author.name,
            "GIT_AUTHOR_EMAIL": commit.author.email,
            "GIT_AUTHOR_DATE": commit.authored,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": f"{int(when)} +0000",
        }
        onto = git.run(
            "commit-tree", tree, "-p", onto, text=commit.message + "\n", environment=environment
        )
    return onto


def _picked(git: Git, onto: str, commit: Commit) -> str:
    """The tree of `onto` with one commit's change."""
    if not commit.parents:
        found = git.merge_tree(onto, commit.sha)
    else:
        # Two commits with the picked one's parent as their only base: `merge-tree` takes no
        # base of ours before git 2.40.
        tree = git.commit(onto).tree
        nobody = Person("GitHub", "noreply@github.com")
        ours = git.write_commit(tree, commit.parents, "onto", nobody, _SOME_TIME)
        found = git.merge_tree(ours, commit.sha)
    if found is None:
        raise ConflictError
    return found


def merge_message(number: int, title: str, head: str) -> tuple[str, str]:
    """Title and body of a merge commit; `head`: `owner/branch`."""
    return f"Merge pull request #{number} from {head}", title


def squash_message(number: int, title: str, found: list[Commit]) -> tuple[str, str]:
    """Title and body of a squashed commit: one commit's own, or the list of several."""
    if len(found) == 1:
        subject, _, body = found[0].message.partition("\n")
        return f"{subject} (#{number})", body.strip("\n")
    return f"{title} (#{number})", "\n\n".join(f"* {commit.message}" for commit in found)
