"""Energy lines: each interval to its rate, each milliwatt-hour to its tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.cells import Cell, Stretch, TierCount, cells_of, energy_by_rate
from wattkeeper.core.billing.document import BillLine, Trace
from wattkeeper.core.billing.intervals import IntervalColumns, UnableToBill
from wattkeeper.core.billing.slices import BillDays, Slice, cut_by_version, in_force
from wattkeeper.core.kernel.instants import from_seconds, local_midnight
from wattkeeper.core.kernel.money import fraction_to_minor
from wattkeeper.core.tariffs.calendar import rate_of_intervals
from wattkeeper.core.tariffs.model import EnergyCharge, Tariff, TierCounter, TierMode, Tiers
from wattkeeper.core.tariffs.proration import month_starts, year_starts
from wattkeeper.core.tariffs.tiers import scale_limits

_MILLIWH_PER_KWH = 10**6


@dataclass(frozen=True, slots=True)
class Usage:
    """The billable intervals and where they come from."""

    rows: IntervalColumns
    interval_s: int
    series_id: int
    run_id: int


def energy_lines(
    component_id: str,
    slices: Sequence[Slice],
    usage: Usage,
    used_milliwh: int,
    used_by_rate_milliwh: Mapping[str, int],
) -> list[BillLine]:
    """Return the lines of one energy component over the slices that hold it, in time order.

    The tier counter runs on over a change of version and starts again with its month or year.

    :raises UnableToBill: ``billing.interval-straddles-switch``, ``billing.tier-use-by-rate-needed``,
        ``billing.tier-use-at-counter-start``
    """
    count = TierCount(used_milliwh, dict(used_by_rate_milliwh))
    lines: list[BillLine] = []
    for part in slices:
        charge = part.component(component_id)
        if not isinstance(charge, EnergyCharge):
            continue
        _refuse_wrong_count(charge, part, count)
        for first, end in _counter_runs(charge.tiers, part):
            if first != part.days.first and _starts_counter(charge.tiers, first):
                count = TierCount()
            stretch = _stretch(charge, part, usage, first, end)
            lines.extend(
                _line(charge, part, cell, _trace(charge, part, usage, cell, first, end))
                for cell in cells_of(charge, stretch, count)
            )
            _advance(count, charge, stretch)
    return lines


def use_by_rate(tariffs: Sequence[Tariff], used: IntervalColumns, first: date, end: date) -> dict[str, int]:
    """Return what the rates with a ladder each held in the local days [first, end), by rate code.

    Each version counts by its own calendar while it is in force; days before the first one, by its.
    Nothing where no component climbs a ladder a rate.
    """
    count = TierCount()
    if first < end:
        oldest, *later = in_force(tariffs, first)
        begun = replace(oldest, valid_from_date=min(first, oldest.valid_from_date))
        for part in cut_by_version([begun, *later], first, end):
            rows = used.between(part.first, part.end, part.tariff.zone)
            for charge in part.tariff.components:
                if (
                    isinstance(charge, EnergyCharge)
                    and charge.tiers
                    and charge.tiers.mode is TierMode.PER_PERIOD
                ):
                    rate_index = rate_of_intervals(rows.starts_at_s, charge.calendar, part.tariff.zone)
                    _advance(count, charge, Stretch(rows, rate_index, ()))
    return count.by_rate_milliwh


def counter_start(tiers: Tiers, first: date) -> date:
    """Return the local date on which the tier counter that holds `first` started."""
    if tiers.counter is TierCounter.MONTH:
        return first.replace(day=1)
    return date(first.year, 1, 1) if tiers.counter is TierCounter.YEAR else first


def _refuse_wrong_count(charge: EnergyCharge, part: Slice, count: TierCount) -> None:
    if charge.tiers is None or part.first != part.days.first:
        return
    if count.total_milliwh and counter_start(charge.tiers, part.first) == part.first:
        raise UnableToBill("billing.tier-use-at-counter-start", component=charge.id)
    if (
        charge.tiers.mode is TierMode.PER_PERIOD
        and sum(count.by_rate_milliwh.values()) != count.total_milliwh
    ):
        raise UnableToBill("billing.tier-use-by-rate-needed", component=charge.id)


def _starts_counter(tiers: Tiers | None, day: date) -> bool:
    return tiers is not None and tiers.counter is not TierCounter.DAYS and counter_start(tiers, day) == day


def _counter_runs(tiers: Tiers | None, part: Slice) -> list[tuple[date, date]]:
    cuts: list[date] = []
    if tiers is not None and tiers.counter is TierCounter.MONTH:
        cuts = month_starts(part.first, part.end)
    if tiers is not None and tiers.counter is TierCounter.YEAR:
        cuts = year_starts(part.first, part.end)
    return list(zip([part.first, *cuts], [*cuts, part.end], strict=True))


def _limits(tiers: Tiers | None, days: BillDays) -> tuple[int, ...]:
    if tiers is None:
        return ()
    if tiers.counter is TierCounter.DAYS:
        return scale_limits(tiers.limits_milliwh, (days.end - days.first).days, tiers.nominal_days)
    return tiers.limits_milliwh


def _stretch(charge: EnergyCharge, part: Slice, usage: Usage, first: date, end: date) -> Stretch:
    rows = usage.rows.between(first, end, part.tariff.zone)
    rate_index = rate_of_intervals(rows.starts_at_s, charge.calendar, part.tariff.zone)
    if len(charge.rates) > 1:
        _refuse_straddling(charge, part, rows, rate_index, usage.interval_s)
    return Stretch(rows, rate_index, _limits(charge.tiers, part.days))


def _refuse_straddling(
    charge: EnergyCharge, part: Slice, rows: IntervalColumns, rate_index: NDArray[np.int8], interval_s: int
) -> None:
    """A rate holds at least 15 minutes: a look each 15 minutes and at the last second sees every switch."""
    for offset_s in (*range(900, interval_s, 900), interval_s - 1):
        later = rate_of_intervals(rows.starts_at_s + offset_s, charge.calendar, part.tariff.zone)
        is_cut = later != rate_index
        if is_cut.any():
            at = from_seconds(int(rows.starts_at_s[is_cut][0])).isoformat()
            raise UnableToBill("billing.interval-straddles-switch", component=charge.id, at=at)


def _advance(count: TierCount, charge: EnergyCharge, stretch: Stretch) -> None:
    for rate, energy_milliwh in zip(charge.rates, energy_by_rate(stretch, len(charge.rates)), strict=True):
        count.total_milliwh += energy_milliwh
        count.by_rate_milliwh[rate.code] = count.by_rate_milliwh.get(rate.code, 0) + energy_milliwh


def _trace(charge: EnergyCharge, part: Slice, usage: Usage, cell: Cell, first: date, end: date) -> Trace:
    counter_from, counter_to = cell.counter_milliwh or (None, None)
    return Trace(
        series_id=usage.series_id,
        run_id=usage.run_id,
        starts_at=local_midnight(first, part.tariff.zone),
        ends_at=local_midnight(end, part.tariff.zone),
        interval_count=cell.interval_count,
        rate_code=charge.rates[cell.rate_index].code,
        counter_from_milliwh=counter_from,
        counter_to_milliwh=counter_to,
    )


def _line(charge: EnergyCharge, part: Slice, cell: Cell, trace: Trace) -> BillLine:
    rate = charge.rates[cell.rate_index]
    price = rate.price_per_kwh[cell.tier_index]
    amount = Fraction(price) * Fraction(cell.quantity_milliwh, _MILLIWH_PER_KWH)
    return BillLine(
        component_id=charge.id,
        label_code=charge.label_code,
        tariff_key=part.tariff.key,
        unit_price=price,
        amount=amount,
        amount_minor=fraction_to_minor(amount, part.tariff.currency),
        unit_code="kwh",
        rate_code=rate.code,
        tier=None if charge.tiers is None else cell.tier_index + 1,
        quantity_milliwh=cell.quantity_milliwh,
        estimated_share=cell.estimated_share,
        trace=trace,
    )
