"""`flow images`: what is at the registry, who needs it, and the removal of what nobody needs."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from flow import project, survey, terminal
from flow.commands.asking import DryRun, Json, Yes, agree
from flow.commands.environments import complete
from flow.errors import FlowError
from flow.images import judging, pruning
from flow.images.judging import Finding, Limits
from flow.images.pruning import Plan, Pruner, Wish
from flow.stages import Stages

app = typer.Typer(
    help="Images at the registry: which release needs which, and an end to the rest.",
    no_args_is_help=True,
)

Repository = Annotated[
    str, typer.Option(help="The application's repository, as OWNER/NAME; else the settings'.")
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ENV",
        help="A stage that has no stack yet; repeatable. Any other that is not found is refused.",
        autocompletion=complete,
    ),
]


@app.command("list")
def list_(without: Without = None, repository: Repository = "", as_json: Json = False) -> None:
    """Every image at the registry, with its age and size, and who needs it. Changes nothing.

    Reads the records of all stacks: it is for who has access to every state.
    """
    # Of age and number nothing is said: only what needs it.
    wish = Wish(Limits(days=0, newest=0), frozenset(without or ()), repository)
    with Pruner(project.find(), wish) as pruner:
        planned = _planned(pruner)
    _tell(planned, as_json, nobody="nobody needs it")


@app.command()
def prune(
    older_than: Annotated[
        int, typer.Option(metavar="DAYS", min=1, help="Only what is older than so many days.")
    ] = Limits.days,
    keep: Annotated[
        int, typer.Option(min=1, help="The newest so many of each image stay, whoever needs them.")
    ] = Limits.newest,
    without: Without = None,
    repository: Repository = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove images that nobody needs, shown first: no release, no branch, no signed index.

    Kept: what a stack runs, sleeps with or can go back to; the newest of every branch; what the
    next release would be; and all they consist of. Refused where any stack's record, or GitHub's
    branches, cannot be read. Exit code 1 when something could not be removed.
    """
    wish = Wish(Limits(older_than, keep), frozenset(without or ()), repository)
    with Pruner(project.find(), wish) as pruner:
        planned = _planned(pruner)
        due = planned.to("remove")
        if due:
            pruner.check(planned)
        if due and not dry_run:
            terminal.progress.print(
                _table(planned, due, ""), width=None if terminal.progress.is_terminal else 200
            )
            if not yes:
                size = _size(judging.freed(planned.findings, "remove"))
                agree(f"Remove {len(due)} image(s), {size}, for good?", yes=False, word="remove")
                planned = pruning.only(_planned(pruner), planned)
                pruner.check(planned)
            with Stages() as stages:
                planned = pruner.prune(planned, stages)
    _tell(planned, as_json, nobody="would be removed")
    _end(planned, dry_run=dry_run)


def _planned(pruner: Pruner) -> Plan:
    with Stages() as stages, stages.stage("images: who needs which") as stage:
        planned = pruner.plan(stage.note)
        stage.result = f"{len(planned.findings)} of {len(planned.stacks)} stack(s)"
    return planned


def _tell(planned: Plan, as_json: bool, nobody: str) -> None:
    if as_json:
        freed = {each: judging.freed(planned.findings, each) for each in ("remove", "removed")}
        terminal.print_json(
            {
                "images": [each.output(planned.now) for each in planned.findings],
                "missing": [{"image": image, "why": why} for image, why in planned.missing],
                "bytes": freed["remove"] + freed["removed"],
                "stacks": list(planned.stacks),
            }
        )
    elif planned.findings:
        terminal.data.print(_table(planned, planned.findings, nobody))
    for image, why in planned.missing:
        terminal.say(f"{why}, and the registry does not have it: {image}")
    if not planned.findings:
        terminal.say("no stack has a release whose images are the application's own")


def _table(planned: Plan, shown: tuple[Finding, ...] | list[Finding], nobody: str) -> Table:
    """As a person reads it: by repository, the newest first, parts counted with their image."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("image", "age", "size", "what"):
        made.add_column(title, overflow="fold", justify="right" if title == "size" else "left")
    sizes = {each.image.digest: sum(each.image.blobs.values()) for each in planned.findings}
    for repository in dict.fromkeys(each.image.repository for each in shown):
        made.add_row(f"[bold]{repository}[/]")
        of_it = [each for each in shown if each.image.repository == repository]
        of_it.sort(key=lambda each: each.image.made or planned.now, reverse=True)
        # A part is shown where what it belongs to is not, as after that is gone already.
        parts = {child for each in of_it for child in each.image.children}
        for each in of_it:
            if each.image.digest in parts:
                continue
            age = None if each.image.made is None else planned.now - each.image.made
            size = sizes[each.image.digest] + sum(sizes.get(c, 0) for c in each.image.children)
            made.add_row(
                escape(f"  {judging.name(each.image)}"),
                "unknown" if age is None else survey.span(age),
                _size(size),
                escape(_what(each, nobody)),
            )
    return made


def _what(each: Finding, nobody: str) -> str:
    if each.action == "remove":
        return nobody
    return f"{each.action}: {'; '.join(each.why)}".removesuffix(": ").removeprefix("keep: ")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _end(planned: Plan, *, dry_run: bool) -> None:
    """Say how it ended; raises FlowError when something could not be removed."""
    action: judging.Action = "remove" if dry_run else "removed"
    done, size = planned.to(action), _size(judging.freed(planned.findings, action))
    would = "would be " if dry_run else ""
    terminal.say(f"{len(done)} image(s), {size}, {would}removed; what is needed stays")
    if failed := planned.to("failed"):
        told = "; ".join(f"{each.image}: {'; '.join(each.why)}" for each in failed[:10])
        raise FlowError(
            f"{len(failed)} image(s) could not be removed: {told}",
            "put that right, then run it again: what was removed is done",
        )
