"""Edit a site."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, check_time_zone, own
from wattkeeper.actions.registry.fields import SITE_FIELDS, SiteFields
from wattkeeper.data.registry.models import Site


@audited("registry.edit-site")
def edit_site(
    entry: Entry, *, actor: Actor, now: datetime, site_id: int, **fields: Unpack[SiteFields]
) -> None:
    """
    Change the given fields of a site.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    if "time_zone" in fields:
        check_time_zone(fields["time_zone"])
    site = own(Site, site_id, actor=actor)
    entry.subject = f"site:{site.id}"
    entry.detail = change(site, fields, allowed=SITE_FIELDS)
