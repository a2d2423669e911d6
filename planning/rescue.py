"""When Hetzner fails in the middle of an `up`: how long it gets, what is tried again, what to do.

The provider waits 90 minutes for a server, tries five times in half a minute when it is told that
it asks too often, leaves a server off whose type could not be changed, and names a cause but no
next step. So a server gets our own deadline, and every Hetzner resource a hook that is told of
each failure.

The provider takes no deadline for anything else: it gives up volumes, firewalls and changes of a
server after 20 minutes, and would poll for a record set without end, so that this is ended from
outside (planning/deadline.py). A destroy runs no program, and so no hook.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pulumi

from planning import cloud
from planning.deadline import Deadline, end_provider
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
# The second is what the API's description calls it; the first is what it says.
_NO_ROOM: Final = ("(resource_unavailable)", "(placement_error)")
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
    if any(sign in said for sign in _NO_ROOM):
        full = (
            f"Hetzner has no room for a {stage.server_type} in {stage.location} now; no server "
            "was changed. Next: "
        )
        other = f"pulumi config set serverType … -s {stage.stack}"
        if failure.operation == "create":
            return f"{full}{again}, which tries {stage.next_location}; or another type: {other}"
        # What exists stays where it is, and as it is.
        return f"{full}set the type back, or to another: {other} && {again}"
    if "(no_space_left_in_location)" in said:
        return (
            f"Hetzner has no room for this volume in {stage.location} now. Next: {again} later; "
            "or, for a stack that is new, elsewhere: pulumi config set --path 'locations[0]' "
            f"{stage.next_location} -s {stage.stack} && {again}"
        )
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
            "The Hetzner account may hold no more of these; its limit counts all of its projects. "
            "Next: delete what is not needed (`flow sweep` shows what nothing owns) or ask for a "
            f"higher limit in the console, then: {again}"
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


def full(failure: Failure) -> bool:
    """Whether a server found no room where it was to be made; pure."""
    made = (failure.kind, failure.operation) == ("Server", "create")
    return made and any(sign in failure.errors[0] for sign in _NO_ROOM)


def left_over(failure: Failure, *, holds_data: bool) -> bool:
    """Whether an earlier `up` that was cut short may have left one the state does not know; pure.

    A stage's addresses and volume are not made anew but taken back (plan.place). One try: what
    stays after that is somebody else's.
    """
    anew = {"Firewall", "SshKey", "ZoneRrset", *([] if holds_data else ["PrimaryIp", "Volume"])}
    return (
        failure.kind in anew
        and failure.operation == "create"
        and "(uniqueness_error)" in failure.errors[0]
        and len(failure.errors) == 1
    )


def overdue(what: str, stage: Stage) -> str:
    """What is said when a record set's deadline has passed; pure."""
    return (
        f"{what}: Hetzner did not finish this in {stage.deadline} s (cloudDeadline), and its "
        "provider would wait for ever, so it was ended (it is no bug of the provider, as the "
        "engine says below). See https://status.hetzner.com. Next: "
        f"pulumi up -s {stage.stack}, which goes on with what was made"
        + ("." if stage.protected else f"; or give it up: pulumi destroy -s {stage.stack}")
    )


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
    stage = _stage(settings, location)
    deadline = Deadline(settings.cloud_deadline, lambda what: _give_up(overdue(what, stage)))
    on_error = [pulumi.ErrorHook("hetzner", _hook(settings, stage, deadline))]
    hooks = pulumi.ResourceHookBinding(on_error=on_error)
    begins = pulumi.ResourceHook(
        "hetzner-begins", lambda args: deadline.start(args.urn, f"The record set {args.name}")
    )
    ends = pulumi.ResourceHook("hetzner-ends", lambda args: deadline.stop(args.urn))
    timed = pulumi.ResourceHookBinding(
        before_create=[begins],
        after_create=[ends],
        before_update=[begins],
        after_update=[ends],
        on_error=on_error,
    )
    of_a_server = pulumi.CustomTimeouts(create=f"{settings.cloud_deadline}s")

    def cover_one(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("hcloud:index/"):
            return None
        kind = args.type_.rpartition(":")[2]
        own = pulumi.ResourceOptions(
            hooks=timed if kind == "ZoneRrset" else hooks,
            # Any other type would warn that it takes no deadline.
            custom_timeouts=of_a_server if kind == "Server" else None,
        )
        return pulumi.ResourceTransformationResult(
            args.props, pulumi.ResourceOptions.merge(args.opts, own)
        )

    pulumi.runtime.register_stack_transformation(cover_one)


def _give_up(text: str) -> None:
    pulumi.log.error(text)
    if not end_provider():
        pulumi.log.error(
            "The provider's process was not found, so this run does not end by itself. "
            "Next: press Ctrl-C twice, then run the command above"
        )


def _stage(settings: Settings, location: str) -> Stage:
    at = settings.locations.index(location) if location in settings.locations else -1
    return Stage(
        stack=settings.stack,
        server_type=settings.server_type,
        location=location,
        next_location=settings.locations[(at + 1) % len(settings.locations)],
        deadline=settings.cloud_deadline,
        protected=settings.protected,
    )


def _hook(
    settings: Settings, stage: Stage, deadline: Deadline
) -> Callable[[pulumi.ErrorHookArgs], Any]:
    given: set[str] = set()

    async def told(args: pulumi.ErrorHookArgs) -> bool:
        """Whether the engine is to try again."""
        deadline.stop(args.urn)
        if deadline.passed:
            return False  # nothing can be made any more, and why was said
        failure = Failure(args.type.rpartition(":")[2], args.failed_operation, args.errors)
        if rate_limited(failure, settings.cloud_deadline):
            pulumi.log.warn(f"Hetzner's rate limit is used up: again in {RATE_PAUSE_SECONDS} s")
            await asyncio.sleep(RATE_PAUSE_SECONDS)
            again = True
        else:
            again = await _repair(settings, failure, args.new_inputs or {})
        if again:
            if failure.kind == "ZoneRrset":
                deadline.start(args.urn, f"The record set {args.name}")
            return True
        text = advice(failure, stage)
        if text not in given:  # an outage fails everything at once, and needs saying once
            given.add(text)
            pulumi.log.error(text)
        return False

    return told


async def _repair(settings: Settings, failure: Failure, inputs: Mapping[str, Any]) -> bool:
    """Take away what a failure left at Hetzner; whether it can be made anew now."""
    token = settings.hcloud_token.get_secret_value() if settings.hcloud_token else ""
    endpoint, seconds = settings.hcloud_endpoint, settings.cloud_deadline
    server = str(inputs.get("name"))
    try:
        if full(failure):
            # The next `up` tries another location for it.
            await asyncio.to_thread(
                cloud.mark_full,
                token=token,
                endpoint=endpoint,
                addresses=addresses_of(inputs),
                location=str(inputs.get("location")),
            )
        if lost(failure) and len(failure.errors) <= LOST_SERVER_TRIES:
            deleted = await asyncio.to_thread(
                cloud.delete_unfinished,
                token=token,
                endpoint=endpoint,
                name=server,
                addresses=addresses_of(inputs),
                seconds=seconds,
            )
            if deleted:
                pulumi.log.warn("Hetzner made the server, but its answer was lost: made again")
                return True
        if left_over(failure, holds_data=settings.holds_data):
            if failure.kind != "ZoneRrset":
                return await asyncio.to_thread(
                    cloud.delete_left_over,
                    token=token,
                    endpoint=endpoint,
                    kind=failure.kind,
                    wanted=inputs,
                )
            return await asyncio.to_thread(
                cloud.delete_unfinished_records,
                token=token,
                endpoint=endpoint,
                wanted=inputs,
                seconds=seconds,
            )
        if (failure.kind, failure.operation) == ("Server", "update"):
            # The provider has switched it off to change its type.
            await asyncio.to_thread(cloud.power_on, token=token, endpoint=endpoint, name=server)
    except cloud.CloudError as error:
        # The next `up` finds a server by its addresses.
        pulumi.log.warn(str(error))
    return False
