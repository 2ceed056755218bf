"""Meters as lists and pages show them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from wattkeeper.data.registry.main_series import find_main_series
from wattkeeper.data.registry.models import Channel, Installation, Meter, Multiplier, UsagePoint
from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT, Page
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE
from wattkeeper.data.sealing.words import matching

SORTS = {
    "serial_number": ("serial_number", "id"),
    "site": ("site__code", "serial_number"),
    "state": ("state", "serial_number"),
    "family": ("family", "serial_number"),
    "answered_at": ("status__answered_at", "serial_number"),
    "usage_point": ("current_point", "serial_number"),
}


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One line of the meter list. `is_answering` None: never asked."""

    meter_id: int
    serial_number: str
    make_model: str
    family: str
    state: str
    site_id: int
    site_code: str
    site_name: str
    link_id: int | None
    link_name: str | None
    address: str
    usage_point_id: int | None
    usage_point_code: str | None
    usage_point_name: str | None
    customer_name: str | None
    is_answering: bool | None
    answered_at: datetime | None
    error_code: str
    relay_state_code: int | None
    clock_offset_s: int | None
    has_relay: bool


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel; `quantity` is the series it feeds, None for live values."""

    channel_id: int
    reading_type: str
    step: Fraction
    register_digits: int | None
    is_profiled: bool
    has_reads: bool
    quantity: str | None


@dataclass(frozen=True, slots=True)
class InstallationRow:
    """Where the meter was, and when."""

    usage_point_id: int
    usage_point_code: str
    usage_point_name: str
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class MeterDetail:
    """Everything a meter's page says that is not a reading."""

    row: MeterRow
    interval_s: int
    memory_days: int
    settings: dict[str, Any]
    time_zone: str
    retired_at: datetime | None
    relay_read_at: datetime | None
    reported_at: datetime | None
    failures_count: int
    is_protected: bool
    multiplier: Fraction
    channels: tuple[ChannelRow, ...]
    installations: tuple[InstallationRow, ...]
    key_names: tuple[str, ...] = field(default=())
    series_id: int | None = None

    @property
    def has_reads(self) -> bool:
        """Whether anything was ever read: such a meter is retired, never deleted."""
        return any(channel.has_reads for channel in self.channels)


@dataclass(frozen=True, slots=True)
class MeterFilter:
    """What the meter list may be narrowed by; None leaves a field open."""

    search: str = ""
    site_id: int | None = None
    link_id: int | None = None
    state: str | None = None
    family: str | None = None
    is_answering: bool | None = None


def list_meters(
    *,
    tenant_id: int,
    now: datetime,
    only: MeterFilter | None = None,
    sort: str = "serial_number",
    offset_index: int = 0,
    limit_count: int = 50,
) -> Page[MeterRow]:
    """Return one page of meters. `sort` is a key of SORTS, a leading ``-`` turns it round."""
    query = _filtered(tenant_id, only or MeterFilter(), now)
    limit_count = min(max(limit_count, 1), PAGE_SIZE_MAX_COUNT)
    total_count = query.count()
    ordered = _sorted(query, sort, now)
    meters = list(ordered.select_related("site", "link", "status")[offset_index : offset_index + limit_count])
    return Page(rows_of(meters, now), total_count, offset_index, limit_count)


def rows_of(meters: Sequence[Meter], now: datetime) -> list[MeterRow]:
    """Return the rows of meters loaded with their site, link and status."""
    current = _current_installations([meter.id for meter in meters], now)
    return [_row(meter, current.get(meter.id)) for meter in meters]


def get_meter(*, tenant_id: int, meter_id: int, now: datetime) -> MeterDetail | None:
    """Return one meter, None where the tenant has none of that id."""
    meter = (
        Meter.objects.select_related("site", "link", "status")
        .filter(tenant_id=tenant_id, id=meter_id)
        .first()
    )
    if meter is None:
        return None
    installations = tuple(meter.installations.select_related("usage_point").order_by("-starts_at"))
    current = next((row for row in installations if _is_current(row, now)), None)
    status = getattr(meter, "status", None)
    detail = MeterDetail(
        row=_row(meter, current),
        interval_s=meter.interval_s,
        memory_days=meter.memory_days,
        settings=meter.settings,
        time_zone=meter.site.time_zone,
        retired_at=meter.retired_at,
        relay_read_at=status.relay_read_at if status else None,
        reported_at=status.reported_at if status else None,
        failures_count=status.failures_count if status else 0,
        is_protected=bool(current and current.usage_point.is_protected),
        multiplier=get_multiplier(current.usage_point_id, now) if current else Fraction(1),
        channels=tuple(_channel(channel) for channel in meter.channels.order_by("id")),
        installations=tuple(
            InstallationRow(
                row.usage_point_id, row.usage_point.code, row.usage_point.name, row.starts_at, row.ends_at
            )
            for row in installations
        ),
        key_names=tuple(meter.keys.order_by("name").values_list("name", flat=True)),
    )
    if current is None:
        return detail
    point_id = current.usage_point_id
    return replace(detail, series_id=find_main_series([point_id]).get(point_id))


