"""Edit a usage point."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.fields import USAGE_POINT_FIELDS, UsagePointFields
from wattkeeper.actions.registry.installing import mark_points_dirty
from wattkeeper.data.registry.models import UsagePoint


@audited("registry.edit-usage-point")
def edit_usage_point(
    entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, **fields: Unpack[UsagePointFields]
) -> None:
    """
    Change the given fields of a usage point. A largest power that is given is no more told by files; another
    one judges anew all that was ever read there.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    if "power_max_w" in fields:
        point.power_told = None
    entry.detail = change(point, fields, allowed=USAGE_POINT_FIELDS)
    first = point.installations.order_by("starts_at").first()
    if "power_max_w" in entry.detail and first is not None:
        mark_points_dirty(
            [point.id],
            tenant_id=actor.tenant_id,
            from_at=first.starts_at,
            to_at=None,
            now=now,
            reason="power",
        )
