"""`flow cost`: what each environment costs."""

from __future__ import annotations

from rich.table import Table

from flow import costing, project, terminal
from flow.commands.asking import Json
from flow.stages import Stages


def cost(as_json: Json = False) -> None:
    """What each environment costs a day and a month, at Hetzner's prices of today.

    Servers, volumes and addresses; net, and in all with value added tax. Traffic beyond what is
    included is not in it. What no stack owns counts, too: flow sweep removes it.
    """
    with Stages() as stages, stages.stage("cost: states, labels, prices"):
        bill = costing.bill(project.find())
    if as_json:
        terminal.print_json(bill.output())
    else:
        terminal.data.print(table(bill))
    for line in bill.lines:
        if line.problem:
            terminal.say(f"{line.environment}: {line.problem}")
    for problem in bill.problems:
        terminal.say(f"not everywhere could be looked: {problem}")
    if bill.prices is None:
        terminal.say("no token reaches Hetzner's prices. Next: export HCLOUD_TOKEN")
    if bill.lost:
        terminal.say(f"{bill.lost} thing(s) belong to no stack. Next: flow sweep")


def table(bill: costing.Bill) -> Table:
    """As a person reads it."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("environment", "a day", "a month", "what"):
        made.add_column(name, overflow="fold", justify="right" if name.startswith("a ") else "left")
    currency = bill.prices.currency if bill.prices else ""
    for each in bill.lines:
        things = ", ".join(map(str, each.items))
        made.add_row(each.environment, *_cells(each, currency), things)
    total = bill.total
    if bill.prices is not None and total.a_month is not None:
        gross = bill.prices.gross(total.a_month)
        told = (
            f"net, without traffic; {gross:.2f} {currency} a month "
            f"with {bill.prices.vat_percent:g} % VAT"
        )
        made.add_row("total", *_cells(total, currency), told)
    return made


def _cells(line: costing.Line, currency: str) -> tuple[str, str]:
    if line.a_day is None or line.a_month is None:
        return "unknown", "unknown"
    return f"{line.a_day:.2f} {currency}".strip(), f"{line.a_month:.2f} {currency}".strip()
