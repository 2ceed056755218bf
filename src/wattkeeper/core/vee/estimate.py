"""Estimation: a value for each missing interval, beside what was measured, scaled to the registers.

The order, for each gap: check meter, known zero and network balance (candidates before); a straight line of
up to two hours between two good neighbours (E1); like day (E2), average like day (E3); previous year (E5) and
daily load (E8, candidates after); the class profile of the rule set (E6); a flat line from one good
neighbour; zero, if the rule set says so. Each interval takes the first that knows it. Where two registers
bracket the gap the result is scaled to their advance (E4), to the last milliwatt-hour; where registers were
read inside it as they were exchanged, set anew or multiplied otherwise, each side of that to its own.

End points of a line are measured intervals without a power failure (California, CPUC working group). With a
failure on one side the gap goes on to the next method, and only where none knows anything does it take the
flat line of the other side; with a failure on both sides a gap of up to two hours was dark: zero, unless the
registers moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.apportion import apportion
from wattkeeper.core.vee.candidates import NO_CANDIDATES, Candidate, Candidates
from wattkeeper.core.vee.like_days import DayTable
from wattkeeper.core.vee.rule_set import Estimation
from wattkeeper.core.vee.table import Mask

LINEAR_MAX_S = 7200
BAD_END_FLAGS = Flag.POWER_LOST | Flag.SUSPECT
DEFAULT_ESTIMATION = Estimation()


@dataclass(frozen=True, slots=True)
class DayCalendar:
    """The wall clock and the public holidays of a usage point."""

    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()


@dataclass(slots=True, eq=False)
class Shape:
    """A gap being filled: unscaled energy, `Method`, and which intervals know theirs; shape (intervals,)."""

    places: NDArray[np.intp]
    energy_milliwh: Int64s
    method: Int64s
    is_known: Mask

    @classmethod
    def over(cls, gap: Gap) -> "Shape":
        """Return a shape that knows nothing yet."""
        count = gap.end_index - gap.first_index
        nothing = np.zeros(count, dtype=np.int64)
        places = np.arange(gap.first_index, gap.end_index)
        return cls(places, nothing, nothing.copy(), np.zeros(count, dtype=np.bool_))

    def part(self, first: int, end: int) -> "Shape":
        """Return the intervals ``[first, end)`` of the gap: what is filled there is filled here."""
        inside = slice(first, end)
        return Shape(
            self.places[inside], self.energy_milliwh[inside], self.method[inside], self.is_known[inside]
        )

    def fill(self, energy_milliwh: Int64s, is_known: Mask, method: Method) -> None:
        """Take what `method` knows for the intervals that know nothing yet."""
        fills = is_known & ~self.is_known
        self.energy_milliwh[fills], self.method[fills] = energy_milliwh[fills], method
        self.is_known |= fills

    def take(self, candidates: Sequence[Candidate]) -> None:
        """Take what candidates know, in their order."""
        for candidate in candidates:
            if not self.is_known.all():
                known = candidate.is_known[self.places]
                self.fill(candidate.energy_milliwh[self.places], known, candidate.method)


def interpolate(before_milliwh: int, after_milliwh: int, count: int) -> list[int]:
    """Return `count` values on the straight line between two neighbours, times count + 1, so that they are
    whole.

    E1: ``E_k = a + (b - a) k / (n + 1)``; California: point to point for at most two hours.
    """
    rise = after_milliwh - before_milliwh
    return [before_milliwh * (count + 1) + rise * k for k in range(1, count + 1)]


def estimate(
    intervals: Intervals,
    calendar: DayCalendar,
    gaps: Sequence[Gap],
    *,
    candidates: Candidates = NO_CANDIDATES,
    estimation: Estimation = DEFAULT_ESTIMATION,
) -> Intervals:
    """Return `intervals` with an estimate for each of `gaps` of which anything is known; the rest untouched.

    All of `intervals` is history to learn from; `candidates` have one element for each interval. Estimates
    between two actual reads are REGISTER_BRACKETED and sum to their advance. Gaps that nothing is known about
    stay MISSING and stay in `gaps` of the result.

    :raises UnableToEstimate: if registers bracket a gap with a negative energy
    """
    if not gaps:
        return intervals
    days = DayTable.build(intervals, calendar.zone, calendar.holidays)
    if estimation.profile is not None:
        profile = estimation.profile.candidate(
            intervals.starts_at_s, intervals.interval_s, calendar.zone, calendar.holidays
        )
        candidates = replace(candidates, after=(*candidates.after, profile))
    value, method = intervals.value_milliwh.copy(), intervals.method.copy()
    provenance, flags = intervals.provenance.copy(), intervals.flags.copy()
    for gap in gaps:
        estimated = _estimate_gap(intervals, days, gap, candidates, estimation)
        if estimated is None:
            continue
        span = estimated.places[estimated.is_known]
        value[span] = estimated.energy_milliwh[estimated.is_known]
        method[span] = estimated.method[estimated.is_known]
        provenance[span] = Provenance.ESTIMATED
        flags[span] = Flag.REGISTER_BRACKETED if gap.energy_milliwh is not None and gap.is_exact else 0
    still_open = tuple(
        gap for gap in intervals.gaps if (provenance[gap.first_index : gap.end_index] == 0).any()
    )
    return replace(
        intervals, value_milliwh=value, provenance=provenance, flags=flags, method=method, gaps=still_open
    )


def _estimate_gap(
    intervals: Intervals, days: DayTable, gap: Gap, candidates: Candidates, estimation: Estimation
) -> Shape | None:
    shape = Shape.over(gap)
    shape.take(candidates.before)
    if not shape.is_known.all():
        line = line_over(intervals, gap, linear_max_s=estimation.linear_max_s)
        if line is not None and not shape.is_known.any():
            return _on_line(shape, gap, line, intervals.interval_s)
        if line is not None:  # what the candidates leave lies on the line, unscaled as they are
            shape.fill(np.array(line, dtype=np.int64) // (len(line) + 1), ~shape.is_known, Method.LINEAR)
        elif is_dark(intervals, gap, linear_max_s=estimation.linear_max_s):
            shape.fill(np.zeros_like(shape.energy_milliwh), ~shape.is_known, Method.KNOWN_ZERO)
    if not shape.is_known.all():
        take_days(shape, days, is_average_first=estimation.is_average_first)
        shape.take(candidates.after)
    _take_last(shape, intervals, gap, estimation)
    return _scale(shape, gap, intervals.interval_s)


def _on_line(shape: Shape, gap: Gap, line: list[int], interval_s: int) -> Shape:
    if gap.energy_milliwh is None:
        energy = [scaled // (len(line) + 1) for scaled in line]
    else:
        energy, _ = _share_out(line, gap, interval_s)
    shape.fill(np.array(energy, dtype=np.int64), ~shape.is_known, Method.LINEAR)
    return shape


def _take_last(shape: Shape, intervals: Intervals, gap: Gap, estimation: Estimation) -> None:
    """Fill a gap of which no method knows anything with a flat line; if wanted, what is left with zero."""
    neighbour = (
        None if shape.is_known.any() else _find_only_neighbour(intervals, gap, estimation.linear_max_s)
    )
    if neighbour is not None:
        flat = np.full_like(shape.energy_milliwh, intervals.value_milliwh[neighbour])
        shape.fill(flat, ~shape.is_known, Method.FLAT_LINE)
    elif estimation.is_zero_last and gap.energy_milliwh is None:
        shape.fill(np.zeros_like(shape.energy_milliwh), ~shape.is_known, Method.KNOWN_ZERO)


def _scale(shape: Shape, gap: Gap, interval_s: int) -> Shape | None:
    """Give intervals that know nothing the mean of the others, and all of them the registers' energy (E4).

    Where no registers bracket the gap they stay unknown: how far such a gap reaches is nothing to learn from.
    """
    known_count = int(shape.is_known.sum())
    if gap.energy_milliwh is None:
        return shape if known_count else None
    mean = np.full_like(shape.energy_milliwh, int(shape.energy_milliwh.sum()) // max(1, known_count))
    shape.fill(mean, ~shape.is_known, Method.EVEN_SPREAD)
    energy, is_even = _share_out(shape.energy_milliwh.tolist(), gap, interval_s)
    shape.energy_milliwh[:], shape.method[is_even] = energy, Method.EVEN_SPREAD
    return shape


def _share_out(shape: Sequence[int], gap: Gap, interval_s: int) -> tuple[list[int], Mask]:
    """Return the registers' energy by a shape, between each two reads their own, and where it lies evenly.

    An interval that a cut lies in counts on each side of it by its seconds there, and is the sum of both.
    """
    energy, is_even = [0] * len(shape), np.zeros(len(shape), dtype=np.bool_)
    whole = len(shape) * interval_s, gap.energy_milliwh or 0
    for (from_s, before), (to_s, until) in pairwise([(0, 0), *gap.cuts, whole]):
        inside = range(from_s // interval_s, -(-to_s // interval_s))
        seconds = [min(to_s, (i + 1) * interval_s) - max(from_s, i * interval_s) for i in inside]
        parts = [shape[i] * own_s for i, own_s in zip(inside, seconds, strict=True)]
        if until > before and not any(parts):
            parts, is_even[inside.start : inside.stop] = seconds, True
        for i, share in zip(inside, apportion(parts, until - before), strict=True):
            energy[i] += share
    return energy, is_even


def line_over(intervals: Intervals, gap: Gap, *, linear_max_s: int = LINEAR_MAX_S) -> list[int] | None:
    """Return the interpolated shape of a short gap between two good neighbours, else None."""
    if not _is_short_inside(intervals, gap, linear_max_s):
        return None
    before, after = gap.first_index - 1, gap.end_index
    if not (is_end_point(intervals, before) and is_end_point(intervals, after)):
        return None
    count = gap.end_index - gap.first_index
    return interpolate(int(intervals.value_milliwh[before]), int(intervals.value_milliwh[after]), count)


def is_end_point(intervals: Intervals, index: int) -> bool:
    """Whether an interval may end a line: measured, and without a power failure (California)."""
    is_measured = intervals.provenance[index] == Provenance.MEASURED
    return bool(is_measured and not intervals.flags[index] & BAD_END_FLAGS)


def is_dark(intervals: Intervals, gap: Gap, *, linear_max_s: int = LINEAR_MAX_S) -> bool:
    """Whether a short gap lies between two intervals with a power failure and no register moved (CPUC)."""
    if gap.energy_milliwh or not _is_short_inside(intervals, gap, linear_max_s):
        return False
    ends = [gap.first_index - 1, gap.end_index]
    return bool(((intervals.flags[ends] & Flag.POWER_LOST) != 0).all())


def _is_short_inside(intervals: Intervals, gap: Gap, linear_max_s: int) -> bool:
    is_short = (gap.end_index - gap.first_index) * intervals.interval_s <= linear_max_s
    return is_short and gap.first_index > 0 and gap.end_index < len(intervals)


def _find_only_neighbour(intervals: Intervals, gap: Gap, linear_max_s: int) -> int | None:
    """Return the good neighbour of a short gap that has one, the one before if both are."""
    if (gap.end_index - gap.first_index) * intervals.interval_s > linear_max_s:
        return None
    inside = [index for index in (gap.first_index - 1, gap.end_index) if 0 <= index < len(intervals)]
    return next((index for index in inside if is_end_point(intervals, index)), None)


def take_days(shape: Shape, days: DayTable, *, is_average_first: bool = False) -> None:
    """Fill a shape from like days (E2) and, slot by slot, from means of comparable days (E3), day by day."""
    day_of = days.day[shape.places]
    bounds = [0, *(np.flatnonzero(np.diff(day_of)) + 1).tolist(), len(day_of)]
    for first, end in pairwise(bounds):
        part, day = shape.part(first, end), int(day_of[first])
        slots = days.slot[part.places]
        row = days.find_like_day(day)
        if row is not None and not is_average_first:
            part.fill(days.energy_milliwh[row, slots], ~part.is_known, Method.LIKE_DAY)
            continue
        means, has_mean = days.average(day)
        part.fill(means[slots], has_mean[slots], Method.AVERAGE_LIKE_DAY)
        if row is not None:
            part.fill(days.energy_milliwh[row, slots], ~part.is_known, Method.LIKE_DAY)
