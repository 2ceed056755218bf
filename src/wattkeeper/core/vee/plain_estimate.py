"""Linear estimates for many series at once: gaps of up to two hours between two good neighbours.

Gap by gap the result is that of `estimate`, to the last milliwatt-hour; what no line closes is named and left
to it.
"""

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain_table import UNKNOWN, GapColumns, IntervalTable
from wattkeeper.core.vee.estimate import BAD_END_FLAGS
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import Mask

PRODUCT_MAX = 2.0**62  # floats are asked only whether a product would pass 64 bits


def estimate_lines(table: IntervalTable, *, now_s: int, rules: RuleSet, is_left: Mask | None = None) -> Mask:
    """Fill the gaps of `table` that a line closes and return which series, shape (series,), need more.

    A series needs more if any of its gaps may be estimated by now and is closed by no line, or if `is_left`
    says so; then none of its gaps is filled here. Rule E1, scaled to the registers by largest remainder (rule
    E4).
    """
    gaps = ripe_gaps(table, now_s - rules.estimate_after_s)
    is_line = _has_line(table, gaps, _linear_max_s(rules))
    needs_more = np.zeros(len(table), dtype=np.bool_) if is_left is None else is_left.copy()
    needs_more[gaps.row[~is_line]] = True
    gaps = gaps.where(is_line & ~needs_more[gaps.row])
    length = gaps.end_index - gaps.first_index
    for count in np.unique(length).tolist():
        _draw_lines(table, gaps.where(length == count), count)
    return needs_more


def ripe_gaps(table: IntervalTable, ripe_s: int, touching: tuple[int, int] | None = None) -> GapColumns:
    """Return what may be estimated of each gap, as `series` has it for one: nothing before the first read.

    `touching`: only of gaps that touch these intervals. What no read follows may be estimated until `ripe_s`.
    """
    gaps = table.gaps
    if touching is not None:
        gaps = gaps.where((touching[0] < gaps.end_index) & (gaps.first_index < touching[1]))
    has_no_start = (gaps.first_index == 0) & (table.position_chain[gaps.row, 0] < 0)
    is_followed = table.position_chain[gaps.row, gaps.end_index] >= 0
    ripe_index = (ripe_s - table.from_s) // table.interval_s
    ripe_end = np.minimum(gaps.end_index, np.maximum(gaps.first_index, ripe_index))
    end = np.where(has_no_start, gaps.first_index, np.where(is_followed, gaps.end_index, ripe_end))
    ripe = GapColumns(gaps.row, gaps.first_index, end, gaps.energy_milliwh, gaps.is_exact)
    return ripe.where(end > gaps.first_index)


def _linear_max_s(rules: RuleSet) -> int:
    return rules.estimation.linear_max_s


def _has_line(table: IntervalTable, gaps: GapColumns, linear_max_s: int) -> Mask:
    """Which gaps are short, bracketed by reads and between two good neighbours, and fit 64 bits."""
    count = gaps.end_index - gaps.first_index
    before, after = gaps.first_index - 1, gaps.end_index
    has_line = (count * table.interval_s <= linear_max_s) & (before >= 0)
    has_line &= (after < table.value_milliwh.shape[1]) & (gaps.energy_milliwh != UNKNOWN)
    largest = np.zeros(len(gaps))
    for neighbour in (before, after):
        place = np.where(has_line, neighbour, 0)
        has_line &= table.provenance[gaps.row, place] == Provenance.MEASURED
        has_line &= (table.flags[gaps.row, place] & int(BAD_END_FLAGS)) == 0
        value = np.where(has_line, table.value_milliwh[gaps.row, place], 0)
        has_line &= value >= 0
        largest = np.maximum(largest, value.astype(np.float64))
    has_line &= largest * (count + 1) * np.maximum(gaps.energy_milliwh, count) < PRODUCT_MAX
    return has_line


def _draw_lines(table: IntervalTable, gaps: GapColumns, count: int) -> None:
    """Fill gaps of `count` intervals each."""
    before = table.value_milliwh[gaps.row, gaps.first_index - 1]
    after = table.value_milliwh[gaps.row, gaps.end_index]
    steps = np.arange(1, count + 1)
    shape = before[:, np.newaxis] * (count + 1) + (after - before)[:, np.newaxis] * steps
    places = (gaps.row[:, np.newaxis], gaps.first_index[:, np.newaxis] + steps - 1)
    table.value_milliwh[places] = apportion_rows(shape, gaps.energy_milliwh)
    table.provenance[places] = Provenance.ESTIMATED
    table.method[places] = Method.LINEAR
    table.flags[places] = np.where(gaps.is_exact, int(Flag.REGISTER_BRACKETED), 0)[:, np.newaxis]


def apportion_rows(shape: Int64s, energy_milliwh: Int64s) -> Int64s:
    """Return `apportion` of each row: `shape` (rows, parts), not negative; `energy_milliwh` (rows,).

    Every product of a part and its energy must fit 64 bits.
    """
    total = shape.sum(axis=1)
    shape = np.where(total[:, np.newaxis] == 0, 1, shape)
    total = np.where(total == 0, shape.shape[1], total)
    shares, remainder = np.divmod(shape * energy_milliwh[:, np.newaxis], total[:, np.newaxis])
    order = np.argsort(-remainder, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(shape.shape[1])[np.newaxis], axis=1)
    left = energy_milliwh - shares.sum(axis=1)
    result: Int64s = shares + (rank < left[:, np.newaxis])
    return result


def mark_validated(
    table: IntervalTable, disputed: list[tuple[int, int, int]], disputing_flags: int = int(Flag.SUSPECT)
) -> None:
    """Flag what was measured, has no disputing flag and lies in none of the `disputed` (row, first, end)."""
    is_valid = table.provenance == Provenance.MEASURED
    if table.flags.any():
        is_valid &= (table.flags & np.int32(disputing_flags)) == 0
    for row, first, end in disputed:
        is_valid[row, first:end] = False
    table.flags |= is_valid.astype(np.int32) * np.int32(Flag.VALIDATED)
