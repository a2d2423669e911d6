"""An `up` begins only with a Hetzner token that can end it."""

from planning import access
from planning.cloud import CloudError
from planning.record import Record
from settings_model import Settings


def check(settings: Settings, last: Record, *, only_preview: bool) -> None:
    """Raises CloudError for a token that cannot do what an `up` of this stack needs.

    only_preview  whether nothing will follow: then one that may only read will do
    """
    held = [(each.type, each.properties) for each in last.resources]
    where = access.places(held, finished=bool(last.outputs))
    if settings.hcloud_token is None or (settings.given_host is not None and not where):
        return
    wrong = access.mistake(
        settings.hcloud_token.get_secret_value(),
        settings.hcloud_endpoint,
        settings.stack,
        where,
        writes=not only_preview,
    )
    if wrong is not None:
        raise CloudError(f"{wrong.problem}. Next: {wrong.remedy}")
