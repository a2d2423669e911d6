"""From a stack's settings and its record to what its Environment is made of.

What has to be asked of Hetzner before anything is registered (where a server can be made, whether
a lost one is there) is asked here; the rest is pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import pulumi

from components import bundle, guard, naming
from components.environment import ApplicationArgs, EnvironmentArgs, PublicArgs, render
from components.server import ServerArgs
from planning import cloud, github, lasting, login, staying
from planning.record import Record, Recorded
from planning.releases import Kept, Unreleasable
from remote import shipment
from settings_model import Settings

if TYPE_CHECKING:
    from components.github_environment import GithubArgs

GIVEN: Final = "given"
_VARIABLE: Final = "ActionsEnvironmentVariable"
_POLICY: Final = "RepositoryEnvironmentDeploymentPolicy"


class Refused(pulumi.RunError):
    """The guard stopped this `up`; nothing was changed."""


@dataclass(frozen=True)
class Place:
    """Where the server is or will be."""

    location: str
    """A Hetzner location; "given" for a machine that exists."""
    adopt: str | None = None
    """Id of this stack's own server where its state lost it."""
    adopt_attachment: str | None = None
    """Id of the data volume where it is attached, but the state lost that."""
    adopt_kept: Mapping[str, str] = field(default_factory=dict)
    """Ids of a stage's addresses and data volume (ipv4, ipv6, volume) that its state lost."""
    moves: bool = False
    """What a first `up` left elsewhere, half made, is given up for this."""


def place(settings: Settings, last: Record) -> Place:
    """Where this stack's server goes, or is. Raises cloud.CloudError when there is no room.

    What exists stays where it is, whatever the order of `locations` says now.
    """
    if settings.given_host is not None:
        return Place(GIVEN)
    found = _place(settings, last)
    lost = lasting.lost(settings, last, found.location)
    return replace(found, adopt_kept=lost) if lost else found


def _place(settings: Settings, last: Record) -> Place:
    server, addresses = last.find("Server"), last.find("PrimaryIp")
    volumes = last.find("Volume")
    if settings.asleep and (server or addresses):
        return Place(str((*server, *addresses)[0].properties.get("location")))
    token = settings.hcloud_token.get_secret_value() if settings.hcloud_token else ""
    if not server and addresses:
        # The last `up` was cut short while it made the server: it may be there all the same.
        found = cloud.orphan(
            token=token,
            endpoint=settings.hcloud_endpoint,
            name=naming.resource_name(settings.project, settings.stack),
            addresses=[str(each.properties.get("id")) for each in addresses],
        )
        if found is not None:
            return Place(found.location, adopt=found.id)
    for each in (*server, *volumes, *addresses) if last.outputs else server:
        where = each.properties.get("location")
        if where in settings.locations:
            staying.check_room(settings, token, last, str(where))
            attachment = staying.lost_attachment(settings, token, last)
            return Place(str(where), adopt_attachment=attachment)
    # Addresses without a server, of an `up` that never finished. Where it found no room (and was
    # not just killed), nothing is there yet that is worth staying for.
    tried = None if last.outputs else next(iter(addresses), None)
    order = list(settings.locations)
    stuck = tried is not None and tried.properties.get("deleteProtection") is True
    at = str(tried.properties.get("location")) if tried is not None else ""
    if at in order:
        split = order.index(at) + (0 if stuck or not _was_full(settings, token, tried, at) else 1)
        order = order[split:] + order[:split]
    found_at = cloud.place(
        token=token,
        endpoint=settings.hcloud_endpoint,
        server_type=settings.server_type,
        locations=order,
    )
    return Place(found_at, moves=tried is not None and found_at != at)


def _was_full(settings: Settings, token: str, tried: Recorded | None, location: str) -> bool:
    return tried is not None and cloud.was_full(
        token=token,
        endpoint=settings.hcloud_endpoint,
        address=str(tried.properties.get("id")),
        location=location,
    )


def held(last: Record) -> guard.Held:
    """What the guard protects, out of the record."""

    def first(found: tuple[Recorded, ...]) -> Recorded | None:
        return found[0] if found else None

    finished = bool(last.outputs)
    server, volume = first(last.find("Server")), first(last.find("Volume"))
    return guard.Held(
        server=None if server is None else server.properties,
        volume=_worth_keeping(volume, finished),
        addresses=tuple(
            kept
            for each in last.find("PrimaryIp")
            if (kept := _worth_keeping(each, finished)) is not None
        ),
        zones=tuple(str(each.properties.get("zone")) for each in last.find("ZoneRrset")),
        engine_protected=last.outputs.get("protected") is True,
    )


def _worth_keeping(found: Recorded | None, finished: bool) -> guard.Properties | None:
    """Before a first `up` has finished only what Hetzner itself protects stands in the way."""
    if found is None or not (finished or found.properties.get("deleteProtection") is True):
        return None
    return found.properties


def problems(settings: Settings, last: Record, where: Place) -> list[guard.Problem]:
    """Everything this `up` would lose."""
    made = settings.given_host is None
    wanted = guard.Wanted(
        location=where.location if made else None,
        image=settings.image if made else None,
        volume_size=settings.volume_size,
        zone=settings.zone,
        makes_server=made,
    )
    return guard.compare(held(last), wanted)


def check(settings: Settings, last: Record, where: Place) -> list[guard.Problem]:
    """The problems this `up` was allowed to have. Raises Refused when one is not confirmed.

    A demo may lose anything: it is single use. A server that was named though nothing replaces
    it is among them.
    """
    found = problems(settings, last, where)
    open_ones = guard.unconfirmed(found, settings.confirm) if settings.holds_data else []
    if open_ones:
        raise Refused(guard.refusal(settings.stack, open_ones, settings.confirm))
    named = guard.let_go(held(last), settings.confirm)
    if named is None or any(each.kind == "server" for each in found):
        return found
    pulumi.log.warn(f"{named.word} is confirmed: until that is done nothing protects {named.loses}")
    return [*found, named]


