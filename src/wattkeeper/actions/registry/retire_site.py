"""Retire a site."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Site


@audited("registry.retire-site")
def retire_site(entry: Entry, *, actor: Actor, now: datetime, site_id: int) -> None:
    """
    Retire a site whose usage points and links all are; everything about it stays readable.

    :raises WattkeeperError: ``registry.not-found``, ``sites.in-use``
    """
    site = own(Site, site_id, actor=actor)
    entry.subject = f"site:{site.id}"
    points_count = site.usage_points.filter(retired_at__isnull=True).count()
    links_count = site.links.filter(retired_at__isnull=True).count()
    if points_count or links_count:
        raise WattkeeperError(
            "sites.in-use", site=site.code, usage_points_count=points_count, links_count=links_count
        )
    site.retired_at = site.retired_at or now
    site.save(update_fields=["retired_at"])
