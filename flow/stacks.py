"""Stacks through Pulumi's Automation API; it and engine.py alone import that."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pulumi import automation

from components import naming
from flow import backends, half_written, hetzner_token, locks, state, state_copies, terminal
from flow.diagnostics import cause, of_listing, of_state
from flow.engine import ENGINES, Engine, OnLine, Workspace, at_once
from flow.errors import FlowError
from flow.lock_notes import LockNotes
from flow.results import Result, counts
from flow.run_settings import run_settings

_Done = automation.UpResult | automation.RefreshResult | automation.DestroyResult

_NOTHING = "urn:pulumi:none::none::none:none:None::none"


class Stacks:
    """The stacks of one project folder, each in the state of its group.

    folder       the folder with Pulumi.yaml and the stacks' files
    environment  what the engine gets on top of ours: backend, passphrase, tokens, PATH; with a
                 group's ending where the group has its own
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], pulumi: Path) -> None:
        if not pulumi.exists():
            raise FlowError(f"no Pulumi engine at {pulumi}", "make setup")
        # The toolchain has pinned or checked the version.
        self._engine = Engine(root=str(pulumi.parent.parent), skip_version_check=True)
        self._folder = folder
        self._environment = dict(environment)
        self._workspaces: dict[str, Workspace] = {}

    def names(self, groups: Iterable[str] = backends.GROUPS) -> list[str]:
        """Every stack of the project, or of some groups. Raises FlowError for no backend.

        What lies in a state of another group's is found there by no other call, and not listed.
        """
        return [name for places, name in self._places(groups) if backends.group_of(name) in places]

    def astray(self) -> dict[str, str]:
        """Stacks that lie in a state of other groups', by the group; no other call finds them."""
        return {
            name: places[0]
            for places, name in self._places(backends.GROUPS)
            if naming.stage_of_stack(name) and backends.group_of(name) not in places
        }

    def _places(self, groups: Iterable[str]) -> list[tuple[list[str], str]]:
        """Every stack in the places of groups, with those of them that are in its place."""
        places = list(backends.places({**os.environ, **self._environment}, groups).values())
        found = at_once(self._listed, places, ENGINES)
        return [(place, name) for place, names in zip(places, found, strict=True) for name in names]

    def _listed(self, groups: list[str]) -> list[str]:
        """All stacks in the one place of groups."""
        try:
            found = [summary.name for summary in self._in(groups[0]).list_stacks()]
        except automation.CommandError as error:
            whose = "" if set(groups) == {*backends.GROUPS} else f" of {' and '.join(groups)}"
            raise of_listing(error) or FlowError(
                f"the team's stacks{whose} cannot be listed: {cause(error)}",
                f"set {backends.URL} to where the team keeps its state, and its credentials"
                + (f" (or {backends.of_group(backends.URL, groups[0])})" if whose else ""),
            ) from error
        return found

    def _of(self, stack: str) -> Workspace:
        return self._in(backends.group_of(stack))

    def _in(self, group: str) -> Workspace:
        """The project's folder with what opens a group's state."""
        if group not in self._workspaces:
            own = backends.credentials(group, {**os.environ, **self._environment})
            self._workspaces[group] = self._workspace({**self._environment, **own})
        return self._workspaces[group]

    def _workspace(self, environment: Mapping[str, str]) -> Workspace:
        return Workspace(
            work_dir=str(self._folder), env_vars=dict(environment), pulumi_command=self._engine
        )

    def create(self, name: str) -> None:
        """Make the stack when it does not exist."""
        if name in self.names((backends.group_of(name),)):
            return
        try:
            self._of(name).create_stack(name)
        except automation.StackAlreadyExistsError:
            return  # made meanwhile
        except automation.CommandError as error:
            raise FlowError(f"the stack {name} cannot be made: {cause(error)}") from error

    def unselect(self) -> None:
        """Leave no stack selected, so that a command without `-s` asks instead of guessing."""
        where = self._in(backends.NONPROD)
        self._engine.run(["stack", "unselect"], where.work_dir, where.env_vars)

    def set_secret(self, stack: str, key: str, value: str) -> None:
        """Put `value` encrypted into the stack's file; it passes on standard input."""
        where, told = self._of(stack), ["config", "set", "--secret", "--stack", stack, key]
        try:
            self._engine.run_with_input(told, where.work_dir, where.env_vars, value)
        except automation.CommandError as error:
            raise FlowError(f"cannot set {key} of {stack}: {error}") from error

    def up(
        self,
        name: str,
        on_line: OnLine | None = None,
        version: str | None = None,
        settings: Mapping[str, Any] | None = None,
        **chosen: Any,
    ) -> Result:
        """Create or update what the stack describes.

        version   the application's version to deploy. Given for this run only, as a release
                  does it: the stack's file does not pin it, so the next `up` without one keeps
                  what runs.
        settings  more settings of the project that hold for this run only
        chosen    lists of URNs: `replace`, made anew as they are; `target`, what alone is updated
        """
        hetzner_token.of_settings(self, name, self._of(name).env_vars)
        wanted = {**(settings or {}), **({} if version is None else {"version": version})}
        stack = self._select(name)
        with self._run_settings(name, wanted) as file:
            return self._operation(
                name,
                lambda: stack.up(
                    on_output=on_line, show_secrets=False, color="never", config_file=file, **chosen
                ),
            )

    def preview(
        self,
        name: str,
        on_line: OnLine | None = None,
        version: str | None = None,
        settings: Mapping[str, Any] | None = None,
        **chosen: Any,
    ) -> Result:
        """Say what an `up` with the same arguments would do."""
        wanted = {**(settings or {}), **({} if version is None else {"version": version})}
        around = {**self._of(name).env_vars, hetzner_token.ONLY_PREVIEW: "1"}
        stack = automation.Stack.select(name, self._workspace(around))
        with self._run_settings(name, wanted) as file:
            try:
                result = stack.preview(color="never", on_output=on_line, config_file=file, **chosen)
            except automation.CommandError as error:
                raise _refused(name, error, "", backends.command(name, "preview --diff")) from error
        return Result(counts(result.change_summary), result.stdout)

    def refresh(self, name: str, on_line: OnLine | None = None) -> Result:
        """Bring the state up to what is there: what was changed by hand counts as a change."""
        hetzner_token.of_state(self, name, self._of(name).env_vars)
        stack = self._select(name)
        return self._operation(
            name, lambda: stack.refresh(on_output=on_line, show_secrets=False, color="never")
        )

    def destroy(self, name: str, on_line: OnLine | None = None) -> Result:
        """Remove all the stack made; the stack itself and its settings stay.

        Previewed first, as the CLI does: with something protected in it, a destroy without
        a preview removes the rest before it is refused. Hetzner's provider cannot delete a
        server that somebody has deleted by hand: the state is brought up to that first. With a
        token of another project all looks deleted so: that one is refused before.
        """
        hetzner_token.of_state(self, name, self._of(name).env_vars)
        stack = self._select(name)

        def destroy() -> automation.DestroyResult:
            # Not by the SDK: its server for events may never start in a thread.
            self._run(name, "destroy", "--preview-only", "--color", "never")
            return stack.destroy(on_output=on_line, show_secrets=False, color="never")

        try:
            return self._operation(name, destroy)
        except FlowError as error:
            if "(not_found)" not in str(error):
                raise
        self.refresh(name, on_line)
        return self._operation(name, destroy)

    def remove(self, name: str, *, keep_file: bool = False) -> None:
        """Forget an empty stack: its history, copies of its state and, but for `keep_file`, its
        settings file. Raises FlowError.
        """
        try:
            self._of(name).remove_stack(name, preserve_config=keep_file)
        except automation.CommandError as error:
            raise _refused(name, error, f"the stack {name} cannot be removed: ") from error
        # After the stack: one that the engine keeps may need them.
        if (copies := self.copies(name)) is not None:
            copies.remove(name)
        self._notes(name).forget(name)

    def tag(self, name: str, key: str) -> str:
        """A word kept beside the stack, by `mark`; empty where there is none."""
        try:
            return self._run(name, "stack", "tag", "get", key).strip()
        except automation.CommandError:
            return ""

    def mark(self, name: str, key: str, value: str) -> None:
        """Keep a word beside the stack; it is no part of what an `up` makes."""
        try:
            self._run(name, "stack", "tag", "set", key, value)
        except automation.CommandError as error:
            raise FlowError(f"{key} of {name} cannot be set: {cause(error)}") from error

    def settings(self, name: str) -> dict[str, str]:
        """Every setting of the stack, secrets in clear: print none of it whole."""
        try:
            found = json.loads(self._run(name, "config", "--json", "--show-secrets"))
        except automation.CommandError as error:
            raise FlowError(f"the settings of {name} cannot be read: {cause(error)}") from error
        return {key: str(each.get("value", "")) for key, each in found.items()}

    def _run(self, stack: str, *arguments: str) -> str:
        where, (around, project) = self._of(stack), self._around(stack)
        if half_written.mend(around.get(backends.URL, ""), project, stack):
            terminal.say(f"{stack}: what an engine that was killed left half written is removed")
        told = [*arguments, "--stack", stack]
        return self._engine.run(told, where.work_dir, where.env_vars).stdout

    def outputs(self, name: str) -> dict[str, Any]:
        """The stack's outputs. Secrets among them are in clear: print none of it whole."""
        return dict(state.parse(self.state(name)).outputs)

    def state(self, name: str, *, secrets: bool = True) -> dict[str, Any]:
        """The stack's state as the engine exports it, secrets in clear: print none of it whole.

        Without `secrets` they are left encrypted, which takes half the time.
        """
        shown = ["--show-secrets"] if secrets else []
        try:
            exported = self._run(name, "stack", "export", *shown)
        except automation.CommandError as error:
            raise _refused(name, error, f"the state of {name} cannot be read: ") from error
        found: dict[str, Any] = json.loads(exported).get("deployment") or {}
        return found

    def copies(self, name: str) -> state_copies.Copies | None:
        """Copies of the stack's state; None where its backend keeps its own."""
        return state_copies.at(*self._around(name))

    def _notes(self, name: str) -> LockNotes:
        return LockNotes.beside(*self._around(name))

    def _around(self, stack: str) -> tuple[dict[str, str], str]:
        """What the engine of a stack has in its environment, and the project's name."""
        where = self._of(stack)
        return {**os.environ, **where.env_vars}, where.project_settings().name

    def _held(self, name: str, error: automation.ConcurrentUpdateError) -> list[locks.Holder]:
        """Whom the engine named as the lock's holders, each with the note it left."""
        found = locks.holders(str(error))
        return locks.with_notes(found, self._notes(name).found(name) if found else [])

    def put_back(self, name: str, file: Path) -> None:
        """Put a copy in place of the stack's state, whatever that is now. Raises FlowError."""
        try:
            self._run(name, "stack", "import", "--file", str(file))
        except automation.CommandError as error:
            raise _refused(name, error, f"the state of {name} cannot be put back: ") from error

    def _run_settings(
        self, name: str, changes: Mapping[str, Any]
    ) -> AbstractContextManager[str | None]:
        space = self._of(name).project_settings().name
        return run_settings(self._folder, space, name, changes)

    def _select(self, name: str) -> automation.Stack:
        return automation.Stack.select(name, self._of(name))

    def holders(self, name: str) -> list[locks.Holder]:
        """Who holds the stack's lock now; empty when nobody does. Raises FlowError."""
        try:
            # Takes the lock and stops at once: there is no such resource to refresh.
            self._run(name, "refresh", "--yes", "--skip-preview", "--target", _NOTHING)
        except automation.StackNotFoundError as error:
            raise _no_stack(name) from error
        except automation.ConcurrentUpdateError as error:
            return self._held(name, error)
        except automation.CommandError as error:
            if _NOTHING not in str(error):  # else it had the lock, and found no such resource
                remedy = f"look at {backends.URL}, its keys and the passphrase, then: "
                told = f"nobody can say whether {name} is locked: {cause(error)}"
                raise FlowError(told, f"{remedy}flow unlock {name}") from error
        return []

    def unlock(self, name: str, found: list[locks.Holder]) -> None:
        """Break the lock of `found`, who are dead or were said to be; their notes go with it."""
        locks.remove(found, lambda: self._run(name, "cancel", "--yes"))
        self._notes(name).remove(name, [each.note.name for each in found if each.note])

    def _unlocked(self, name: str, operate: Callable[[], _Done]) -> _Done:
        """`operate`, once more where a dead one's lock stood in the way."""
        try:
            return operate()
        except automation.ConcurrentUpdateError as error:
            found = self._held(name, error)
            if not found or not all(locks.is_dead(each) for each in found):
                raise
        for each in found:
            terminal.say(f"{name}: the lock of {each} is broken: that process is dead")
        self.unlock(name, found)
        return operate()

    def _operation(self, name: str, operate: Callable[[], _Done]) -> Result:
        if (copies := self.copies(name)) is not None:
            copies.take(name)
        try:
            result = self._unlocked(name, operate)
        except automation.ConcurrentUpdateError as error:
            raise locks.busy(name, self._held(name, error)) from error
        except automation.CommandError as error:
            remedy = "put the cause right and run the command again: it goes on from here"
            raise _refused(name, error, f"the update of {name} failed: ", remedy) from error
        return Result(counts(result.summary.resource_changes or {}), result.stdout)


def _refused(name: str, error: Exception, told: str, remedy: str = "") -> FlowError:
    """What the engine's refusal means, in our words where we have some; else `told` and its own."""
    if isinstance(error, automation.StackNotFoundError):
        return _no_stack(name)
    return of_state(name, error) or FlowError(f"{told}{cause(error)}", remedy)


class NoStackError(FlowError):
    """There is no stack of that name on the backend."""


def _no_stack(name: str) -> NoStackError:
    return NoStackError(f"there is no stack {name}", backends.command(name, f"stack init {name}"))
