"""Which dirty windows can be derived together: plain series of one grid, place and span."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.claims import ClaimedWindows
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.kinds import find_kinds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.near import find_near
from wattkeeper.core.readings.plain import ReadTable
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.pipeline.ports import ManySeries, PlainSeries
from wattkeeper.pipeline.window import (
    CONTEXT_S,
    LEARNT_METHODS,
    align,
    learning_span,
    may_have_learnt,
    span_with,
)

SLACK_S = 3600  # an exchange this near to the reads around a window may lend it one
REACH_S = CONTEXT_S + SLACK_S
PART_DAYS_COUNT = 8192  # series times days of one matrix
MINUTE_S = 60
NOTHING = -1


@dataclass(frozen=True, slots=True)
class PlainGrid:
    """Where the intervals and days of a group begin; `rules` None: judged by the rule set of the run."""

    interval_s: int
    calendar: DayCalendar
    rules: RuleSet | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The wall clock of the days."""
        return self.calendar.zone


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Plain series to derive over one span; `step_s`: how far the next step outwards goes at least.

    `needed`: what has to be derived, where the span is wider to hold its gaps. `changed_s`: first instant and
    end of what changed of each, shape (2, series); None once the span holds the reads beside it.
    """

    series: PlainSeries
    grid: PlainGrid
    span: Span
    step_s: int = DAY_S
    needed: Span | None = None
    changed_s: Int64s | None = None

    def take(self, rows: "NDArray[np.intp] | NDArray[np.bool_]") -> "Group":
        """Return the group of some of its series."""
        changed_s = None if self.changed_s is None else self.changed_s[:, rows]
        return replace(self, series=self.series.take(rows), changed_s=changed_s)

    def holds_over(self, span: Span) -> NDArray[np.bool_]:
        """Which series have the same facts throughout a span and the reads around it, shape (series,)."""
        result: NDArray[np.bool_] = (self.series.holds_from_s <= span[0] - REACH_S) & (
            self.series.holds_to_s >= span[1] + REACH_S
        )
        return result


def group_windows(many: ManySeries, windows: ClaimedWindows, now_s: int) -> tuple[list[Group], Int64s]:
    """Return the groups and the ids of the series that belong to none, in rising order.

    A series whose windows hold no interval that is over by `now_s` is in neither: it has nothing to derive.
    """
    ids, row_of = np.unique(windows.series_id, return_inverse=True)
    earliest_s = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(earliest_s, row_of, windows.from_s)
    plain = many.get_plain(ids, earliest_s)
    plain = plain.take(np.argsort(plain.facts.series_id))
    place = np.full(len(ids), NOTHING)
    place[np.searchsorted(ids, plain.facts.series_id)] = np.arange(len(plain))
    row = place[row_of]
    is_plain = row >= 0
    row, from_s, to_s = row[is_plain], windows.from_s[is_plain], windows.to_s[is_plain]
    changed_s = np.full((2, len(plain)), np.iinfo(np.int64).max)
    np.minimum.at(changed_s[0], row, from_s)
    changed_s[1] = 0
    np.maximum.at(changed_s[1], row, to_s)
    from_s, to_s = _align_all(plain, row, from_s, to_s, now_s)
    first_s, end_s, is_scattered = _join(len(plain), row, from_s, to_s)
    is_rest = is_scattered.copy()
    groups: list[Group] = []
    for group, rows in _split(plain, first_s, end_s, ~is_scattered & (end_s > first_s)):
        own = replace(group, changed_s=changed_s[:, rows])
        for each, inside in by_span(own, widen_to_learnt(many, own, now_s)):
            held = each.holds_over(each.span)
            is_rest[rows[inside[~held]]] = True
            groups += in_parts(each, np.flatnonzero(held))
    rest = np.concatenate((ids[place < 0], plain.facts.series_id[is_rest]))
    return groups, np.sort(rest)


def in_parts(group: Group, rows: NDArray[np.intp]) -> Iterator[Group]:
    """Yield some rows of a group, so many at a time that what the store says of them is less than 32 MiB.

    From there on the C library fetches fresh memory for every answer, which takes as long as to read it.
    """
    count = max(1, PART_DAYS_COUNT * DAY_S // (group.span[1] - group.span[0]))
    for start in range(0, len(rows), count):
        yield group.take(rows[start : start + count])


def _align_all(
    plain: PlainSeries, row: Int64s, from_s: Int64s, to_s: Int64s, now_s: int
) -> tuple[Int64s, Int64s]:
    """Return every window as whole local days; an empty one where none of it is over."""
    keys = np.stack((plain.calendar_index[row], plain.interval_s[row], from_s, to_s))
    firsts, kind_of = find_kinds(keys)
    spans = np.zeros((len(firsts), 2), dtype=np.int64)
    for i, (calendar, interval_s, first_s, end_s) in enumerate(keys[:, firsts].T.tolist()):
        grid = PlainGrid(interval_s, plain.calendars[calendar])
        spans[i] = align((first_s, end_s), grid, now_s) or (0, 0)
    aligned = spans[kind_of]
    return aligned[:, 0], aligned[:, 1]


def _join(count: int, row: Int64s, from_s: Int64s, to_s: Int64s) -> tuple[Int64s, Int64s, NDArray[np.bool_]]:
    """Return the span of each row's windows together, and which rows have windows that do not touch."""
    is_any = to_s > from_s
    order = np.lexsort((from_s[is_any], row[is_any]))
    row, from_s, to_s = row[is_any][order], from_s[is_any][order], to_s[is_any][order]
    first_s, end_s = np.zeros((2, count), dtype=np.int64)
    is_scattered = np.zeros(count, dtype=np.bool_)
    starts = np.flatnonzero(np.diff(row, prepend=NOTHING))
    first_s[row[starts]] = from_s[starts]
    if len(starts):
        end_s[row[starts]] = np.maximum.reduceat(to_s, starts)
    again = np.flatnonzero(np.diff(row, append=NOTHING) == 0)
    reached_s = _reached(row, to_s)
    is_scattered[row[again[from_s[again + 1] > reached_s[again]]]] = True
    return first_s, end_s, is_scattered


