"""Derive, validate and estimate one group of plain series as matrices; what differs from what is stored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.intervals import Intervals, derive_intervals
from wattkeeper.core.readings.plain import NO_MODULUS, ReadTable, derive_plain
from wattkeeper.core.readings.plain_table import IntervalTable, gaps_of, join_gaps
from wattkeeper.core.readings.positions import has_break
from wattkeeper.core.readings.rollups import SpanDays, find_days
from wattkeeper.core.readings.settle import is_early
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.plain_estimate import estimate_lines, mark_validated
from wattkeeper.core.vee.plain_gaps import estimate_gaps
from wattkeeper.core.vee.plain_validate import find_disputed, find_rows_to_estimate, validate_table
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits
from wattkeeper.core.vee.series import estimate_window
from wattkeeper.pipeline.early import find_early
from wattkeeper.pipeline.hints import calendars_with, has_hints
from wattkeeper.pipeline.later import LAST_METHODS, find_later
from wattkeeper.pipeline.plain_groups import Group, in_parts, move_to_near
from wattkeeper.pipeline.plain_reach import find_wider, next_reads
from wattkeeper.pipeline.ports import Hints, ManyReads, ManySeries, MeasurementRows, PlainSeries
from wattkeeper.pipeline.read_rules import judge_table
from wattkeeper.pipeline.window import CONTEXT_S, find_gone, history_span, written_span

Rows = NDArray[np.intp]
TABLE_DAYS_COUNT = 8192  # series times days of history derived together: what bounds memory


@dataclass(frozen=True, slots=True, eq=False)
class DerivedGroup:
    """What became of one group: its table, the rows to append and the findings, each naming its series.

    `early`: from when to when there are reads before their time, by series.
    """

    span: Span
    table: IntervalTable
    rows: MeasurementRows
    findings: list[Finding]
    days: SpanDays
    early: dict[int, Span]


def derive_groups(
    many: ManySeries, groups: list[Group], now_s: int, rules: RuleSet, hints: Hints | None = None
) -> Iterator["DerivedGroup | Int64s"]:
    """Yield each derived group, and the ids of series that turn out to belong to none.

    A series whose gap crosses the end of its span goes on to a wider one, with the others that go there; in
    the midst of a long gap that no read has ended it belongs to none, nor where another gap crosses the end
    of the wider one, nor where its reads contradict each other but for lone ones.
    """
    waiting = list(reversed(groups))
    while waiting:
        group = waiting.pop()
        told = _read_rows(many, group.series, group.span)
        rows = _believed(told, now_s)
        near = move_to_near(many, group, rows, now_s)
        if near:
            yield from _move(waiting, near)
            group, told = _keep_others(group, told, np.concatenate([places for _, places in near]))
            if not len(group.series):
                continue
            rows = _believed(told, now_s)
        table, broken = _derive_rows(group.series, rows, group.span, group.grid.interval_s)
        in_reads = judge_table(
            told, group.series.facts, group.span, group.grid, group.grid.rules or rules, now_s
        )
        early = find_early(group.series.facts.series_id, told, now_s)
        next_s = next_reads(told, group)
        del told, rows
        if len(broken):
            yield group.series.facts.series_id[broken]
            table, group = _leave_out(table, group, broken)
            next_s = np.delete(next_s, broken)
        wider, inside = find_wider(many, group, table, next_s, now_s)
        if wider or len(inside):
            yield group.series.facts.series_id[inside]
            table, group = _leave_out(table, group, np.concatenate([inside, *(rows for _, rows in wider)]))
            yield from _move(waiting, wider)
        if len(group.series):
            yield from _finish(many, group, table, now_s, group.grid.rules or rules, hints, in_reads, early)


def _move(waiting: list[Group], moved: Sequence[tuple[Group, Rows]]) -> Iterator[Int64s]:
    """Let groups wait to be derived; yield the ids of series that cannot be derived together any more."""
    for group, _ in moved:
        held = group.holds_over(group.span)
        if not held.all():
            yield group.series.facts.series_id[~held]
        waiting += in_parts(group, np.flatnonzero(held))


def _keep_others(group: Group, reads: ReadTable, rows: Rows) -> tuple[Group, ReadTable]:
    is_kept = np.ones(len(group.series), dtype=np.bool_)
    is_kept[rows] = False
    others = reads.where(is_kept[reads.row])
    return group.take(is_kept), replace(others, row=(np.cumsum(is_kept) - 1)[others.row])


def _leave_out(table: IntervalTable, group: Group, rows: Rows) -> tuple[IntervalTable, Group]:
    is_kept = np.ones(len(table), dtype=np.bool_)
    is_kept[rows] = False
    return table.take(np.flatnonzero(is_kept)), group.take(is_kept)


def _derive_over(
    many: ManySeries, series: PlainSeries, span: Span, interval_s: int, now_s: int
) -> tuple[IntervalTable, Rows]:
    """Return the table of a span, every row derived: the plain ones together, the others one by one.

    And the rows whose reads contradict each other: farther ones tell which are right.
    """
    return _derive_rows(series, _believed(_read_rows(many, series, span), now_s), span, interval_s)


def _believed(told: ReadTable, now_s: int) -> ReadTable:
    early = is_early(told, now_s)
    return told.where(~early) if early.any() else told


def _read_rows(many: ManySeries, series: PlainSeries, span: Span) -> ReadTable:
    order = np.argsort(series.facts.channel_id)
    channel_id = series.facts.channel_id[order]
    found = many.read_raw(channel_id, span[0] - CONTEXT_S, span[1] + CONTEXT_S)
    return _to_rows(found, channel_id, order)


def _derive_rows(
    series: PlainSeries, reads: ReadTable, span: Span, interval_s: int
) -> tuple[IntervalTable, Rows]:
    table, is_odd = derive_plain(series.facts, reads, *span, interval_s)
    gaps, broken = [table.gaps], list[int]()
    for row, own in _reads_by_row(reads, np.flatnonzero(is_odd)):
        installation = _installation_of(series, row)
        intervals = derive_intervals(
            installations=(installation,),
            reads={installation.channel_id: own},
            from_s=span[0],
            to_s=span[1],
            interval_s=interval_s,
            power_max_w=int(series.facts.power_max_w[row]),
        )
        table.fill(row, intervals)
        gaps.append(gaps_of(row, intervals.gaps))
        broken += [row] * has_break(intervals.findings)
    if len(gaps) > 1:
        table.gaps = join_gaps(gaps)
    return table, np.array(broken, dtype=np.intp)


def _to_rows(found: ManyReads, channel_id: Int64s, order: Rows) -> ReadTable:
    """Return the reads with the row of their series instead of their channel, in order of it.

    Channels rise as their meters were added, series as their usage points were: after an exchange neither in
    the order of the other.
    """
    firsts = np.flatnonzero(np.diff(found.channel_id, prepend=-1))
    counts = np.diff(firsts, append=len(found.channel_id))
    rows = order[np.searchsorted(channel_id, found.channel_id[firsts])]
    columns = (found.measured_at_s, found.value, found.flags, found.source)
    return in_order(ReadTable(np.repeat(rows, counts), *columns))


def in_order(reads: ReadTable) -> ReadTable:
    """Return reads in order of their rows; those of each row as they are."""
    if (reads.row[1:] >= reads.row[:-1]).all():
        return reads
    return reads.where(np.argsort(reads.row, kind="stable"))


def _reads_by_row(reads: ReadTable, rows: Rows) -> Iterator[tuple[int, ReadColumns]]:
    """Yield the reads of each of some rows, which lie together."""
    if not len(rows):
        return
    firsts = np.flatnonzero(np.diff(reads.row, prepend=-1))
    ends = firsts + np.diff(firsts, append=len(reads))
    spans = dict(
        zip(reads.row[firsts].tolist(), zip(firsts.tolist(), ends.tolist(), strict=True), strict=True)
    )
    for row in rows.tolist():
        own = slice(*spans.get(row, (0, 0)))
        yield (
            row,
            ReadColumns(
                reads.measured_at_s[own],
                reads.value[own],
                reads.flags[own].astype(np.int64),
                reads.source[own].astype(np.int64),
            ),
        )


def _installation_of(series: PlainSeries, row: int) -> ChannelInstallation:
    """Return one row's facts as an installation; its step is primary, so its multiplier is one."""
    facts = series.facts
    starts_at_s, ends_at_s = int(series.holds_from_s[row]), int(series.holds_to_s[row])
    modulus = int(facts.register_modulus[row])
    return ChannelInstallation(
        channel_id=int(facts.channel_id[row]),
        starts_at_s=starts_at_s,
        ends_at_s=ends_at_s,
        step_milliwh=Fraction(int(facts.numerator[row]), int(facts.denominator[row])),
        register_modulus=None if modulus == NO_MODULUS else modulus,
        multipliers=(MultiplierPeriod(starts_at_s, ends_at_s, Fraction(1)),),
    )


