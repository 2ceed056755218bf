"""Estimates for the gaps of many series at once, with the days around them.

Gap by gap the result is that of `estimate`, to the last milliwatt-hour; a series whose numbers would not fit
64 bits, or that has nothing honest to share over, is named and left to it.
"""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain_table import UNKNOWN, GapColumns, IntervalTable
from wattkeeper.core.vee.estimate import BAD_END_FLAGS, DayCalendar
from wattkeeper.core.vee.plain_days import NO_DAY, PlainDays
from wattkeeper.core.vee.plain_estimate import PRODUCT_MAX, ripe_gaps
from wattkeeper.core.vee.rule_set import Estimation, RuleSet
from wattkeeper.core.vee.table import Mask


def estimate_gaps(
    table: IntervalTable, first: int, end: int, *, calendar: DayCalendar, now_s: int, rules: RuleSet
) -> Mask:
    """Fill the gaps of `table` that touch its intervals ``[first, end)`` and may be estimated by `now_s`.

    All of the table is history to learn from. Returns which series, shape (series,), are left to `estimate`:
    their rows are as they were. What nothing is known of stays MISSING, its method UNFILLED.
    """
    gaps = ripe_gaps(table, now_s - rules.estimate_after_s, touching=(first, end))
    cells = _Cells.of(gaps)
    ends = _Ends.of(table, gaps, rules.estimation.linear_max_s)
    cells.fill(*_on_lines(cells, gaps, ends), ends.has_line, Method.LINEAR)
    cells.fill(cells.energy_milliwh, np.ones(len(cells.gap), dtype=np.bool_), ends.is_dark, Method.KNOWN_ZERO)
    _take_days(cells, PlainDays.of(table, calendar), gaps, ends, rules.estimation)
    if rules.estimation.profile is not None:
        profile = rules.estimation.profile.candidate(
            table.starts_at_s, table.interval_s, calendar.zone, calendar.holidays
        )
        every = np.ones(len(gaps), dtype=np.bool_)
        cells.fill(profile.energy_milliwh[cells.place], profile.is_known[cells.place], every, profile.method)
    _take_last(cells, gaps, ends, rules.estimation)
    is_left = np.zeros(len(table), dtype=np.bool_)
    is_left[gaps.row[_scale(cells, gaps, ends)]] = True
    _write(table, cells, gaps, ~is_left[gaps.row])
    return is_left


@dataclass(slots=True, eq=False)
class _Cells:
    """The intervals of all gaps, one after the other; int64 of shape (cells,).

    `gap`: which gap; `place`: of the gap's row, which interval; `offset`: which of its gap, from 0. Unscaled
    energy, `Method` and whether it is known, as in `Shape`. `starts` (gaps,): the first cell of each gap.
    """

    gap: Int64s
    place: Int64s
    offset: Int64s
    starts: Int64s
    energy_milliwh: Int64s
    method: Int64s
    is_known: Mask

    @classmethod
    def of(cls, gaps: GapColumns) -> "_Cells":
        count = gaps.end_index - gaps.first_index
        gap = np.repeat(np.arange(len(gaps)), count)
        starts = np.cumsum(count) - count
        offset = np.arange(len(gap)) - starts[gap]
        energy, method = np.zeros((2, len(gap)), dtype=np.int64)
        is_known = np.zeros(len(gap), dtype=np.bool_)
        return cls(gap, gaps.first_index[gap] + offset, offset, starts, energy, method, is_known)

    def fill(self, energy_milliwh: Int64s, is_known: Mask, of_gaps: Mask, method: Method) -> None:
        """Take what a method knows of the cells of some gaps that know nothing yet."""
        fills = is_known & of_gaps[self.gap] & ~self.is_known
        self.energy_milliwh[fills], self.method[fills] = energy_milliwh[fills], method
        self.is_known |= fills

    def sums(self, values: Int64s | Mask) -> Int64s:
        """Return the sums of some values over the cells of each gap."""
        if not len(self.starts):
            return np.zeros(0, dtype=np.int64)
        result: Int64s = np.add.reduceat(values, self.starts, dtype=np.int64)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """What lies beside each gap, shape (gaps,): good neighbours, their values, short and dark gaps."""

    is_short: Mask
    is_good: tuple[Mask, Mask]
    value_milliwh: tuple[Int64s, Int64s]
    has_line: Mask
    is_dark: Mask

    @classmethod
    def of(cls, table: IntervalTable, gaps: GapColumns, linear_max_s: int) -> "_Ends":
        width = table.value_milliwh.shape[1]
        is_short = (gaps.end_index - gaps.first_index) * table.interval_s <= linear_max_s
        is_good, value, is_lost = [], [], []
        for place, is_inside in (
            (gaps.first_index - 1, gaps.first_index > 0),
            (gaps.end_index, gaps.end_index < width),
        ):
            at = gaps.row, np.where(is_inside, place, 0)
            flags = table.flags[at]
            is_lost.append(is_inside & ((flags & int(Flag.POWER_LOST)) != 0))
            is_measured = table.provenance[at] == Provenance.MEASURED
            is_good.append(is_inside & is_measured & ((flags & int(BAD_END_FLAGS)) == 0))
            value.append(np.where(is_good[-1], table.value_milliwh[at], 0))
        has_line = is_short & is_good[0] & is_good[1]
        is_still = (gaps.energy_milliwh == UNKNOWN) | (gaps.energy_milliwh == 0)
        is_dark = is_short & is_lost[0] & is_lost[1] & is_still & ~has_line
        return cls(is_short, (is_good[0], is_good[1]), (value[0], value[1]), has_line, is_dark)