def get_multiplier(usage_point_id: int, at: datetime) -> Fraction:
    """Return the multiplier (CT x PT) of a usage point at an instant; 1 where none was ever recorded."""
    fact = (
        Multiplier.objects.filter(usage_point_id=usage_point_id, starts_at__lte=at)
        .filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at))
        .first()
    )
    return Fraction(fact.numerator, fact.denominator) if fact else Fraction(1)


def _filtered(tenant_id: int, only: MeterFilter, now: datetime) -> QuerySet[Meter]:
    exact = {
        "site_id": only.site_id,
        "link_id": only.link_id,
        "state": only.state,
        "family": only.family,
    }
    given = {name: value for name, value in exact.items() if value is not None}
    query = Meter.objects.filter(tenant_id=tenant_id, **given)
    if only.is_answering is not None:
        query = query.filter(status__is_answering=only.is_answering)
    for word in only.search.split():
        points = Installation.objects.filter(_current(now)).filter(
            Q(usage_point__code__icontains=word)
            | matching(UsagePoint, tenant_id=tenant_id, text=word, at="usage_point_id")
        )
        query = query.filter(
            Q(serial_number__icontains=word)
            | Q(address__icontains=word)
            | Q(make_model__icontains=word)
            | Q(site__name__icontains=word)
            | Q(id__in=points.values("meter_id"))
        )
    return query


def _sorted(query: QuerySet[Meter], sort: str, now: datetime) -> QuerySet[Meter]:
    columns = SORTS.get(sort.removeprefix("-"), SORTS["serial_number"])
    if columns[0] == "current_point":
        point = Installation.objects.filter(_current(now), meter_id=OuterRef("pk"))
        query = query.annotate(current_point=Subquery(point.values("usage_point__code")[:1]))
    sign = "-" if sort.startswith("-") else ""
    return query.order_by(*(sign + column for column in columns))


def _current(now: datetime) -> Q:
    return Q(starts_at__lte=now) & (Q(ends_at__isnull=True) | Q(ends_at__gt=now))


def _is_current(row: Installation, now: datetime) -> bool:
    return row.starts_at <= now and (row.ends_at is None or row.ends_at > now)


def _current_installations(meter_ids: list[int], now: datetime) -> dict[int, Installation]:
    rows = Installation.objects.filter(_current(now), meter_id__in=meter_ids).select_related("usage_point")
    return {row.meter_id: row for row in rows}


def _row(meter: Meter, current: Installation | None) -> MeterRow:
    status = getattr(meter, "status", None)
    point = current.usage_point if current else None
    return MeterRow(
        meter_id=meter.id,
        serial_number=meter.serial_number,
        make_model=meter.make_model,
        family=meter.family,
        state=meter.state,
        site_id=meter.site_id,
        site_code=meter.site.code,
        site_name=meter.site.name,
        link_id=meter.link_id,
        link_name=meter.link.name if meter.link else None,
        address=meter.address,
        usage_point_id=point.id if point else None,
        usage_point_code=point.code if point else None,
        usage_point_name=point.name if point else None,
        customer_name=point.customer_name if point else None,
        is_answering=status.is_answering if status else None,
        answered_at=status.answered_at if status else None,
        error_code=status.error_code if status else "",
        relay_state_code=status.relay_state_code if status else None,
        clock_offset_s=status.clock_offset_s if status else None,
        has_relay=meter.has_relay,
    )


def _channel(channel: Channel) -> ChannelRow:
    return ChannelRow(
        channel_id=channel.id,
        reading_type=channel.reading_type,
        step=Fraction(channel.step_numerator, channel.step_denominator),
        register_digits=channel.register_digits,
        is_profiled=channel.is_profiled,
        has_reads=channel.has_reads,
        quantity=QUANTITY_OF_READING_TYPE.get(channel.reading_type),
    )