def _finish(
    many: ManySeries,
    group: Group,
    table: IntervalTable,
    now_s: int,
    rules: RuleSet,
    hints: Hints | None,
    in_reads: Sequence[Finding],
    early: dict[int, Span],
) -> Iterator["DerivedGroup | Int64s"]:
    """Yield the ids of series that ask more than a group can answer, then what became of the others."""
    is_lost = _estimate(many, group, table, now_s, rules, hints)
    if is_lost.any():
        yield group.series.facts.series_id[is_lost]
        table, group = _leave_out(table, group, np.flatnonzero(is_lost))
        if not len(group.series):
            return
    facts = group.series.facts
    found = validate_table(
        table,
        power_max_w=facts.power_max_w,
        resolution_milliwh=facts.resolution_milliwh,
        calendar=group.grid.calendar,
        rules=rules,
        now_s=now_s,
    )
    mark_validated(table, find_disputed(table, found, rules), rules.disputing_flags)
    written = written_span(group.span, group.grid.interval_s, now_s)
    stored = many.read_measurements(table.series_id, *written)
    made = [each for each in _derivation_findings(table, group.span) if not rules.is_off(each.rule)]
    own_ids = set(table.series_id.tolist()) if in_reads else set()
    findings = [*made, *found, *(each for each in in_reads if each.series_id in own_ids)]
    days = find_days(
        table.series_id,
        table.starts_at_s,
        table.value_milliwh,
        table.provenance,
        interval_s=table.interval_s,
        zone=group.grid.zone,
    )
    yield DerivedGroup(group.span, table, find_table_changes(table, stored), findings, days, early)


