"""Bills as pages show them, and the intervals that a line of one is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wattkeeper.core.billing.document import Trace
from wattkeeper.core.billing.parse import trace_from_json
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.tariffs.calendar import rate_of_intervals
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.data.billing.models import TariffVersion
from wattkeeper.data.billing.queries import BillDetail, BillLineRow, BillRow
from wattkeeper.data.registry.models import UsagePoint
from wattkeeper.interfaces.reads.intervals import IntervalRow, rows_of
from wattkeeper.store.api import ReadingStore


@dataclass(frozen=True, slots=True)
class ZonedBill:
    """A bill in a list, with the zone in which its period is whole days."""

    row: BillRow
    time_zone: str


@dataclass(frozen=True, slots=True)
class LineIntervals:
    """The intervals of a line; `held_milliwh` is what of them the line holds.

    `is_shared`: several lines share these intervals by proportion, so the sum is that of all of them.
    """

    rows: Sequence[IntervalRow]
    held_milliwh: int
    is_shared: bool


def with_zones(rows: Sequence[BillRow]) -> list[ZonedBill]:
    """Return bills with the zones of their usage points' sites."""
    points = UsagePoint.objects.filter(id__in={row.usage_point_id for row in rows})
    zones = dict(points.values_list("id", "site__time_zone"))
    return [ZonedBill(row, zones[row.usage_point_id]) for row in rows]


def trace_of(line: BillLineRow) -> Trace | None:
    """Return a line's trace, None for one that rests on no intervals."""
    plain: Mapping[str, Any] | None = line.trace.get("trace")
    if not plain:
        return None
    return trace_from_json(plain)


def line_intervals(
    store: ReadingStore, *, tenant_id: int, bill: BillDetail, line: BillLineRow, trace: Trace
) -> LineIntervals:
    """Return the intervals that a line is made of, as they were in the run that was billed."""
    values = store.measurements(
        tenant_id,
        [trace.series_id],
        to_seconds(trace.starts_at),
        to_seconds(trace.ends_at),
        as_of_run_id=trace.run_id,
    )
    rows = rows_of(values)
    is_at_rate = _is_at_rate(values.starts_at_s, bill, line, trace)
    if trace.counter_from_milliwh is None or trace.counter_to_milliwh is None:
        kept = [row for row, is_kept in zip(rows, is_at_rate, strict=True) if is_kept]
        held_milliwh = sum(row.energy_milliwh for row in kept)
        return LineIntervals(kept, held_milliwh, is_shared=_is_shared(bill, line))
    climbed = values.value_milliwh.cumsum() + _counter_at_start(bill, line, trace)
    before = climbed - values.value_milliwh
    parts = np.minimum(climbed, trace.counter_to_milliwh) - np.maximum(before, trace.counter_from_milliwh)
    parts = np.where(is_at_rate, np.maximum(parts, 0), 0)
    kept = [
        replace(row, part_milliwh=part) for row, part in zip(rows, parts.tolist(), strict=True) if part > 0
    ]
    return LineIntervals(kept, int(parts.sum()), is_shared=False)


def _is_at_rate(starts_at_s: Int64s, bill: BillDetail, line: BillLineRow, trace: Trace) -> Sequence[bool]:
    tariff = _tariff_of(bill, line)
    if tariff is None or not trace.rate_code:
        return [True] * len(starts_at_s)
    charge = next(part for part in tariff.components if part.id == line.component)
    assert isinstance(charge, EnergyCharge)
    wanted = [rate.code for rate in charge.rates].index(trace.rate_code)
    found: list[bool] = (rate_of_intervals(starts_at_s, charge.calendar, tariff.zone) == wanted).tolist()
    return found


def _tariff_of(bill: BillDetail, line: BillLineRow) -> Tariff | None:
    """Return the tariff version that a line was priced by: the one whose key the document names."""
    key = bill.document["lines"][line.position - 1]["tariff_key"]
    siblings = TariffVersion.objects.filter(tariff__versions=bill.tariff_version_id)
    tariffs = (parse_tariff(version.document) for version in siblings)
    return next((tariff for tariff in tariffs if tariff.key == key), None)


def _counter_at_start(bill: BillDetail, line: BillLineRow, trace: Trace) -> int:
    """Return where the tier counter stood before the stretch: the least that any of its lines begins at."""
    others = (trace_of(other) for other in bill.lines if other.component == line.component)
    return min(
        other.counter_from_milliwh
        for other in others
        if other is not None and other.starts_at == trace.starts_at and other.counter_from_milliwh is not None
    )


def _is_shared(bill: BillDetail, line: BillLineRow) -> bool:
    same = [other for other in bill.lines if other.component == line.component and other.rate == line.rate]
    return line.tier is not None and len(same) > 1
