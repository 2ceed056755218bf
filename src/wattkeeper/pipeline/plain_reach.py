"""How far out series derived together go where a gap crosses an end of their span."""

from collections import defaultdict
from collections.abc import Sequence, Set

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain import ReadTable
from wattkeeper.core.readings.plain_table import IntervalTable
from wattkeeper.pipeline.open_gaps import is_far
from wattkeeper.pipeline.plain_groups import NOTHING, Group
from wattkeeper.pipeline.ports import ManySeries
from wattkeeper.pipeline.window import CONTEXT_S, LEARNT_METHODS, span_to_nearest

Rows = NDArray[np.intp]


def next_reads(reads: ReadTable, group: Group) -> Int64s:
    """Return the instant of each series' first read after the span of those at hand, shape (series,)."""
    places = np.flatnonzero(reads.measured_at_s >= group.span[1])
    row = reads.row[places]
    is_first = np.diff(row, prepend=NOTHING) != 0
    next_s = np.full(len(group.series), NOTHING)
    next_s[row[is_first]] = reads.measured_at_s[places[is_first]]
    return next_s


def find_wider(
    many: ManySeries, group: Group, table: IntervalTable, next_s: Int64s, now_s: int
) -> tuple[list[tuple[Group, Rows]], Rows]:
    """Return the series that have a gap across an end of the span, by their next span.

    Apart from them those of which the span lies in the midst of a gap that no read has ended, or was widened
    into one. `next_s`: of `next_reads`.
    """
    before = _find_before(many, group, table)
    after = _find_after(many, group, table, next_s, now_s)
    unended = [row for row, after_s in after.items() if after_s is None or after_s > now_s]
    after |= dict.fromkeys(unended) | _find_standing(many, group, unended, now_s)
    is_inside = {row for row in unended if is_far(before.get(row) or now_s, group.span)}
    is_inside |= _find_beside(group, table, before.keys() | after.keys())
    rows_of: dict[tuple[int | None, int | None], list[int]] = defaultdict(list)
    for row in sorted((before.keys() | after.keys()) - is_inside):
        rows_of[before.get(row), after.get(row)].append(row)
    spans: dict[Span, list[int]] = defaultdict(list)
    for (before_s, after_s), rows in rows_of.items():
        span = span_to_nearest(group.span, before_s, after_s, group.step_s, group.grid, now_s)
        if span != group.span:
            spans[span] += rows
    places = [(span, np.array(sorted(rows))) for span, rows in sorted(spans.items())]
    wider = [
        (Group(group.series.take(rows), group.grid, span, 2 * group.step_s, group.needed or group.span), rows)
        for span, rows in places
    ]
    return wider, np.array(sorted(is_inside), dtype=np.intp)


def _find_beside(group: Group, table: IntervalTable, rows: Set[int]) -> set[int]:
    """Return of some rows those of which a gap crosses an end of the span, but does not touch what is needed.

    Single series leave its other days as they are (`widen_to_gaps`).
    """
    if group.needed is None or not rows:
        return set()
    first, end = np.searchsorted(table.starts_at_s, group.needed).tolist()
    gaps, last = table.gaps, len(table.starts_at_s)
    is_before = (gaps.first_index == 0) & (gaps.end_index <= first) & (table.position_chain[gaps.row, 0] < 0)
    is_after = (
        (gaps.end_index == last) & (gaps.first_index >= end) & (table.position_chain[gaps.row, last] < 0)
    )
    return set(gaps.row[is_before | is_after].tolist()) & rows


def _find_before(many: ManySeries, group: Group, table: IntervalTable) -> dict[int, int | None]:
    """Return by row the nearest read before a span that begins in a gap, None for none."""
    rows = _rows_open_at(table, 0, table.gaps.first_index)
    return _ask_nearest(many, group, rows, group.span[0], is_before=True)


def _find_after(
    many: ManySeries, group: Group, table: IntervalTable, next_s: Int64s, now_s: int
) -> dict[int, int | None]:
    """Return by row the nearest read after a span that ends in a gap, None for none by now.

    The store is asked for what lies beyond the reads at hand alone.
    """
    last = len(table.starts_at_s)
    rows = _rows_open_at(table, last, table.gaps.end_index)
    is_known = next_s[rows] != NOTHING
    after: dict[int, int | None] = dict.fromkeys(rows.tolist())
    after |= dict(zip(rows[is_known].tolist(), next_s[rows[is_known]].tolist(), strict=True))
    beyond_s = group.span[1] + CONTEXT_S
    if beyond_s <= now_s:
        after |= _ask_nearest(many, group, rows[~is_known], beyond_s, is_before=False)
    return after


def _rows_open_at(table: IntervalTable, boundary: int, of_gaps: Rows) -> Rows:
    """Return the rows with a gap at a boundary at which nothing is known."""
    rows = table.gaps.row[of_gaps == boundary]
    result: Rows = np.unique(rows[table.position_chain[rows, boundary] < 0])
    return result


def _ask_nearest(
    many: ManySeries, group: Group, rows: Rows, at_s: int, *, is_before: bool
) -> dict[int, int | None]:
    if not len(rows):
        return {}
    channel_id = group.series.facts.channel_id[rows]
    channels, found_s = many.find_nearest(np.sort(channel_id), at_s, is_before=is_before)
    found = dict(zip(channels.tolist(), found_s.tolist(), strict=True))
    return {row: found.get(channel) for row, channel in zip(rows.tolist(), channel_id.tolist(), strict=True)}


def _find_standing(many: ManySeries, group: Group, rows: Sequence[int], now_s: int) -> dict[int, int]:
    """Return by row the last instant after the span at which something stands in its gap."""
    if not rows or now_s - group.span[1] < group.grid.interval_s:
        return {}
    row_of = dict(zip(group.series.facts.series_id[list(rows)].tolist(), rows, strict=True))
    ids = np.array(sorted(row_of), dtype=np.int64)
    found = many.find_methods(ids, group.span[1], now_s, LEARNT_METHODS)
    order = np.argsort(found.starts_at_s)
    pairs = zip(found.series_id[order].tolist(), found.starts_at_s[order].tolist(), strict=True)
    return {row_of[series_id]: at_s for series_id, at_s in pairs}
