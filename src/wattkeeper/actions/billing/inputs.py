"""What a bill rests on, read from the relational side and the store before the transaction that issues it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.billing.document import RegisterRead
from wattkeeper.core.billing.intervals import IntervalColumns, UnableToBill
from wattkeeper.core.kernel.instants import Period, from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff, TierCounter
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import Contract, TariffVersion
from wattkeeper.data.registry.models import Channel, Installation, Series, UsagePoint
from wattkeeper.store.api import Measurements, ReadingStore

_DISPLAY_SOURCES = tuple(int(source) for source in (Source.PROFILE, Source.FILE, Source.PUSH, Source.FIELD))


@dataclass(frozen=True, slots=True, eq=False)
class BillInputs:
    """Everything `compute_bill` needs for one usage point and period. `depends_from`: whence values count."""

    usage_point: UsagePoint
    period: Period
    series: Series
    versions: tuple[TariffVersion, ...]
    tariffs: tuple[Tariff, ...]
    intervals: IntervalColumns
    run_id: int
    data_version: str
    tier_used_milliwh: int
    depends_from: datetime
    register_reads: tuple[RegisterRead, ...]


def read_inputs(usage_point: UsagePoint, first: date, end: date, *, store: ReadingStore) -> BillInputs:
    """Return what the bill of the local days [first, end) rests on.

    :raises UnableToBill: ``billing.no-contract``, ``billing.no-series``
    """
    zone = ZoneInfo(usage_point.site.time_zone)
    starts_at, ends_at = local_midnight(first, zone), local_midnight(end, zone)
    versions = _versions(usage_point, starts_at, ends_at, end)
    tariffs = tuple(parse_tariff(version.document) for version in versions)
    series = Series.objects.filter(usage_point=usage_point, quantity="energy_import").first()
    if series is None:
        raise UnableToBill("billing.no-series", usage_point=usage_point.code)
    values = _values(store, series, starts_at, ends_at)
    counter_from = _counter_start(tariffs, first)
    return BillInputs(
        usage_point=usage_point,
        period=Period(starts_at, ends_at),
        series=series,
        versions=versions,
        tariffs=tariffs,
        intervals=_columns(values),
        run_id=int(values.run_id.max(initial=0)),
        data_version=version_of(values),
        tier_used_milliwh=_used(store, series, counter_from, first, zone),
        depends_from=min(local_midnight(counter_from, zone), starts_at),
        register_reads=_register_reads(usage_point, starts_at, ends_at, store),
    )


def _values(store: ReadingStore, series: Series, starts_at: datetime, ends_at: datetime) -> Measurements:
    return store.measurements(series.tenant_id, [series.id], to_seconds(starts_at), to_seconds(ends_at))


def _columns(values: Measurements) -> IntervalColumns:
    return IntervalColumns(values.starts_at_s, values.value_milliwh, values.provenance, values.flags)


def version_of(values: Measurements) -> str:
    """Return a digest of what is billed: the same values are the same version, whatever run wrote them."""
    digest = sha256()
    for column in (values.starts_at_s, values.value_milliwh, values.provenance, values.flags):
        digest.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
    return digest.hexdigest()


def _versions(
    usage_point: UsagePoint, starts_at: datetime, ends_at: datetime, end: date
) -> tuple[TariffVersion, ...]:
    contract = (
        Contract.objects.filter(usage_point=usage_point, starts_at__lte=starts_at)
        .exclude(ends_at__lt=ends_at)
        .select_related("tariff")
        .first()
    )
    if contract is None:
        raise UnableToBill("billing.no-contract", usage_point=usage_point.code)
    versions = TariffVersion.objects.filter(tariff=contract.tariff, valid_from_date__lt=end)
    return tuple(versions.order_by("valid_from_date"))


def _counter_start(tariffs: Sequence[Tariff], first: date) -> date:
    """Return when the tier counter that runs at `first` began: with the year, the month or the bill."""
    counters = {
        component.tiers.counter
        for tariff in tariffs
        for component in tariff.components
        if isinstance(component, EnergyCharge) and component.tiers is not None
    }
    if TierCounter.YEAR in counters:
        return first.replace(month=1, day=1)
    return first.replace(day=1) if TierCounter.MONTH in counters else first


def _used(store: ReadingStore, series: Series, counter_from: date, first: date, zone: ZoneInfo) -> int:
    if counter_from >= first:
        return 0
    values = _values(store, series, local_midnight(counter_from, zone), local_midnight(first, zone))
    return int(values.value_milliwh.sum())


def _register_reads(
    usage_point: UsagePoint, starts_at: datetime, ends_at: datetime, store: ReadingStore
) -> tuple[RegisterRead, ...]:
    """Return the registers at both ends of each meter's part of the period, as far as they were read."""
    found: list[RegisterRead] = []
    installed = Installation.objects.filter(usage_point=usage_point, starts_at__lt=ends_at).exclude(
        ends_at__lte=starts_at
    )
    for row in installed.select_related("meter").order_by("starts_at"):
        for channel in Channel.objects.filter(
            meter=row.meter, reading_type__startswith="energy_import_register"
        ):
            first_at = max(row.starts_at, starts_at)
            last_at = min(row.ends_at or ends_at, ends_at)
            for at in (first_at, last_at):
                found += _read_at(row.meter.serial_number, channel, at, store)
    return tuple(found)


def _read_at(serial: str, channel: Channel, at: datetime, store: ReadingStore) -> list[RegisterRead]:
    at_s = to_seconds(at)
    reads = store.nearest_reads(channel.tenant_id, [channel.id], at_s, before=False, sources=_DISPLAY_SOURCES)
    if not len(reads.value) or int(reads.measured_at_s[0]) != at_s:
        return []
    step = Fraction(channel.step_numerator, channel.step_denominator)
    value = int(reads.value[0]) * step
    text = str(Decimal(value.numerator) / Decimal(value.denominator))
    return [RegisterRead(serial, channel.reading_type, from_seconds(at_s), text, "MEASURED")]
