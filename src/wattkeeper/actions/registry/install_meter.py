"""Install a meter at a usage point."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.registry.display_reads import DisplayRead, keep_display_read
from wattkeeper.actions.registry.installing import begin_installation, mark_points_dirty
from wattkeeper.actions.services import Services
from wattkeeper.data.registry.models import Meter, UsagePoint


def install_meter(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    usage_point_id: int,
    at: datetime,
    initial_read: DisplayRead | None = None,
) -> int:
    """
    Install a meter from `at` on, which may be in the past, and return the installation's id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``installations.overlap``,
        ``meters.retired``, ``readings.*`` for an initial read that the register can't show
    """
    installation_id = _install(
        actor=actor,
        now=now,
        meter_id=meter_id,
        usage_point_id=usage_point_id,
        at=at,
        initial_read=initial_read,
    )
    deliver_field_reads(services=services, now=now)
    return installation_id


@audited("registry.install-meter")
def _install(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    meter_id: int,
    usage_point_id: int,
    at: datetime,
    initial_read: DisplayRead | None,
) -> int:
    check_instant(at, now=now)
    meter = own(Meter, meter_id, actor=actor)
    point = own(UsagePoint, usage_point_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    entry.detail = {"usage_point_id": point.id, "at": at, "initial_read": initial_read}
    installation = begin_installation(meter, point, at=at, now=now)
    if initial_read is not None:
        keep_display_read(meter, initial_read, at=at, now=now)
    mark_points_dirty(
        [point.id], tenant_id=actor.tenant_id, from_at=at, to_at=None, now=now, reason="installation"
    )
    return installation.id
