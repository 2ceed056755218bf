"""Retire a link."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import Link


@audited("registry.retire-link")
def retire_link(entry: Entry, *, actor: Actor, now: datetime, link_id: int) -> None:
    """
    Retire a link to which no meter in use belongs; it is not dialled any more.

    :raises WattkeeperError: ``registry.not-found``, ``links.in-use``
    """
    link = own(Link, link_id, actor=actor)
    entry.subject = f"link:{link.id}"
    if meters_count := link.meters.filter(retired_at__isnull=True).count():
        raise WattkeeperError("links.in-use", link=link.name, meters_count=meters_count)
    link.retired_at = link.retired_at or now
    link.save(update_fields=["retired_at"])
