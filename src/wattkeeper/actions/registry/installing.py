"""The steps that installing, removing and exchanging share; each runs inside its verb's transaction."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from wattkeeper.actions.records import check_fits_days
from wattkeeper.actions.registry.meter_checks import check_log
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.installed import keep_told
from wattkeeper.data.registry.models import Installation, Meter, Series, UsagePoint
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE


def begin_installation(
    meter: Meter, point: UsagePoint, *, at: datetime, now: datetime, until: datetime | None = None
) -> Installation:
    """Put a meter at a usage point, where it is told later until an instant; its series are made where they
    are missing.

    :raises WattkeeperError: ``meters.retired``, ``usage-points.retired``, ``usage-points.virtual``,
        ``series.interval-not-kept``, ``meters.log-beside-days``
    """
    if meter.retired_at is not None:
        raise WattkeeperError("meters.retired", serial_number=meter.serial_number)
    if point.retired_at is not None:
        raise WattkeeperError("usage-points.retired", usage_point=point.code)
    if point.kind == UsagePoint.Kind.VIRTUAL:
        raise WattkeeperError("usage-points.virtual", usage_point=point.code)
    check_log(meter, point.site.time_zone, at=at)
    installation = Installation.objects.create(
        tenant_id=meter.tenant_id,
        meter=meter,
        usage_point=point,
        starts_at=at,
        ends_at=until,
        recorded_at=now,
    )
    ensure_series(point, meter)
    meter.state = Meter.State.INSTALLED if until is None else Meter.State.STOCK
    meter.save(update_fields=["state"])
    return installation


def end_installation(meter: Meter, *, at: datetime, now: datetime) -> Installation:
    """Take a meter away from where it is.

    :raises WattkeeperError: ``installations.none``, ``installations.period``
    """
    current = meter.installations.select_for_update().filter(ends_at__isnull=True).first()
    if current is None:
        raise WattkeeperError("installations.none", serial_number=meter.serial_number)
    if at <= current.starts_at:
        raise WattkeeperError(
            "installations.period", starts_at=current.starts_at.isoformat(), ends_at=at.isoformat()
        )
    keep_told(current, now=now)
    current.ends_at = at
    current.save(update_fields=["ends_at"])
    meter.state = Meter.State.STOCK
    meter.save(update_fields=["state"])
    return current


def ensure_series(point: UsagePoint, meter: Meter) -> list[int]:
    """Make the series that the meter's channels feed at a usage point and return all their ids.

    :raises WattkeeperError: ``series.interval-not-kept``
    """
    check_fits_days(meter.interval_s, point.site.time_zone, usage_point=point.code)
    quantities = {
        QUANTITY_OF_READING_TYPE[reading_type]
        for reading_type in meter.channels.values_list("reading_type", flat=True)
        if reading_type in QUANTITY_OF_READING_TYPE
    }
    return [
        Series.objects.get_or_create(
            usage_point=point,
            quantity=quantity,
            defaults={"tenant_id": point.tenant_id, "interval_s": meter.interval_s},
        )[0].id
        for quantity in sorted(quantities)
    ]


def mark_points_dirty(
    point_ids: Iterable[int],
    *,
    tenant_id: int,
    from_at: datetime,
    to_at: datetime | None,
    now: datetime,
    reason: str,
) -> None:
    """Mark the series of usage points dirty from an instant to another, or to now."""
    ends_at = now if to_at is None else min(now, to_at)
    span = Period(from_at, max(ends_at, from_at + timedelta(seconds=1)))
    series_ids = Series.objects.filter(usage_point_id__in=list(point_ids)).values_list("id", flat=True)
    mark_dirty(tenant_id=tenant_id, now=now, reason=reason, series=dict.fromkeys(series_ids, span))


def mark_all_dirty(point: UsagePoint, *, now: datetime, reason: str) -> None:
    """Mark all dirty that was ever read at a usage point; nothing where no meter ever was."""
    first = point.installations.order_by("starts_at").first()
    if first is not None:
        mark_points_dirty(
            [point.id], tenant_id=point.tenant_id, from_at=first.starts_at, to_at=None, now=now, reason=reason
        )