def _reached(row: Int64s, to_s: Int64s) -> Int64s:
    """Return the latest end so far among the windows of the same row."""
    least_s = int(to_s.min()) if len(to_s) else 0
    width_s = int(to_s.max()) - least_s + 1 if len(to_s) else 1
    lifted = row * width_s + (to_s - least_s)
    result: Int64s = np.maximum.accumulate(lifted) - row * width_s + least_s
    return result


def _split(
    plain: PlainSeries, first_s: Int64s, end_s: Int64s, chosen: NDArray[np.bool_]
) -> Iterator[tuple[Group, NDArray[np.intp]]]:
    """Yield the chosen rows by grid, calendar and span, each with its places."""
    rows = np.flatnonzero(chosen)
    keys = np.stack((plain.calendar_index, plain.interval_s, first_s, end_s))[:, rows]
    firsts, kind_of = find_kinds(keys)
    for i, (calendar, interval_s, from_s, to_s) in enumerate(keys[:, firsts].T.tolist()):
        inside = rows[kind_of == i]
        grid = PlainGrid(interval_s, plain.calendars[calendar], plain.rules_of(calendar))
        yield (
            Group(plain.take(inside), grid, (from_s, to_s)),
            inside,
        )


def widen_to_learnt(many: ManySeries, group: Group, now_s: int) -> list[Span]:
    """Return each series' span with every stored estimate that may have learnt from its days."""
    spans = [group.span] * len(group.series)
    ids = group.series.facts.series_id
    rows = many.find_methods(ids, *learning_span(group.span), LEARNT_METHODS)
    rows = rows.where(may_have_learnt(rows.starts_at_s, rows.method, group.span))
    series_id, starts_at_s = rows.series_id, rows.starts_at_s
    known: dict[Span, Span] = {}
    for row in np.unique(np.searchsorted(ids, series_id)).tolist():
        own_at_s = starts_at_s[series_id == ids[row]]
        outer = int(own_at_s.min()), int(own_at_s.max())
        if outer not in known:
            known[outer] = span_with(group.span, *outer, group.grid, now_s)
        spans[row] = known[outer]
    return spans


def by_span(group: Group, spans: list[Span]) -> Iterator[tuple[Group, NDArray[np.intp]]]:
    """Yield the group cut by the span of each of its series, with the places of those."""
    distinct = set(spans)
    if len(distinct) == 1:
        yield replace(group, span=distinct.pop()), np.arange(len(spans))
        return
    table = np.array(spans)
    for span in sorted(distinct):
        inside = np.flatnonzero((table == span).all(axis=1))
        yield replace(group.take(inside), span=span), inside


def move_to_near(
    many: ManySeries, group: Group, reads: ReadTable, now_s: int
) -> list[tuple[Group, NDArray[np.intp]]]:
    """Return the series of which register reads beside what changed lie beyond the span, by their next span.

    What such reads say may change with it. With their places among those of the group.
    """
    if group.changed_s is None or not len(reads):
        return []
    firsts = np.flatnonzero(np.diff(reads.row, prepend=NOTHING))
    ends = np.append(firsts[1:], len(reads))
    own = reads.row[firsts]
    changed_s = group.changed_s[:, own]
    before_s, after_s = find_near(
        reads.measured_at_s, firsts, ends, (changed_s[0], changed_s[1]), group.grid.interval_s, now_s
    )
    is_beyond = (before_s < group.span[0]) | (after_s >= group.span[1])
    own = own[is_beyond]
    keys = np.stack((before_s, after_s))[:, is_beyond]
    kinds, kind_of = find_kinds(keys // MINUTE_S)  # no day begins within a minute
    hulls = [_hull(group, int(first_s), int(last_s), now_s) for first_s, last_s in keys[:, kinds].T]
    moved: list[tuple[Group, NDArray[np.intp]]] = []
    for hull in sorted(set(hulls) - {group.span}):
        rows = own[np.array([each == hull for each in hulls])[kind_of]]
        wider = replace(group.take(rows), span=hull, changed_s=None)
        moved += [
            (each, rows[inside]) for each, inside in by_span(wider, widen_to_learnt(many, wider, now_s))
        ]
    return moved


def _hull(group: Group, first_s: int, last_s: int, now_s: int) -> Span:
    """Return the span of a group with the days of two instants; what ends with the first stays."""
    outer = align((first_s + group.grid.interval_s, last_s + 1), group.grid, now_s) or group.span
    return min(outer[0], group.span[0]), max(outer[1], group.span[1])
