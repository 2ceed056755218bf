"""Retire a usage point."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import UsagePoint


@audited("registry.retire-usage-point")
def retire_usage_point(entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int) -> None:
    """
    Retire a usage point at which no meter is installed any more; its history stays readable.

    :raises WattkeeperError: ``registry.not-found``, ``usage-points.in-use``
    """
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"usage-point:{point.id}"
    if point.installations.filter(ends_at__isnull=True).exists():
        raise WattkeeperError("usage-points.in-use", usage_point=point.code)
    point.retired_at = point.retired_at or now
    point.save(update_fields=["retired_at"])
