"""`flow status`: every environment, as it is now."""

from __future__ import annotations

import time

from rich.table import Table

from flow import health, project, survey, terminal
from flow.commands.asking import Json


def status(as_json: Json = False) -> None:
    """Every environment: version, commit, URL, health now, age, expiry and cost a day."""
    rows = survey.look(project.find())
    if as_json:
        terminal.print_json([each.output() for each in rows])
        return
    terminal.data.print(table(rows, time.time()))
    for each in rows:
        if each.problem:
            terminal.say(f"{each.environment}: {each.problem}")
    if not rows:
        terminal.say("there are no environments. Next: flow deploy dev, or flow demo up BRANCH")


def table(rows: list[survey.Row], now: float) -> Table:
    """As a person reads it."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "environment",
        "version",
        "commit",
        "images",
        "health",
        "age",
        "ends",
        "cost a day",
        "url",
    ):
        made.add_column(name, overflow="fold", justify="right" if name == "cost a day" else "left")
    total, saved, currency = 0.0, 0.0, ""
    for each in rows:
        cost = "unknown"
        if each.cost_a_day is not None:
            total, currency = total + each.cost_a_day, currency or each.currency
            cost = f"{each.cost_a_day:.2f} {each.currency}".strip()
        if each.saved_a_day is not None:
            saved += each.saved_a_day
            cost += f" (saves {each.saved_a_day:.2f})"
        ends = ""
        if each.expires is not None:
            left = each.expires - now
            told = f"in {survey.span(left)}" if left > 0 else f"over for {survey.span(-left)}"
            ends = f"{survey.day(each.expires)[:10]} ({told})"
        colour = "green" if each.health == health.HEALTHY else "yellow"
        made.add_row(
            each.environment,
            _short(each.version) or "–",
            each.commit[:10],
            each.images,
            f"[{colour}]{_plain(each.health)}[/]",
            "" if each.created is None else survey.span(now - each.created),
            ends,
            cost,
            each.url,
        )
    if currency:
        all_of_it = f"{total:.2f} {currency}" + (f" (saves {saved:.2f})" if saved else "")
        made.add_row("", "", "", "", "", "", "", all_of_it, "")
    return made


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _short(version: str) -> str:
    """A version that is a whole commit as people write it."""
    is_commit = len(version) == 40 and all(c in "0123456789abcdef" for c in version)
    return version[:10] if is_commit else version
