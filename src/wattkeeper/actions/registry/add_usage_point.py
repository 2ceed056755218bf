"""Add a usage point."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.fields import USAGE_POINT_FIELDS, UsagePointFields
from wattkeeper.data.registry.models import Site, UsagePoint


@audited("registry.add-usage-point")
def add_usage_point(
    entry: Entry, *, actor: Actor, now: datetime, site_id: int, **fields: Unpack[UsagePointFields]
) -> int:
    """
    Add a usage point to a site and return its id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    site = own(Site, site_id, actor=actor)
    point = UsagePoint(tenant_id=actor.tenant_id, site=site)
    entry.detail = {"site_id": site.id, **change(point, fields, allowed=USAGE_POINT_FIELDS)}
    entry.subject = f"usage-point:{point.id}"
    return point.id