def _on_lines(cells: _Cells, gaps: GapColumns, ends: _Ends) -> tuple[Int64s, Mask]:
    """Return the straight line over each gap (E1), times its length plus one where registers scale it."""
    before, after = ends.value_milliwh
    parts = gaps.end_index - gaps.first_index + 1
    rise = (after - before)[cells.gap] * (cells.offset + 1)
    line = before[cells.gap] * parts[cells.gap] + rise
    is_scaled = gaps.energy_milliwh[cells.gap] != UNKNOWN
    energy = np.where(is_scaled, line, line // parts[cells.gap])
    return energy, np.ones(len(energy), dtype=np.bool_)


def _take_days(cells: _Cells, days: PlainDays, gaps: GapColumns, ends: _Ends, estimation: Estimation) -> None:
    """Fill cells from like days (E2) and, slot by slot, from means of comparable days (E3), day by day."""
    is_open = ~(ends.has_line | ends.is_dark)[cells.gap]
    day_of = days.day[cells.place]
    for day in np.unique(day_of[is_open]).tolist():
        inside = np.flatnonzero(is_open & (day_of == day))
        rows, own = np.unique(gaps.row[cells.gap[inside]], return_inverse=True)
        slot = days.slot[cells.place[inside]]
        likes = days.find_like_days(rows, day)
        has_like = likes != NO_DAY
        like = np.where(has_like[own], days.energy_milliwh[rows[own], likes[own], slot], 0)
        wanted = np.flatnonzero(~has_like | estimation.is_average_first)
        mean = np.zeros((len(rows), days.energy_milliwh.shape[2]), dtype=np.int64)
        has_mean = np.zeros(mean.shape, dtype=np.bool_)
        if len(wanted):
            mean[wanted], has_mean[wanted] = days.average(rows[wanted], day)
        is_mean = has_mean[own, slot]
        cells.energy_milliwh[inside] = np.where(is_mean, mean[own, slot], like)
        method = np.where(is_mean, int(Method.AVERAGE_LIKE_DAY), int(Method.LIKE_DAY))
        cells.is_known[inside] = is_mean | has_like[own]
        cells.method[inside] = np.where(cells.is_known[inside], method, int(Method.NONE))


def _take_last(cells: _Cells, gaps: GapColumns, ends: _Ends, estimation: Estimation) -> None:
    """Fill gaps of which no method knows anything with a flat line; if wanted, what is left with zero."""
    is_unknown = cells.sums(cells.is_known) == 0
    is_flat = is_unknown & ends.is_short & (ends.is_good[0] | ends.is_good[1])
    flat = np.where(ends.is_good[0], *ends.value_milliwh)[cells.gap]
    every = np.ones(len(cells.gap), dtype=np.bool_)
    cells.fill(flat, every, is_flat, Method.FLAT_LINE)
    if estimation.is_zero_last:
        is_zero = ~is_flat & (gaps.energy_milliwh == UNKNOWN)
        cells.fill(np.zeros_like(flat), every, is_zero, Method.KNOWN_ZERO)


def _scale(cells: _Cells, gaps: GapColumns, ends: _Ends) -> Mask:
    """Scale what registers bracket to their energy (E4) and return the gaps that this can't be done for.

    Cells that know nothing get the mean of the others of their gap first; a shape of nothing is spread
    evenly.
    """
    is_scaled: Mask = gaps.energy_milliwh != UNKNOWN
    known_count = cells.sums(cells.is_known)
    mean = cells.sums(cells.energy_milliwh) // np.maximum(1, known_count)
    cells.fill(mean[cells.gap], np.ones(len(cells.gap), dtype=np.bool_), is_scaled, Method.EVEN_SPREAD)
    if not len(gaps):
        return is_scaled
    largest = np.maximum.reduceat(cells.energy_milliwh, cells.starts)
    least = np.minimum.reduceat(cells.energy_milliwh, cells.starts)
    is_even = is_scaled & (largest == 0) & (gaps.energy_milliwh > 0) & ~ends.has_line
    cells.method[is_even[cells.gap]] = Method.EVEN_SPREAD
    energy = np.where(is_scaled, gaps.energy_milliwh, 0)
    is_hard = is_scaled & ((least < 0) | (gaps.energy_milliwh < 0))
    is_hard |= (
        largest.astype(np.float64) * np.maximum(energy, gaps.end_index - gaps.first_index) >= PRODUCT_MAX
    )
    _share_out(cells, energy, is_scaled & ~is_hard)
    return is_hard


def _share_out(cells: _Cells, energy_milliwh: Int64s, chosen: Mask) -> None:
    """Give the cells of the chosen gaps their shares of its energy, by largest remainder; as `apportion`."""
    inside = np.flatnonzero(chosen[cells.gap])
    if not len(inside):
        return
    gap, shape = cells.gap[inside], cells.energy_milliwh[inside]
    starts = np.flatnonzero(np.diff(gap, prepend=-1))
    count = np.diff(starts, append=len(gap))
    total = np.add.reduceat(shape, starts)
    shape = np.where(np.repeat(total == 0, count), 1, shape)
    total = np.where(total == 0, count, total)
    share, remainder = np.divmod(shape * energy_milliwh[gap], np.repeat(total, count))
    left = energy_milliwh[gap[starts]] - np.add.reduceat(share, starts)
    order = np.lexsort((-remainder, gap))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - np.repeat(starts, count)
    cells.energy_milliwh[inside] = share + (rank < np.repeat(left, count))


def _write(table: IntervalTable, cells: _Cells, gaps: GapColumns, chosen: Mask) -> None:
    """Put what is known of the chosen gaps into the table; what is not waits for something to learn from."""
    row, is_chosen = gaps.row[cells.gap], chosen[cells.gap]
    known = np.flatnonzero(cells.is_known & is_chosen)
    at = row[known], cells.place[known]
    table.value_milliwh[at] = cells.energy_milliwh[known]
    table.method[at] = cells.method[known]
    table.provenance[at] = Provenance.ESTIMATED
    is_exact = gaps.is_exact & (gaps.energy_milliwh != UNKNOWN)
    table.flags[at] = np.where(is_exact, int(Flag.REGISTER_BRACKETED), 0)[cells.gap[known]]
    at = row, cells.place
    waits = np.flatnonzero(is_chosen & ~cells.is_known & table.is_missing[at])
    table.method[row[waits], cells.place[waits]] = Method.UNFILLED
