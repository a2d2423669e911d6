"""What the engine said went wrong, without its noise. Pure."""

from __future__ import annotations

import re

from flow.errors import FlowError

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
        "pulumi stack export -s ENV says for each whether it is the one; "
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

    At most 20 lines, none twice.
    """
    text = str(said)
    if "\nDiagnostics:" in text:
        text = re.split(
            r"\n *(?:Outputs|Resources|Duration|Policies):", text.rpartition("\nDiagnostics:")[2]
        )[0]
        lines = text.splitlines()
    else:
        lines = [line for line in text.splitlines() if "error:" in line] or text.splitlines()[-20:]
    told: list[str] = []
    for line in lines:
        bare = line.strip().removeprefix("stderr:").strip().removeprefix("error:").strip()
        if bare and bare not in told and not _NOISE.fullmatch(bare):
            told.append(bare)
    return "\n".join(told[:20])