def _estimate(
    many: ManySeries, group: Group, table: IntervalTable, now_s: int, rules: RuleSet, hints: Hints | None
) -> NDArray[np.bool_]:
    """Fill what lines and days around tell; return which series have more to ask, shape (series,)."""
    facts = group.series.facts
    is_disputed = find_rows_to_estimate(
        table,
        power_max_w=facts.power_max_w,
        resolution_milliwh=facts.resolution_milliwh,
        calendar=group.grid.calendar,
        rules=rules,
        now_s=now_s,
    )
    is_asking = np.isin(np.arange(len(table)), table.gaps.row) | is_disputed
    if is_asking.any():
        is_asking &= has_hints(hints, facts.series_id)
    needs_more = estimate_lines(table, now_s=now_s, rules=rules, is_left=is_disputed | is_asking)
    if not needs_more.any():
        return needs_more
    outer = history_span(group.span, group.grid, now_s)
    is_lost: NDArray[np.bool_] = needs_more & (is_asking | ~group.holds_over(outer))
    rows = np.flatnonzero(needs_more & ~is_lost)
    own_id, own_calendar = facts.series_id[rows], group.grid.calendar
    for calendar, places in calendars_with(hints, own_id, own_calendar, outer):
        is_lost[_estimate_by_days(many, group, table, rows[places], outer, now_s, rules, calendar)] = True
    if hints is not None:
        late = rows[np.isin(table.method[rows], LAST_METHODS).any(axis=1)]
        is_open = table.position_chain[late, -1] < 0
        channel_id = facts.channel_id[late]
        is_lost[late] |= find_later(many, facts.series_id[late], channel_id, is_open, group.span)
    return is_lost