def arguments(
    settings: Settings,
    where: Place,
    kept: Kept,
    expires: int | None,
    allowed: list[guard.Problem],
    at_github: "GithubArgs | None" = None,
    *,
    earlier: Sequence[Mapping[str, Any]] = (),
    now: float = 0,
) -> EnvironmentArgs:
    """What the stage's Environment is made of. Raises Unreleasable for a wrong Compose file."""
    public = PublicArgs(
        label=settings.label,
        hostname=settings.hostname,
        address_domain=settings.address_domain,
        zone=settings.zone,
        acme_server=settings.acme_server,
        acme_root=settings.acme_root,
        acme_email=settings.acme_email,
        hidden=settings.stage == "demo",
        hsts=settings.hsts,
    )
    application = ApplicationArgs(
        release=bundle.Release(
            compose=bundle.load(kept.compose),
            version=kept.version,
            images=kept.images,
            prefix=kept.prefix,
            revision=kept.revision,
            layers=kept.layers,
        ),
        environment={"STAGE": settings.stage, **settings.environment},
        secrets=pulumi.Output.secret(
            {name: value.get_secret_value() for name, value in settings.secrets.items()}
        ),
        secret_names=sorted(settings.secrets),
        registry=login.argument(settings),
    )
    try:
        # Once before anything is made, under a name that stands for the true one.
        render(application, public, settings.hostname or "name.invalid")
    except bundle.ComposeError as error:
        raise Unreleasable(f"Version {kept.version}: {error}\nNothing was changed.") from None
    if settings.holds_data:
        for each in bundle.advice(application["release"].compose):
            pulumi.log.warn(f"{settings.compose_file}: {each}")
    return EnvironmentArgs(
        server=_server(settings, where, expires, allowed),
        public=public,
        application=application,
        kept=kept.output(),
        earlier=earlier,
        now=int(now),
        admin_keys=settings.admin_keys,
        software=shipment.fingerprint(),
        boot_deadline=settings.boot_deadline,
        github=at_github,
    )


def at_github(settings: Settings, last: Record) -> "GithubArgs | None":
    """The stage's part at GitHub, asked of GitHub; None where no repository is named.

    Raises github.GithubError for what the token may not do.
    """
    wanted = settings.github
    if wanted is None:
        return None
    from components.github_environment import RELEASE_TAGS, VARIABLES

    reviewers = github.ask(wanted)
    stays, released = settings.stage != "demo", settings.stage == "prod"
    ruleset = naming.resource_name(settings.project, settings.stack) if stays else None
    if not pulumi.runtime.is_dry_run():
        kept = {each.properties.get("variableName") for each in last.find(_VARIABLE)}
        pattern = RELEASE_TAGS if released else settings.branch
        variables = [name for name in VARIABLES if name not in kept]
        policy = None if last.find(_POLICY) else pattern
        rules = None if last.find("RepositoryRuleset") else ruleset
        if variables or policy or rules:
            github.clear(wanted, settings.stack, variables=variables, policy=policy, ruleset=rules)
    return {
        "url": f"{wanted.url}/",
        "token": pulumi.Output.secret(wanted.token.get_secret_value())
        if wanted.configured_token
        else None,
        "owner": wanted.owner,
        "repository": wanted.repository,
        "environment": settings.stack,
        "branch": settings.branch,
        "released": released,
        "users": reviewers.users,
        "teams": reviewers.teams,
        "ruleset": ruleset,
        "reviews": wanted.reviews,
        "checks": wanted.checks,
        # Squashed, a promotion's changes would be others than those below: its notes would tell of
        # none of them, and the next promotion of all of them again.
        "methods": ("merge",) if settings.stage in ("staging", "prod") else (),
    }


def _server(
    settings: Settings, where: Place, expires: int | None, allowed: list[guard.Problem]
) -> ServerArgs:
    given = settings.given_host
    lost = {each.kind for each in allowed}
    protects_server = settings.protected and settings.stage == "prod" and "server" not in lost
    # Protected again by the next `up`; the engine replaces nothing that is protected.
    protects_data = settings.protected and not where.moves and not lost & {"volume", "address"}
    return ServerArgs(
        resource_name=naming.resource_name(settings.project, settings.stack),
        labels=lasting.marks(settings, expires=expires),
        server_type=settings.server_type,
        image=settings.image,
        location=where.location,
        volume_size=settings.volume_size,
        ssh_from=settings.ssh_from,
        # Not in the `up` that only lets go of it: that one must not replace it in passing.
        keeps_first_boot=not any(each.kind == "server" and not each.protected for each in allowed),
        protects_data=protects_data,
        protects_server=protects_server,
        protects_data_at_hetzner=protects_data and settings.stage == "prod",
        # The provider shuts down first and asks afterwards: a protected server would be off. What
        # `flow rebuild` names it has shut down itself, or cannot.
        clean_shutdown=settings.holds_data
        and not protects_server
        and not any(each.setting == "confirm" for each in allowed),
        adopt_kept=where.adopt_kept,
        adopt_server=where.adopt,
        adopt_attachment=where.adopt_attachment,
        given_host=None
        if given is None
        else {
            "address": given.address,
            "port": given.port,
            "user": given.user,
            "host_key": given.host_key,
            "key": pulumi.Output.secret(given.ssh_key.get_secret_value()),
        },
    )
