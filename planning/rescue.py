"""When Hetzner fails in the middle of an `up`: how long it gets, what is tried again, what to do.

The provider waits 90 minutes for a server, tries five times in half a minute when it is told that
it asks too often, leaves a server off whose type could not be changed, and names a cause but no
next step. So a server gets our own deadline, and every Hetzner resource a hook that is told of
each failure.

The provider takes no other deadline for anything else: it gives up volumes, firewalls and changes
of a server after 20 minutes, and would poll for a record set without end. A destroy runs no
program, and so no hook.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pulumi

from planning import cloud
from settings_model import Settings

RATE_PAUSE_SECONDS: Final = 15
"""Between tries while Hetzner's rate limit is used up; it gives one request back a second."""
LOST_SERVER_TRIES: Final = 3

# What the provider says when its request to make a server had no answer that says "made". In
# all other failures it knows the server, and so does the state.
_UNANSWERED: Final = (
    *("(uniqueness_error)", "EOF", "connection reset", "connection refused", "(timeout)"),
    *("(server_error)", "(service_error)", "(bad_gateway)", "(unknown_error)", "status code 5"),
)
_LATE: Final = ("context deadline exceeded", "Timeout while waiting")


class Failure(NamedTuple):
    """One failed step."""

    kind: str
    """Server, Volume, PrimaryIp…"""
    operation: str
    """create, update or delete"""
    errors: Sequence[str]
    """What the provider said, newest first: one of each try."""


@dataclass(frozen=True)
class Stage:
    """What advice names."""

    stack: str
    server_type: str
    location: str
    next_location: str
    deadline: int
    """Seconds."""
    protected: bool


def advice(failure: Failure, stage: Stage) -> str:
    """What a failure means and what to type next; pure. The provider has named the cause."""
    said = failure.errors[0]
    again = f"pulumi up -s {stage.stack}"
    if "(resource_unavailable)" in said:
        full = (
            f"Hetzner has no room for a {stage.server_type} in {stage.location} now; no server "
            "was changed. Next: "
        )
        other = f"pulumi config set serverType … -s {stage.stack}"
        if failure.operation == "create":
            return f"{full}{again}, which tries {stage.next_location}; or another type: {other}"
        # What exists stays where it is, and as it is.
        return f"{full}set the type back, or to another: {other} && {again}"
    if any(sign in said for sign in _LATE):
        return (
            f"Hetzner did not finish this in {stage.deadline} s (cloudDeadline). See "
            f"https://status.hetzner.com. Next: {again}, which goes on with what was made"
            + ("." if stage.protected else f"; or give it up: pulumi destroy -s {stage.stack}")
        )
    if "(rate_limit_exceeded)" in said:
        return (
            f"Hetzner's rate limit of this project stayed used up for {stage.deadline} s: "
            f"something else asks a lot with it. Next, once that has ended: {again}"
        )
    if "(resource_limit_exceeded)" in said:
        return (
            "The Hetzner project may hold no more of these. Next: delete what is not needed or "
            f"ask for a higher limit in the console, then: {again}"
        )
    if "(unauthorized)" in said or "(forbidden)" in said:
        return (
            "Hetzner refuses the token. Next: make one with read and write access, then: "
            f"pulumi config set --secret hcloud:token -s {stage.stack} && {again}"
        )
    if "(uniqueness_error)" in said:
        return (
            f"Something that is not of this stack's state has the name. Next: hcloud all list -l "
            f"stack={stage.stack} shows it; delete it if nobody needs it, then: {again}"
        )
    return f"Next: {again}, which goes on from here."


def lost(failure: Failure) -> bool:
    """Whether a server may exist that the state will not know; pure."""
    made = (failure.kind, failure.operation) == ("Server", "create")
    said = failure.errors[0]
    too_late = 'Post "' in said and any(sign in said for sign in _LATE)
    return made and (too_late or any(sign in said for sign in _UNANSWERED))


def rate_limited(failure: Failure, deadline: int) -> bool:
    """Whether to ask again after a pause: the limit is used up, and was for less than that."""
    tries = deadline // RATE_PAUSE_SECONDS
    return "(rate_limit_exceeded)" in failure.errors[0] and len(failure.errors) <= tries


def addresses_of(inputs: Mapping[str, Any] | None) -> list[str]:
    """Ids of the primary IPs a server was to get."""
    networks = (inputs or {}).get("publicNets") or []
    return [
        str(int(network[kind]))
        for network in networks
        for kind in ("ipv4", "ipv6")
        if network.get(kind)
    ]


def cover(settings: Settings, location: str) -> None:
    """Put hook and deadline on every Hetzner resource registered from now on."""
    hook = pulumi.ErrorHook("hetzner", _hook(settings, location))
    hooks = pulumi.ResourceHookBinding(on_error=[hook])
    deadline = pulumi.CustomTimeouts(create=f"{settings.cloud_deadline}s")

    def cover_one(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("hcloud:index/"):
            return None
        # Any other type would warn that it takes no deadline.
        made = args.type_ == "hcloud:index/server:Server"
        own = pulumi.ResourceOptions(hooks=hooks, custom_timeouts=deadline if made else None)
        return pulumi.ResourceTransformationResult(
            args.props, pulumi.ResourceOptions.merge(args.opts, own)
        )

    pulumi.runtime.register_stack_transformation(cover_one)


def _hook(settings: Settings, location: str) -> Callable[[pulumi.ErrorHookArgs], Any]:
    at = settings.locations.index(location) if location in settings.locations else -1
    stage = Stage(
        stack=settings.stack,
        server_type=settings.server_type,
        location=location,
        next_location=settings.locations[(at + 1) % len(settings.locations)],
        deadline=settings.cloud_deadline,
        protected=settings.protected,
    )
    token = settings.hcloud_token.get_secret_value() if settings.hcloud_token else ""
    given: set[str] = set()

    async def told(args: pulumi.ErrorHookArgs) -> bool:
        """Whether the engine is to try again."""
        failure = Failure(args.type.rpartition(":")[2], args.failed_operation, args.errors)
        if rate_limited(failure, settings.cloud_deadline):
            pulumi.log.warn(f"Hetzner's rate limit is used up: again in {RATE_PAUSE_SECONDS} s")
            await asyncio.sleep(RATE_PAUSE_SECONDS)
            return True
        server = str((args.new_inputs or {}).get("name"))
        try:
            if lost(failure) and len(failure.errors) <= LOST_SERVER_TRIES:
                deleted = await asyncio.to_thread(
                    cloud.delete_unfinished,
                    token=token,
                    endpoint=settings.hcloud_endpoint,
                    name=server,
                    addresses=addresses_of(args.new_inputs),
                    seconds=settings.cloud_deadline,
                )
                if deleted:
                    pulumi.log.warn("Hetzner made the server, but its answer was lost: made again")
                    return True
            if (failure.kind, failure.operation) == ("Server", "update"):
                # The provider has switched it off to change its type.
                await asyncio.to_thread(
                    cloud.power_on, token=token, endpoint=settings.hcloud_endpoint, name=server
                )
        except cloud.CloudError as error:
            # The next `up` finds a server by its addresses.
            pulumi.log.warn(str(error))
        text = advice(failure, stage)
        if text not in given:  # an outage fails everything at once, and needs saying once
            given.add(text)
            pulumi.log.error(text)
        return False

    return told