def _estimate_by_days(
    many: ManySeries,
    group: Group,
    table: IntervalTable,
    rows: Rows,
    outer: Span,
    now_s: int,
    rules: RuleSet,
    calendar: DayCalendar,
) -> Rows:
    """Fill the rows that need more than a line, with what the days around them hold.

    Return those whose reads contradict each other on these days.
    """
    interval_s = group.grid.interval_s
    step_count = max(1, TABLE_DAYS_COUNT * DAY_S // (outer[1] - outer[0]))
    first = (group.span[0] - outer[0]) // interval_s
    end = first + len(table.starts_at_s)
    lost = [np.zeros(0, dtype=np.intp)]
    for start in range(0, len(rows), step_count):
        some = rows[start : start + step_count]
        around, broken = _derive_over(many, group.series.take(some), outer, interval_s, now_s)
        lost.append(some[broken])
        is_left = np.ones(len(some), dtype=np.bool_)
        if not rules.estimating_rules:
            is_left = estimate_gaps(around, first, end, calendar=calendar, now_s=now_s, rules=rules)
        done = np.flatnonzero(~is_left)
        table.fill_all(some[done], around.take(done), first)
        for i in np.flatnonzero(is_left).tolist():
            _estimate_one(group, table, int(some[i]), around.row(i), now_s, rules, calendar)
    return np.concatenate(lost)


def _estimate_one(
    group: Group,
    table: IntervalTable,
    row: int,
    derived: Intervals,
    now_s: int,
    rules: RuleSet,
    calendar: DayCalendar,
) -> None:
    """Fill one row by the functions for single series."""
    facts = group.series.facts
    resolution_milliwh = int(facts.resolution_milliwh[row])
    limits = SeriesLimits(int(facts.series_id[row]), int(facts.power_max_w[row]), resolution_milliwh)
    window = estimate_window(
        derived,
        calendar=calendar,
        from_s=group.span[0],
        to_s=group.span[1],
        now_s=now_s,
        rules=rules,
        limits=limits,
    )
    table.fill(row, window)


def _derivation_findings(table: IntervalTable, span: Span) -> Iterator[Finding]:
    for row, findings in sorted(table.findings.items()):
        for finding in findings:
            if finding.starts_at_s < span[1] and finding.ends_at_s > span[0]:
                yield replace(finding, series_id=int(table.series_id[row]))


def find_table_changes(table: IntervalTable, stored: MeasurementRows) -> MeasurementRows:
    """Return the rows to append for a whole table: what differs from the stored values.

    MISSING where one fell away. `stored` are current values of the same series and their `written_span`, in
    any order.
    """
    is_changed = (table.provenance != Provenance.MISSING) | (table.method != Method.NONE)
    gone = stored
    if len(stored):
        row = np.searchsorted(table.series_id, stored.series_id)
        elapsed_s = stored.starts_at_s - table.from_s
        place = elapsed_s // table.interval_s
        on_grid = (place >= 0) & (place < len(table.starts_at_s)) & (place * table.interval_s == elapsed_s)
        row, place = row[on_grid], place[on_grid]
        span = table.from_s, table.from_s + len(table.starts_at_s) * table.interval_s
        gone = find_gone(stored, on_grid, span, table.interval_s)
        pairs = (
            (table.value_milliwh, stored.value_milliwh),
            (table.provenance, stored.provenance),
            (table.flags, stored.flags),
            (table.method, stored.method),
        )
        differs = np.zeros(len(row), dtype=np.bool_)
        for new, old in pairs:
            differs |= new[row, place] != old[on_grid]
        is_changed[row, place] = differs
    width = len(table.starts_at_s)
    if is_changed.all():
        at: Rows | slice = slice(None)
        series_id, starts_at_s = np.repeat(table.series_id, width), np.tile(table.starts_at_s, len(table))
    else:
        at = np.flatnonzero(is_changed)
        row, place = np.divmod(at, width)
        series_id, starts_at_s = table.series_id[row], table.starts_at_s[place]
    return MeasurementRows(
        series_id,
        starts_at_s,
        table.value_milliwh.ravel()[at],
        table.provenance.ravel()[at],
        table.flags.ravel()[at],
        table.method.ravel()[at],
    ).writing_off(gone)
