"""How wide a dirty window of one series becomes: what else its reads and its stored values let change.

Each step is given what the step before it found:

1. What was asked: the spans in which something changed, as one where their days touch (`join_changed`).
2. How far reads beside it reach: what the nearest ones say may change with it (`widen_to_near`).
3. What learnt from it: estimates on other days that are stored already (`widen_to_estimates`).
4. How far a gap reaches: its energy is shared out over the whole of it, so all its days change
   (`widen_to_gaps`). The span of this step is what is written; here its intervals are derived.
5. What its reads have a say in: where others contradict each other, those beside them tell which are
   right. Where that lies outside, all but the first two steps are taken again with it (`widen_to_breaks`).
6. What its own estimates learn from: the days around it, derived beside it and not written
   (`derive_history`).

Many series together go the same way in arrays: `plain_groups` and `plain_reach`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.readings.advance import SPELL_MAX_S, AdvanceRule
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.readings.near import find_near
from wattkeeper.core.readings.positions import BREAK_RULES
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.pipeline.open_gaps import find_standing, find_standing_until, fold, is_folded
from wattkeeper.pipeline.ports import Ports, SeriesFacts
from wattkeeper.pipeline.series_intervals import derive_span
from wattkeeper.pipeline.window import (
    CONTEXT_S,
    Grid,
    align,
    history_span,
    hull,
    learning_span,
    may_have_learnt,
    span_to_nearest,
    span_with,
)

UNREAD_CHANGE = "readings.multiplier-read-missing"


def widen_to_near(ports: Ports, facts: SeriesFacts, changed: Span, now_s: int) -> Span:
    """Return what changed with the register reads beside it, of which what they say may change with it."""
    span = align(changed, facts, now_s)
    if span is None or facts.kind is Kind.INTERVAL:
        return changed
    ids = [each.channel_id for each in facts.installations]
    reads = ports.raw_reads.read(ids, span[0] - CONTEXT_S, span[1] + CONTEXT_S)
    first_s, last_s = changed[0], changed[1] - 1
    for own in reads.values():
        if len(own):
            at_s, each = np.sort(own.measured_at_s), (np.array([changed[0]]), np.array([changed[1]]))
            bounds = np.array([0]), np.array([len(own)])
            before_s, after_s = find_near(at_s, *bounds, each, facts.interval_s, now_s)
            first_s = min(first_s, int(before_s[0]) + facts.interval_s)  # what ends with it stays
            last_s = max(last_s, int(after_s[0]))
    return first_s, last_s + 1


def widen_to_estimates(ports: Ports, facts: SeriesFacts, span: Span, now_s: int) -> Span:
    """Return the span with every stored estimate that may have learnt, or may now learn, from its days.

    An estimate looks back at most `HISTORY_DAYS` and ahead at most `AHEAD_DAYS`, a daily load as far back as
    its period may begin. One on a line between its own neighbours has learnt from no other day. What was left
    UNFILLED may be estimated now.
    """
    rows = ports.measurements.read(facts.series_id, *learning_span(span))
    learnt_at_s = rows.starts_at_s[may_have_learnt(rows.starts_at_s, rows.method, span)]
    if not len(learnt_at_s):
        return span
    return span_with(span, int(learnt_at_s.min()), int(learnt_at_s.max()), facts, now_s)


@dataclass(frozen=True, slots=True)
class Reach:
    """A span, and how far out its gaps have been followed.

    `derived`: the intervals over `whole`, which holds the span and may begin before it and end after it;
    `gaps`: those that touch the span.
    """

    span: Span
    whole: Span
    derived: Intervals
    gaps: Sequence[Gap]

    @property
    def is_open_before(self) -> bool:
        """Whether a gap of the span began before the whole."""
        return any(gap.first_index == 0 for gap in self.gaps) and bool(self.derived.position_chain[0] < 0)

    @property
    def is_open_after(self) -> bool:
        """Whether a gap of the span goes on after the whole."""
        is_last = any(gap.end_index == len(self.derived) for gap in self.gaps)
        return is_last and bool(self.derived.position_chain[-1] < 0)


def widen_to_gaps(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, advance_rule: AdvanceRule
) -> tuple[Span, Intervals]:
    """Return the span with the days of all gaps in it, and the intervals over which those gaps are whole.

    The intervals may begin before the span and end after it; those of a long gap that no read has ended yet
    are what `fold` returns.

    Where registers are read at other times than midnight a day of a gap holds the end of another one. It is
    followed too, but what is between its reads did not change, so its other days stay as they are.
    """
    reach = _follow_gaps(ports, facts, span, span, now_s, advance_rule)
    days = _days_of_gaps(reach, facts, now_s)
    if days != reach.span:
        reach = _follow_gaps(ports, facts, days, hull(days, reach.whole), now_s, advance_rule)
    if facts.profiles and not is_folded(reach.derived):
        return reach.span, derive_span(ports, facts, reach.whole, advance_rule)
    return reach.span, reach.derived


def _follow_gaps(
    ports: Ports, facts: SeriesFacts, span: Span, whole: Span, now_s: int, advance_rule: AdvanceRule
) -> Reach:
    """Return the reach of a span from `whole` outwards, until every gap in it is whole.

    Each step goes to the day of the nearest read outside, and at least twice as far as the step before; it
    ends where there is no read further out. A gap that no read has ended yet reaches as far as anything
    stands in it; in the midst of a long one, where that is so up to the whole, it is not followed back to its
    read: the span is the whole and the intervals are what `fold` returns.
    """
    step_s = DAY_S
    while True:
        reach = _look(ports, facts, span, whole, advance_rule)
        before_s, after_s = _find_outside(ports, facts, reach, advance_rule)
        if reach.is_open_after and (after_s is None or after_s > now_s):
            standing_s = find_standing(ports, facts, whole[1], now_s)
            after_s = int(standing_s[-1]) if len(standing_s) else None
            folded = None if before_s is None else fold(ports, facts, whole, now_s, advance_rule)
            if before_s is not None and folded is not None:
                before_s = find_standing_until(ports, facts, before_s, whole[0])
                if before_s >= whole[0]:
                    return Reach(whole, whole, folded, ())
        wider = span_to_nearest(whole, before_s, after_s, step_s, facts, now_s)
        if wider == whole:
            return reach
        whole, step_s = wider, 2 * step_s


def _look(ports: Ports, facts: SeriesFacts, span: Span, whole: Span, advance_rule: AdvanceRule) -> Reach:
    """Return what the registers alone say over `whole`; beside a profile they say how far a gap reaches.

    Where rule sets change, a gap is judged by the one that it begins under: there the span is the whole.
    """
    if facts.rules is not None and len(facts.rules.over(*whole)) > 1:
        span = whole
    derived = derive_span(ports, replace(facts, profiles=()), whole, advance_rule)
    return Reach(span, whole, derived, _gaps_over(derived, span))


def _gaps_over(derived: Intervals, span: Span) -> list[Gap]:
    first, end = np.searchsorted(derived.starts_at_s, span).tolist()
    return [gap for gap in derived.gaps if gap.first_index < end and gap.end_index > first]


def _find_outside(
    ports: Ports, facts: SeriesFacts, reach: Reach, advance_rule: AdvanceRule
) -> tuple[int | None, int | None]:
    """Return the nearest reads before and after the whole, each None where no gap goes on or no read is.

    A profile says where its own gap goes on, where there is no read of the registers further out.
    """
    ids, whole = [each.channel_id for each in facts.installations], reach.whole
    before_s, after_s = _find_nearest(ports, ids, whole, reach.is_open_before, reach.is_open_after)
    is_before, is_after = reach.is_open_before and before_s is None, reach.is_open_after and after_s is None
    if not facts.profiles or not (is_before or is_after):
        return before_s, after_s
    ids = [each.channel_id for each in facts.profiles]
    first, last = (derive_span(ports, facts, whole, advance_rule).position_chain[[0, -1]] < 0).tolist()
    of_profile = _find_nearest(ports, ids, whole, is_before and first, is_after and last)
    return of_profile[0] if is_before else before_s, of_profile[1] if is_after else after_s


def _find_nearest(
    ports: Ports, channel_ids: Sequence[int], span: Span, is_before: bool, is_after: bool
) -> tuple[int | None, int | None]:
    """Return the nearest reads of channels before and after a span, each None where it is not asked for."""
    reads = ports.raw_reads
    return (
        reads.find_nearest(channel_ids, span[0], is_before=True) if is_before else None,
        reads.find_nearest(channel_ids, span[1], is_before=False) if is_after else None,
    )


def _days_of_gaps(reach: Reach, facts: Grid, now_s: int) -> Span:
    """Return the span of a reach with the local days of its gaps.

    Where nobody read a register as its multiplier changed, what was used before and after depends on both.
    """
    if not reach.gaps:
        return reach.span
    derived, gaps = reach.derived, reach.gaps
    first_s, last_s = derived.starts_at_s[[gaps[0].first_index, gaps[-1].end_index - 1]].tolist()
    end_s = last_s + facts.interval_s
    unread = [each for each in derived.findings if each.rule == UNREAD_CHANGE]
    for each in (*unread, *reversed(unread)):
        if each.starts_at_s <= end_s and each.ends_at_s >= first_s:
            first_s, end_s = min(first_s, each.starts_at_s), max(end_s, each.ends_at_s)
    return hull(reach.span, align((first_s + facts.interval_s, end_s), facts, now_s) or reach.span)


def widen_to_breaks(span: Span, derived: Intervals, facts: Grid, now_s: int) -> Span:
    """Return the span with the days of reads beside it that contradict each other, by what was found."""
    breaks = [
        (min(each.starts_at_s, int(each.evidence["previous_at_s"])), each.ends_at_s)
        for each in derived.findings
        if each.rule in BREAK_RULES
    ]
    wider, reach_s = span, CONTEXT_S
    while True:
        near = [own for own in breaks if own[0] < wider[1] + reach_s and own[1] > wider[0] - reach_s]
        outer = min([wider, *near])[0], max(own[1] for own in (wider, *near))
        if outer == wider:
            return span if wider == span else hull(span, align(wider, facts, now_s) or span)
        wider, reach_s = outer, SPELL_MAX_S


def derive_history(
    ports: Ports, facts: SeriesFacts, span: Span, derived: Intervals, now_s: int, advance_rule: AdvanceRule
) -> Intervals:
    """Return `derived` with the days around `span` that its estimates may learn from."""
    if is_folded(derived):
        return derived
    whole = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + facts.interval_s
    return derive_span(ports, facts, hull(history_span(span, facts, now_s), whole), advance_rule)
