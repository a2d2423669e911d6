"""The labels on everything a stack makes at Hetzner.

A destroy goes through Pulumi's state; labels find what state has lost, tell a person what a
server is for, and tell the reaper of demos when one ends. Values are what Hetzner accepts
(naming.label_value), so times are epoch seconds: a label value may not hold a colon.
"""

from components import naming

MANAGED_BY = "deployment-flow"


def labels(
    *, project: str, stack: str, stage: naming.Stage, branch: str, expires: int | None = None
) -> dict[str, str]:
    """Labels of one stack; `expires` in seconds since 1970 UTC, absent for what has no end."""
    values = {
        "managed-by": MANAGED_BY,
        "project": naming.label_value(project),
        "stack": naming.label_value(stack),
        "stage": stage,
        "branch": naming.branch_slug(branch),
    }
    if expires is not None:
        values["expires"] = str(expires)
    return values


def selector(*, project: str, stack: str) -> str:
    """The Hetzner label selector that finds everything of one stack."""
    return ",".join(
        [
            f"managed-by={MANAGED_BY}",
            f"project={naming.label_value(project)}",
            f"stack={naming.label_value(stack)}",
        ]
    )
