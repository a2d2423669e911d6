"""What the engine said went wrong, without its noise. Pure."""

from __future__ import annotations

import re

# Of a failed command's diagnostics: headings, and what says only that it failed.
_NOISE = re.compile(
    r"\S+ \(\S+\):|(update|preview|refresh|destroy|resource) (operation )?failed"
    r"|an unhandled error occurred: .*"
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
