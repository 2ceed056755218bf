"""Exchange a meter for another, to the watt-hour."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import DisplayRead, keep_display_read
from wattkeeper.actions.registry.installing import begin_installation, end_installation, mark_points_dirty
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Meter


def exchange_meter(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    new_meter_id: int,
    at: datetime,
    final_read: DisplayRead,
    initial_read: DisplayRead,
) -> int:
    """
    Put a new meter in the place of another at `at` and return the new installation's id.

    `final_read` of the old and `initial_read` of the new register are counts or the text of the display; they
    become raw reads with source FIELD, so that no energy is lost between the two.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``installations.*``,
        ``meters.retired``, ``meters.same``, ``readings.*``
    """
    installation_id = _exchange(
        actor=actor,
        now=now,
        meter_id=meter_id,
        new_meter_id=new_meter_id,
        at=at,
        final_read=final_read,
        initial_read=initial_read,
    )
    deliver_field_reads(services=services, now=now)
    return installation_id


@audited("registry.exchange-meter")
def _exchange(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    meter_id: int,
    new_meter_id: int,
    at: datetime,
    final_read: DisplayRead,
    initial_read: DisplayRead,
) -> int:
    check_instant(at, now=now)
    old = own(Meter, meter_id, actor=actor)
    new = own(Meter, new_meter_id, actor=actor)
    if old.id == new.id:
        raise WattkeeperError("meters.same", serial_number=old.serial_number)
    entry.subject = f"meter:{old.id}"
    ended = end_installation(old, at=at, now=now)
    begun = begin_installation(new, ended.usage_point, at=at, now=now)
    keep_display_read(old, final_read, at=at, now=now)
    keep_display_read(new, initial_read, at=at, now=now)
    mark_points_dirty(
        [ended.usage_point_id], tenant_id=actor.tenant_id, from_at=at, to_at=None, now=now, reason="exchange"
    )
    entry.detail = {
        "new_meter_id": new.id,
        "usage_point_id": ended.usage_point_id,
        "at": at,
        "final_read": final_read,
        "initial_read": initial_read,
    }
    return begun.id
