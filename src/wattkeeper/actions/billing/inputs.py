"""What a bill rests on, read from the relational side and the store before the transaction that issues it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.billing.compute import compute_bill
from wattkeeper.core.billing.document import BillDocument, RegisterRead
from wattkeeper.core.billing.energy import use_by_rate
from wattkeeper.core.billing.intervals import IntervalColumns, UnableToBill
from wattkeeper.core.billing.slices import in_force
from wattkeeper.core.kernel.instants import Period, from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff, TierCounter
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import TariffVersion
from wattkeeper.data.billing.parts import ContractPart, contract_parts
from wattkeeper.data.registry.models import Channel, Installation, Series, UsagePoint
from wattkeeper.store.api import Measurements, ReadingStore
from wattkeeper.store.standing import best_reads, standing_reads

_DISPLAY_SOURCES = tuple(int(source) for source in (Source.PROFILE, Source.FILE, Source.PUSH, Source.FIELD))


@dataclass(frozen=True, slots=True, eq=False)
class BillInputs:
    """Everything `compute_bill` needs for one usage point and period.

    `used`: the intervals that the tier counter counted before the period. `depends_from`: from when on values
    count.
    """

    usage_point: UsagePoint
    period: Period
    series: Series
    versions: tuple[TariffVersion, ...]
    tariffs: tuple[Tariff, ...]
    intervals: IntervalColumns
    run_id: int
    data_version: str
    used: IntervalColumns
    tier_used_by_rate_milliwh: Mapping[str, int]
    depends_from: datetime
    register_reads: tuple[RegisterRead, ...]

    @property
    def tier_used_milliwh(self) -> int:
        """What the tier counter held when the period began."""
        return int(self.used.energy_milliwh.sum())


def read_inputs(usage_point: UsagePoint, first: date, end: date, *, store: ReadingStore) -> BillInputs:
    """Return what the bill of the local days [first, end) rests on.

    :raises UnableToBill: ``billing.no-contract`` (none bills all of these days), ``billing.no-series``
    """
    zone = ZoneInfo(usage_point.site.time_zone)
    starts_at, ends_at = local_midnight(first, zone), local_midnight(end, zone)
    part = _part(usage_point, first, end)
    dated = TariffVersion.objects.filter(tariff_id=part.tariff_id, valid_from_date__lt=end)
    versions = tuple(dated.order_by("valid_from_date"))
    known = tuple(parse_tariff(version.document) for version in versions)
    tariffs = in_force(known, first)
    series = Series.objects.filter(usage_point=usage_point, quantity="energy_import").first()
    if series is None:
        raise UnableToBill("billing.no-series", usage_point=usage_point.code)
    values = _values(store, series, starts_at, ends_at)
    counter_from = max(_counter_start(tariffs, first), part.customer_from)
    used = _used(store, series, counter_from, first, zone)
    return BillInputs(
        usage_point=usage_point,
        period=Period(starts_at, ends_at),
        series=series,
        versions=versions[-len(tariffs) :],
        tariffs=tariffs,
        intervals=_columns(values),
        run_id=int(values.run_id.max(initial=0)),
        data_version=version_of(values),
        used=used,
        tier_used_by_rate_milliwh=use_by_rate(known, used, counter_from, first),
        depends_from=min(local_midnight(counter_from, zone), starts_at),
        register_reads=_register_reads(usage_point, starts_at, ends_at, store),
    )


def compute(inputs: BillInputs, *, accept_estimates: bool) -> BillDocument | UnableToBill:
    """Return the bill of what was read, or why there is none."""
    try:
        _refuse_missing(inputs.used)
        return compute_bill(
            usage_point=inputs.usage_point.code,
            tariffs=inputs.tariffs,
            period=inputs.period,
            intervals=inputs.intervals,
            interval_s=inputs.series.interval_s,
            series_id=inputs.series.id,
            run_id=inputs.run_id,
            data_version=inputs.data_version,
            tier_used_milliwh=inputs.tier_used_milliwh,
            tier_used_by_rate_milliwh=inputs.tier_used_by_rate_milliwh,
            register_reads=inputs.register_reads,
            accept_estimates=accept_estimates,
        )
    except UnableToBill as error:
        return error


def _refuse_missing(used: IntervalColumns) -> None:
    """What is missing before the period is no zero."""
    is_missing = used.provenance == Provenance.MISSING
    if is_missing.any():
        raise UnableToBill(
            "billing.tier-use-incomplete",
            missing_count=int(is_missing.sum()),
            first_missing_at=from_seconds(int(used.starts_at_s[is_missing].min())).isoformat(),
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


def _part(usage_point: UsagePoint, first: date, end: date) -> ContractPart:
    """Return the part of one contract that is all of these days."""
    parts = contract_parts(usage_point, first, end)
    if [(part.first, part.end) for part in parts] != [(first, end)]:
        raise UnableToBill("billing.no-contract", usage_point=usage_point.code)
    return parts[0]


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


def _used(
    store: ReadingStore, series: Series, counter_from: date, first: date, zone: ZoneInfo
) -> IntervalColumns:
    """Return the intervals that the tier counter counted before the period."""
    until = local_midnight(first, zone)
    return _columns(_values(store, series, min(local_midnight(counter_from, zone), until), until))


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
    there = standing_reads(store, channel.tenant_id, [channel.id], at_s, at_s + 1)
    reads = best_reads(there, _DISPLAY_SOURCES)
    if not len(reads.value):
        return []
    step = Fraction(channel.step_numerator, channel.step_denominator)
    value = int(reads.value[0]) * step
    text = str(Decimal(value.numerator) / Decimal(value.denominator))
    return [RegisterRead(serial, channel.reading_type, from_seconds(at_s), text, "MEASURED")]
