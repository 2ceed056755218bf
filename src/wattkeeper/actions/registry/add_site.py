"""Add a site."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, check_time_zone
from wattkeeper.actions.registry.fields import SITE_FIELDS, SiteFields
from wattkeeper.data.registry.models import Site


@audited("registry.add-site")
def add_site(entry: Entry, *, actor: Actor, now: datetime, **fields: Unpack[SiteFields]) -> int:
    """
    Add a site and return its id.

    :raises WattkeeperError: ``registry.taken``, ``registry.invalid-field``, ``registry.time-zone-unknown``
    """
    check_time_zone(fields.get("time_zone", ""))
    site = Site(tenant_id=actor.tenant_id)
    entry.detail = change(site, fields, allowed=SITE_FIELDS)
    entry.subject = f"site:{site.id}"
    return site.id
