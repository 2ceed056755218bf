"""Edit a usage point."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.fields import USAGE_POINT_FIELDS, UsagePointFields
from wattkeeper.actions.registry.installing import mark_all_dirty
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
    if "power_max_w" in entry.detail:
        mark_all_dirty(point, now=now, reason="power")
