"""What the engine said went wrong, without its noise. Pure."""

from __future__ import annotations

import itertools
import re

from flow import backends
from flow.errors import FlowError

LINES = 20
# Of a failed command's diagnostics: headings, and what says only that it failed.
_NOISE = re.compile(
    r"\S+ \(\S+\):|(update|preview|refresh|destroy|resource) (operation )?failed"
    r"|an unhandled error occurred: .*"
)


def of_state(stack: str, said: object) -> FlowError | None:
    """What is wrong with a stack's state or its passphrase, where the engine complains of that."""
    text = str(said)
    if "incorrect passphrase" in text:
        return FlowError(
            f"the passphrase is not the one {stack} is encrypted with. Nothing was changed",
            "export PULUMI_CONFIG_PASSPHRASE as the team keeps it; flow doctor looks at it",
        )
    if "failed to load checkpoint" in text:
        why = text.rpartition("failed to load checkpoint:")[2].strip().splitlines()[0]
        return damaged(stack, why)
    return None


def of_listing(said: object) -> FlowError | None:
    """That one of the team's states is damaged, where that keeps all from being listed."""
    if "unexpected end of JSON input" not in str(said) and "invalid character" not in str(said):
        return None
    return FlowError(
        "one of the team's states is damaged, and so none can be listed",
        f"{backends.command('ENV', 'stack export')} says for each whether it is the one; "
        "then flow state restore ENV: the newest copy",
    )


def damaged(stack: str, why: str) -> FlowError:
    """That a state cannot be read, and what helps."""
    return FlowError(
        f"the state of {stack} is damaged: {why}. Nothing was changed",
        f"flow state list {stack}, then flow state restore {stack}: the newest copy",
    )


def cause(said: object) -> str:
    """What a failed command says went wrong: the lines of its diagnostics, else its errors.

    None twice. Of many what says most is kept, in order: `error:` and `next:`, and the last ones,
    as a failed command's whole transcript is in it and its cause comes last. At most LINES of
    them; a line stands for those left out. Commands among them are told as to be typed beside
    `flow`.
    """
    text = str(said)
    if "\nDiagnostics:" in text:
        text = re.split(
            r"\n *(?:Outputs|Resources|Duration|Policies):", text.rpartition("\nDiagnostics:")[2]
        )[0]
        lines = text.splitlines()
    else:
        lines = [line for line in text.splitlines() if "error:" in line] or text.splitlines()[-20:]
    told: dict[str, bool] = {}
    for line in lines:
        words = line.strip().removeprefix("stderr:").strip()
        bare = words.removeprefix("error:").strip()
        says_most = words.startswith(("error:", "next:"))
        if not bare or _NOISE.fullmatch(bare):
            continue
        if says_most and not told.get(bare, True):
            del told[bare]  # said before in passing: it belongs where it is the error
        told.setdefault(bare, says_most)
    return backends.as_commands("\n".join(_shortened(list(told.items()))))


def _shortened(told: list[tuple[str, bool]]) -> list[str]:
    """At most LINES of the lines, and one for each run of those that are left out."""
    places = range(len(told))
    # Those that say most first, of each kind the last.
    ranked = sorted(places, key=lambda at: (told[at][1], at), reverse=True)
    kept = {*ranked[:LINES]}
    shown: list[str] = []
    for is_kept, run in itertools.groupby(places, kept.__contains__):
        these = [told[at][0] for at in run]
        shown += these if is_kept else [f"… {len(these)} line(s) left out"]
    return shown
