"""Retire a meter."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.installing import end_installation, mark_points_dirty
from wattkeeper.data.registry.models import Meter


@audited("registry.retire-meter")
def retire_meter(entry: Entry, *, actor: Actor, now: datetime, meter_id: int, at: datetime) -> None:
    """
    Retire a meter: its installation, if any, ends at `at`; its readings stay for ever.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``installations.period``
    """
    check_instant(at, now=now)
    meter = own(Meter, meter_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    entry.detail = {"at": at}
    if meter.installations.filter(ends_at__isnull=True).exists():
        ended = end_installation(meter, at=at, now=now)
        mark_points_dirty(
            [ended.usage_point_id],
            tenant_id=actor.tenant_id,
            from_at=at,
            to_at=None,
            now=now,
            reason="removal",
        )
    meter.state = Meter.State.RETIRED
    meter.retired_at = meter.retired_at or at
    meter.save(update_fields=["state", "retired_at"])
