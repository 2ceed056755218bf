"""Remove a meter from its usage point."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import DisplayRead, keep_display_read
from wattkeeper.actions.registry.installing import end_installation, mark_points_dirty
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import Meter


def remove_meter(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    at: datetime,
    final_read: DisplayRead | None = None,
) -> None:
    """
    End a meter's installation at `at`, with what its register showed then.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``installations.none``,
        ``installations.period``, ``readings.*``
    """
    _remove(actor=actor, now=now, meter_id=meter_id, at=at, final_read=final_read)
    deliver_field_reads(services=services, now=now)


@audited("registry.remove-meter")
def _remove(
    entry: Entry, *, actor: Actor, now: datetime, meter_id: int, at: datetime, final_read: DisplayRead | None
) -> None:
    check_instant(at, now=now)
    meter = own(Meter, meter_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    installation = end_installation(meter, at=at, now=now)
    entry.detail = {"usage_point_id": installation.usage_point_id, "at": at, "final_read": final_read}
    if final_read is not None:
        keep_display_read(meter, final_read, at=at, now=now)
    mark_points_dirty(
        [installation.usage_point_id],
        tenant_id=actor.tenant_id,
        from_at=at,
        to_at=None,
        now=now,
        reason="removal",
    )
