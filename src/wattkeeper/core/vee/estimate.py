"""Estimation: a value for each missing interval, beside what was measured, scaled to the registers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.apportion import apportion
from wattkeeper.core.vee.like_days import DayTable

LINEAR_MAX_S = 7200
BAD_END_FLAGS = Flag.POWER_LOST | Flag.SUSPECT


@dataclass(frozen=True, slots=True)
class DayCalendar:
    """The wall clock and the public holidays of a usage point."""

    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Shape:
    """An unscaled estimate of a gap: energy and `Method` of each interval."""

    energy_milliwh: list[int]
    method: list[int]


def interpolate(before_milliwh: int, after_milliwh: int, count: int) -> list[int]:
    """Return `count` values on the straight line between two neighbours, times count + 1, so that they are
    whole.

    E1: ``E_k = a + (b - a) k / (n + 1)``; California: point to point for at most two hours.
    """
    rise = after_milliwh - before_milliwh
    return [before_milliwh * (count + 1) + rise * k for k in range(1, count + 1)]


def estimate(intervals: Intervals, calendar: DayCalendar, gaps: Sequence[Gap]) -> Intervals:
    """Return `intervals` with an estimate for each of `gaps` of which anything is known; the rest untouched.

    All of `intervals` is history to learn from. Order: linear up to two hours between two good neighbours,
    like day, average like day, even spread; then scaled to the registers' advance, where it is known, so that
    the estimates sum to it exactly (REGISTER_BRACKETED where both reads are actual). Gaps that nothing is
    known about stay MISSING and stay in `gaps` of the result.
    """
    if not gaps:
        return intervals
    days = DayTable.build(intervals, calendar.zone, calendar.holidays)
    value, method = intervals.value_milliwh.copy(), intervals.method.copy()
    provenance, flags = intervals.provenance.copy(), intervals.flags.copy()
    for gap in gaps:
        estimated = _estimate_gap(intervals, days, gap)
        if estimated is None:
            continue
        span = slice(gap.first_index, gap.end_index)
        value[span], method[span] = estimated.energy_milliwh, estimated.method
        provenance[span] = Provenance.ESTIMATED
        flags[span] = Flag.REGISTER_BRACKETED if gap.energy_milliwh is not None and gap.is_exact else 0
    still_open = tuple(
        gap for gap in intervals.gaps if (provenance[gap.first_index : gap.end_index] == 0).any()
    )
    return replace(
        intervals, value_milliwh=value, provenance=provenance, flags=flags, method=method, gaps=still_open
    )


def _estimate_gap(intervals: Intervals, days: DayTable, gap: Gap) -> Shape | None:
    count = gap.end_index - gap.first_index
    line = line_over(intervals, gap)
    if line is not None:
        if gap.energy_milliwh is None:
            energy = [scaled // (count + 1) for scaled in line]
        else:
            energy = apportion(line, gap.energy_milliwh)
        return Shape(energy, [Method.LINEAR] * count)
    shape = shape_by_days(days, gap)
    if gap.energy_milliwh is None:
        return shape
    if shape is None:
        return Shape(apportion([1] * count, gap.energy_milliwh), [Method.EVEN_SPREAD] * count)
    if not any(shape.energy_milliwh):
        return Shape(apportion(shape.energy_milliwh, gap.energy_milliwh), [Method.EVEN_SPREAD] * count)
    return Shape(apportion(shape.energy_milliwh, gap.energy_milliwh), shape.method)


def line_over(intervals: Intervals, gap: Gap) -> list[int] | None:
    """Return the interpolated shape of a short gap between two good neighbours, else None."""
    count = gap.end_index - gap.first_index
    before, after = gap.first_index - 1, gap.end_index
    if count * intervals.interval_s > LINEAR_MAX_S or before < 0 or after >= len(intervals):
        return None
    if not (is_end_point(intervals, before) and is_end_point(intervals, after)):
        return None
    return interpolate(int(intervals.value_milliwh[before]), int(intervals.value_milliwh[after]), count)


def is_end_point(intervals: Intervals, index: int) -> bool:
    """Whether an interval may end a line: measured, and without a power failure (California)."""
    is_measured = intervals.provenance[index] == Provenance.MEASURED
    return bool(is_measured and not intervals.flags[index] & BAD_END_FLAGS)


def shape_by_days(days: DayTable, gap: Gap) -> Shape | None:
    """Return the like-day shape of a gap, day by day, or None where no slot has any comparable day.

    Slots that no comparable day holds take the mean of those that have one.
    """
    places = np.arange(gap.first_index, gap.end_index)
    energy, method = np.zeros(len(places), dtype=np.int64), np.zeros(len(places), dtype=np.int64)
    has = np.zeros(len(places), dtype=np.bool_)
    for day in np.unique(days.day[places]).tolist():
        inside = days.day[places] == day
        slots = days.slot[places[inside]]
        row = days.find_like_day(day)
        if row is not None:
            energy[inside], has[inside] = days.energy_milliwh[row, slots], True
            method[inside] = Method.LIKE_DAY
        else:
            means, is_known = days.average(day)
            energy[inside], has[inside] = means[slots], is_known[slots]
            method[inside] = Method.AVERAGE_LIKE_DAY
    if not has.any():
        return None
    method[~has] = Method.EVEN_SPREAD
    energy[~has] = int(energy[has].sum()) // int(has.sum())
    return Shape(energy.tolist(), method.tolist())
