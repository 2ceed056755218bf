"""Note what a register of a meter showed, correct what was noted before, or tell that it was set anew."""

from datetime import datetime, timedelta

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import DisplayRead, keep_display_read
from wattkeeper.actions.registry.installing import mark_points_dirty
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Meter
from wattkeeper.data.registry.quantities import DEFAULT_QUANTITY


def note_read(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    at: datetime,
    read: DisplayRead,
    quantity: str = DEFAULT_QUANTITY,
    set_to: DisplayRead | None = None,
    reason: str = "",
) -> None:
    """
    Note that a register showed `read` at `at` and, with `set_to`, that somebody set it to that value then.

    What was noted last for an instant holds: so the final read of a meter that was exchanged is corrected, or
    a reset that was none is taken back. It stands above what devices and files say of that instant, and the
    raw read that it corrects stays.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``readings.not-installed``,
        ``readings.*``
    """
    _note(
        actor=actor,
        now=now,
        meter_id=meter_id,
        at=at,
        read=read,
        quantity=quantity,
        set_to=set_to,
        reason=reason,
    )
    deliver_field_reads(services=services, now=now)


@audited("registry.note-read")
def _note(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    meter_id: int,
    at: datetime,
    read: DisplayRead,
    quantity: str,
    set_to: DisplayRead | None,
    reason: str,
) -> None:
    check_instant(at, now=now)
    meter = own(Meter, meter_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    entry.detail = {"at": at, "quantity": quantity, "read": read, "set_to": set_to, "reason": reason}
    there = meter.installations.filter(Q(ends_at=None) | Q(ends_at__gte=at), starts_at__lte=at)
    if set_to is not None:  # at the ends the reads of the installation say all of it
        there = there.exclude(starts_at=at).exclude(ends_at=at)
    point_ids = list(there.values_list("usage_point_id", flat=True))
    if not point_ids:
        raise WattkeeperError("readings.not-installed", serial_number=meter.serial_number)
    keep_display_read(meter, read, at=at, now=now, quantity=quantity, set_to=set_to)
    mark_points_dirty(
        point_ids,
        tenant_id=actor.tenant_id,
        from_at=at,
        to_at=at + timedelta(seconds=1),
        now=now,
        reason="field-read",
    )
