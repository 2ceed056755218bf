"""What is asked of gaps after the days around them: the same days a year ago, the average daily load.

Asked series by series, of those alone whose gaps neither neighbours nor days have filled.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import Span, merge_spans
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.advance import AdvanceRule
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate
from wattkeeper.core.vee.daily_load import LEAST_PERIOD_S, LONGEST_PERIOD_S, from_daily_load
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.last_year import ACTUAL_DAYS, WEEK_DAYS, YEAR_DAYS, from_last_year
from wattkeeper.core.vee.like_days import DAY_S, UNUSABLE_FLAGS
from wattkeeper.pipeline.hints import calendar_with
from wattkeeper.pipeline.ports import Hints, ManySeries, MeasurementRows, Ports, SeriesFacts
from wattkeeper.pipeline.series_intervals import derive_span
from wattkeeper.pipeline.virtual import changed_spans, reader_of
from wattkeeper.pipeline.window import LEARNT_METHODS

YEAR_S = YEAR_DAYS * DAY_S
CLOCKS_S = 2 * 3600  # how far a day of last year may begin off the same instant
LAST_METHODS = tuple(
    int(each)
    for each in (
        Method.PREVIOUS_YEAR,
        Method.DAILY_AVERAGE,
        Method.CLASS_PROFILE,
        Method.EVEN_SPREAD,
        Method.FLAT_LINE,
        Method.KNOWN_ZERO,
        Method.UNFILLED,
    )
)  # of what may know better once those of last year are known


def candidates_after(
    ports: Ports, facts: SeriesFacts, derived: Intervals, advance_rule: AdvanceRule
) -> tuple[Candidate, ...]:
    """Return what is asked of a series after its own days, in order of preference."""
    if ports.hints is None or not derived.gaps:
        return ()
    found = [_of_last_year(ports, ports.hints, facts, derived)]
    if (actual := _actual_period(ports, facts, derived, advance_rule)) is not None:
        found.append(from_daily_load(derived, *actual))
    return tuple(found)


def _of_last_year(ports: Ports, hints: Hints, facts: SeriesFacts, derived: Intervals) -> Candidate:
    starts_at_s = derived.starts_at_s[derived.gaps[0].first_index : derived.gaps[-1].end_index]
    spans = [span for _, span in changed_spans(np.zeros_like(starts_at_s), starts_at_s)]
    spans[0] = spans[0][0] - ACTUAL_DAYS * DAY_S, spans[0][1]
    reach_s = YEAR_S + CLOCKS_S, CLOCKS_S - YEAR_S + derived.interval_s
    then = merge_spans((from_s - reach_s[0], to_s + reach_s[1]) for from_s, to_s in spans)
    rows = MeasurementRows.concatenate([ports.measurements.read(facts.series_id, *span) for span in then])
    rows = rows.where((rows.provenance == Provenance.MEASURED) & ((rows.flags & UNUSABLE_FLAGS) == 0))
    calendar = calendar_with(
        hints, facts.series_id, DayCalendar(facts.zone, facts.holidays), (then[0][0], spans[-1][1])
    )
    return from_last_year(derived, calendar, rows.starts_at_s, rows.value_milliwh)


def _actual_period(
    ports: Ports, facts: SeriesFacts, derived: Intervals, advance_rule: AdvanceRule
) -> tuple[int, int] | None:
    """Return energy and length of the last period between two reads before a gap that no read has ended yet.

    It ends with the read that the gap begins with, and begins with the newest one at least 27 days earlier.
    """
    gap = derived.gaps[-1]
    is_open = gap.end_index == len(derived) and derived.position_chain[-1] < 0
    if facts.kind is not Kind.CUMULATIVE or not is_open or derived.position_chain[gap.first_index] < 0:
        return None
    to_s = int(derived.starts_at_s[gap.first_index])
    channel_ids = [installation.channel_id for installation in facts.installations]
    found_s = ports.raw_reads.find_nearest(channel_ids, to_s - LEAST_PERIOD_S + 1, is_before=True)
    if found_s is None or found_s < to_s - LONGEST_PERIOD_S:
        return None
    span = found_s - (found_s - to_s) % facts.interval_s, to_s
    before = derive_span(ports, replace(facts, profiles=()), span, advance_rule)
    known = np.flatnonzero(before.position_chain == before.position_chain[-1])
    period_s = (len(before) - int(known[0])) * facts.interval_s
    if before.position_chain[-1] < 0 or period_s < LEAST_PERIOD_S - facts.interval_s:
        return None
    return int(before.position_milliwh[-1] - before.position_milliwh[known[0]]), period_s


def find_later(
    many: ManySeries, series_id: Int64s, channel_id: Int64s, is_open: NDArray[np.bool_], span: Span
) -> NDArray[np.bool_]:
    """Return which series may have more to ask than the days around `span`, shape (series,): all that do.

    `channel_id`: the register of each; `is_open`: no read has ended its last gap yet.
    """
    found = np.zeros(len(series_id), dtype=np.bool_)
    if not len(series_id):
        return found
    then = many.read_measurements(
        np.sort(series_id), span[0] - YEAR_S - WEEK_DAYS * DAY_S - CLOCKS_S, span[1] - YEAR_S + CLOCKS_S
    )
    found |= np.isin(series_id, then.series_id[then.provenance == Provenance.MEASURED])
    if is_open.any():
        own = np.sort(channel_id[is_open])
        channels, at_s = many.find_nearest(own, span[1] - LEAST_PERIOD_S, is_before=True)
        found |= is_open & np.isin(channel_id, channels[at_s >= span[0] - LONGEST_PERIOD_S])
    return found


def find_told_next_year(ports: Ports, rows: MeasurementRows, now_s: int) -> MeasurementRows:
    """Return those of the rows to be appended that next year rests on: measured now, or measured before."""
    begins_s = now_s - YEAR_S + CLOCKS_S
    if int(rows.starts_at_s.min()) >= begins_s:
        return MeasurementRows.concatenate([])
    rows = rows.where(rows.starts_at_s < begins_s)
    is_told = rows.provenance == Provenance.MEASURED
    if is_told.all():
        return rows
    others = rows.where(~is_told)
    ids, span = np.unique(others.series_id).tolist(), _hull(others)
    stored = reader_of(ports)(ids, span)
    measured = stored.where(stored.provenance == Provenance.MEASURED)
    width_s = span[1] - span[0]

    def key_of(own: MeasurementRows) -> Int64s:
        return own.series_id * width_s + (own.starts_at_s - span[0])

    is_told[~is_told] = np.isin(key_of(others), key_of(measured))
    return rows.where(is_told)


def mark_next_year(ports: Ports, rows: MeasurementRows) -> None:
    """Mark what was, or may now be, estimated from `find_told_next_year`, a year later.

    A gap learns from its own days of last year, and its growth from those of the period before it. Called
    before the rows are appended and after, as `mark_checked` is.
    """
    if not len(rows):
        return
    reach_s = YEAR_S + ACTUAL_DAYS * DAY_S + CLOCKS_S
    told: dict[int, list[Span]] = defaultdict(list)
    for series_id, (from_s, to_s) in changed_spans(rows.series_id, rows.starts_at_s):
        told[series_id].append((from_s + YEAR_S - CLOCKS_S, to_s + reach_s))
    first_s, end_s = _hull(rows)
    last = _made_last(ports, sorted(told), (first_s + YEAR_S - CLOCKS_S, end_s + reach_s))
    marked: dict[int, list[Span]] = defaultdict(list)
    for series_id, (from_s, to_s) in changed_spans(last.series_id, last.starts_at_s):
        inside = ((max(from_s, first_s), min(to_s, end_s)) for first_s, end_s in merge_spans(told[series_id]))
        marked[series_id] += [own for own in inside if own[0] < own[1]]
    spans = {series_id: own for series_id, own in marked.items() if own}
    if spans and ports.hints is not None:
        ports.hints.mark(spans)


def _hull(rows: MeasurementRows) -> Span:
    return int(rows.starts_at_s.min()), int(rows.starts_at_s.max()) + 1


def _made_last(ports: Ports, series_ids: Sequence[int], span: Span) -> MeasurementRows:
    """Return the stored values of a span that last year's may change.

    Beside those of the last methods what learnt from nearer days in a gap that no registers bracket: farther
    on such a gap rests on the growth until it began.
    """
    if ports.many is not None:
        rows = ports.many.find_methods(np.array(series_ids, dtype=np.int64), *span, LEARNT_METHODS)
    else:
        rows = reader_of(ports)(series_ids, span)
        rows = rows.where(np.isin(rows.method, LEARNT_METHODS))
    is_open = (rows.flags & int(Flag.REGISTER_BRACKETED)) == 0
    return rows.where(is_open | np.isin(rows.method, LAST_METHODS))
