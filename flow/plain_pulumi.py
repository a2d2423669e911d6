"""Plain `pulumi` in the sandbox's shell: each stack's state and passphrase are its group's own.

A script that stands before the engine in PATH. It looks for the stack a command names, and hands on
what opens that one's state under the names the engine knows; the rest of the command is as typed.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from components import naming
from flow import backends

_SCRIPT = """\
#!/usr/bin/env bash
# pulumi, with what opens the state of the stack that the command names (made by `flow sandbox`).
set -u
stack= words=()
previous=
for word in "$@"; do
    case $previous in
        -s | --stack) stack=$word ;;
        --copy-config-from | --secrets-provider | --teams | --tags) ;;
        *)
            case $word in
                -s=* | --stack=*) stack=${word#*=} ;;
                -*) ;;
                *) words+=("$word") ;;
            esac
            ;;
    esac
    previous=$word
done
# `pulumi stack init NAME`, `rm`, `select`: the stack is named without an option.
case "${words[*]:0:2}" in
    "stack init" | "stack rm" | "stack select") stack=${stack:-${words[2]-}} ;;
esac
case ${stack##*/} in
%(cases)s
    *) group=%(default)s ;;
esac
%(given)s
exec %(engine)s "$@"
"""


def script(engine: Path) -> str:
    """The script, for an engine at `engine`; pure."""
    demos = naming.stack_of_branch(naming.DEMO_BRANCH + "x").removesuffix("x")
    cases = {str(stack): backends.group_of(stack) for stack in naming.STAGE_BRANCHES}
    # The first that fits decides.
    drills = {f"{backends.drills_of(stack)}*": group for stack, group in cases.items()}
    cases |= {**drills, f"{demos}*": backends.DEMO}
    variables = (backends.URL, backends.PASSPHRASE)
    given = [
        f'own={name}_$group; [ -z "${{!own-}}" ] || export {name}="${{!own}}"' for name in variables
    ]
    lines = [f"    {stack}) group={group.upper()} ;;" for stack, group in cases.items()]
    return _SCRIPT % {
        "cases": "\n".join(lines),
        "default": backends.NONPROD.upper(),
        "given": "\n".join(given),
        "engine": shlex.quote(str(engine)),
    }
