"""Concurrency groups: who goes, who waits, who is replaced. Pure but for what it remembers.

As on GitHub: of one group one holder goes and one waits; a newer one takes the waiting one's
place, unless the newer one says `queue: max`. `cancel-in-progress` ends the holder, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

_LONGEST_QUEUE = 100
#: The name of a holder that is a run, not one of its jobs.
WHOLE_RUN = "top level workflow"

Key = tuple[str, str]


@dataclass(eq=False)
class Holder:
    """A run or a job in a group.

    go      called when its turn comes, if it had to wait
    cancel  called with the reason when another takes its place
    """

    name: str
    run: int
    go: Callable[[], None]
    cancel: Callable[[str], None]


@dataclass
class _Group:
    holder: Holder | None = None
    waiting: list[Holder] = field(default_factory=list)


class Groups:
    """All groups of all repositories; a group's name counts without regard to case."""

    def __init__(self) -> None:
        self._groups: dict[Key, _Group] = {}

    def enter(
        self, repository: str, name: str, holder: Holder, *, cancels: bool, queues: bool
    ) -> bool:
        """Take a place. True when it may go at once; otherwise `go` is called later."""
        group = self._groups.setdefault((repository, name.lower()), _Group())
        if group.holder is None:
            group.holder = holder
            return True
        if group.holder.run == holder.run and group.holder.name == WHOLE_RUN:
            holder.cancel(
                f"Canceling since a deadlock for concurrency group '{name}' was detected between "
                f"'{group.holder.name}' and '{holder.name}'"
            )
            return False
        reason = f"Canceling since a higher priority waiting request for '{name}' exists"
        replaced: list[Holder] = []
        if cancels or not queues or len(group.waiting) >= _LONGEST_QUEUE:
            replaced, group.waiting = group.waiting, []
        group.waiting.append(holder)
        for each in replaced:
            each.cancel(reason)
        if cancels and group.holder is not None:
            group.holder.cancel(reason)
        return False

    def leave(self, holder: Holder) -> None:
        """Give up the place, held or waited for; the next one goes."""
        for key, group in list(self._groups.items()):
            if holder in group.waiting:
                group.waiting.remove(holder)
            if group.holder is holder:
                group.holder = group.waiting.pop(0) if group.waiting else None
                if group.holder is not None:
                    group.holder.go()
                else:
                    del self._groups[key]

    def forget(self, run: int) -> None:
        """Give up every place of a run that is no more."""
        for group in list(self._groups.values()):
            group.waiting = [holder for holder in group.waiting if holder.run != run]
            if group.holder is not None and group.holder.run == run:
                self.leave(group.holder)
