"""How wide a dirty window becomes: whole local days, register brackets, the estimates that learnt from it.

What stands in a gap that no read has ended yet changes with its beginning, and then all of it does, but not
with the passing of time: so a window in the midst of a long one is derived beside its beginning alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import Span, from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.advance import AdvanceRule
from wattkeeper.core.readings.between import Between, ByProfile, by_time
from wattkeeper.core.readings.both import combine_intervals
from wattkeeper.core.readings.interval_reads import collect_intervals
from wattkeeper.core.readings.intervals import Gap, Intervals, derive_intervals, join_at_gap
from wattkeeper.core.readings.near import find_near
from wattkeeper.core.readings.profile_grid import ProfileGrid
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.core.vee.daily_load import LONGEST_PERIOD_S
from wattkeeper.core.vee.like_days import AHEAD_DAYS, DAY_S, HISTORY_DAYS
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import Mask
from wattkeeper.pipeline.ports import Integers, MeasurementRows, Ports, SeriesFacts

UNREAD_CHANGE = "readings.multiplier-read-missing"
SUM_CHECK = RULE_BY_CODE["vee.sum-check"]
LEARNT_METHODS = tuple(
    int(each) for each in Method if each not in (Method.NONE, Method.LINEAR, Method.EXCHANGE)
)
LOAD_METHODS = tuple(
    int(each)
    for each in (
        Method.DAILY_AVERAGE,
        Method.CLASS_PROFILE,
        Method.FLAT_LINE,
        Method.KNOWN_ZERO,
        Method.UNFILLED,
    )
)  # of what a daily load says, or may say once more is known
FAR_S = HISTORY_DAYS * DAY_S  # from days farther back nothing learns but a daily load
CONTEXT_S = DAY_S  # reads this far around a window help to tell a wrong read from a right one


class Grid(Protocol):
    """Where the intervals and days of a series begin."""

    @property
    def interval_s(self) -> int: ...
    @property
    def zone(self) -> ZoneInfo: ...


def floor_to_day(at_s: int, facts: Grid) -> int:
    """Return the beginning of the local day of `at_s`."""
    return to_seconds(local_midnight(from_seconds(at_s).astimezone(facts.zone).date(), facts.zone))


def align(span: Span, facts: Grid, now_s: int) -> Span | None:
    """Return `span` as whole local days, as far as intervals are over by `now_s`; None where none is.

    A read at the first instant of a day ends the last interval of the day before, so one interval is added
    before.
    """
    from_s = floor_to_day(max(span[0] - facts.interval_s, DAY_S), facts)
    next_day = from_seconds(min(span[1] - 1, now_s + DAY_S)).astimezone(facts.zone).date() + timedelta(days=1)
    to_s = min(to_seconds(local_midnight(next_day, facts.zone)), now_s)
    to_s -= (to_s - from_s) % facts.interval_s
    return (from_s, to_s) if to_s > from_s else None


def written_span(span: Span, interval_s: int, now_s: int) -> Span:
    """Return where values stand that a span takes the place of: with the interval after it that is not over.

    Of shorter ones, as they were before, some may stand in it.
    """
    return (span[0], span[1] + interval_s) if span[1] + interval_s > now_s else span


def find_gone(stored: MeasurementRows, is_held: Mask, span: Span, interval_s: int) -> MeasurementRows:
    """Return which values of the `written_span` are gone: where no interval begins any more.

    Behind the last whole interval of a series none of which began anywhere else all stay: a run wrote them
    while the clock was ahead.
    """
    is_other = (stored.starts_at_s - span[0]) % interval_s != 0
    is_changed = np.isin(stored.series_id, stored.series_id[is_other])
    return stored.where(~is_held & (is_changed | (stored.starts_at_s < span[1])))


def join_changed(changed: Iterable[Span], facts: Grid, now_s: int) -> list[Span]:
    """Return spans that changed, in order, as one where their days touch; without those still to come."""
    found: list[tuple[Span, Span]] = []  # days, and what changed in them
    for days, own in sorted((days, own) for own in changed if (days := align(own, facts, now_s)) is not None):
        if found and days[0] <= found[-1][0][1]:
            found[-1] = _hull(found[-1][0], days), _hull(found[-1][1], own)
        else:
            found.append((days, own))
    return [own for _, own in found]


def _hull(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])


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


def derive_span(ports: Ports, facts: SeriesFacts, span: Span, advance_rule: AdvanceRule) -> Intervals:
    """Return the intervals over `span`, derived from the raw reads in and around it."""
    reads = ports.raw_reads.read(facts.channel_ids, span[0] - CONTEXT_S, span[1] + CONTEXT_S)
    if facts.kind is Kind.INTERVAL:
        return _collect(facts, facts.installations, reads, span)
    registers = derive_intervals(
        installations=facts.installations,
        reads=reads,
        from_s=span[0],
        to_s=span[1],
        interval_s=facts.interval_s,
        power_max_w=facts.power_max_w,
        advance_rule=advance_rule,
        between=_between(facts, reads, span),
    )
    if not facts.profiles:
        return registers
    return combine_intervals(
        registers,
        _collect(facts, facts.profiles, reads, span),
        day_bounds_s=np.array(day_bounds(*span, facts.zone), dtype=np.int64),
        register_step_milliwh=partial(resolution_milliwh, facts.installations),
        profile_step_milliwh=partial(resolution_milliwh, facts.profiles),
        tolerance=partial(_tolerated_milliwh, facts),
    )


def _between(facts: SeriesFacts, reads: Mapping[int, ReadColumns], span: Span) -> Between:
    """Return what tells where between two reads of a register, in or beside `span`, its energy was used."""
    if not facts.profiles:
        return by_time
    around = span[0] - CONTEXT_S, span[1] + CONTEXT_S
    return ByProfile.of(facts.profiles, reads, ProfileGrid.over(*around, facts.interval_s, facts.power_max_w))


def _tolerated_milliwh(facts: SeriesFacts, at_s: int, step_milliwh: int, advance_milliwh: int) -> int:
    """Return what a sum of intervals may be off its registers, by the rule set of an instant (V06)."""
    rules = RuleSet() if facts.rules is None else facts.rules.at(at_s)
    own = rules.parameters_of(SUM_CHECK)
    return own["sum_step_count"] * step_milliwh + abs(advance_milliwh) * own["sum_permille"] // 1000


def _collect(
    facts: SeriesFacts,
    installations: Sequence[ChannelInstallation],
    reads: Mapping[int, ReadColumns],
    span: Span,
) -> Intervals:
    return collect_intervals(
        installations=installations,
        reads=reads,
        from_s=span[0],
        to_s=span[1],
        interval_s=facts.interval_s,
        power_max_w=facts.power_max_w,
        zone=facts.zone,
    )


def resolution_milliwh(installations: Iterable[ChannelInstallation], span: Span) -> int:
    """Return the largest energy that a read moves by among the installations and multipliers of `span`."""
    rates = [
        installation.step_milliwh * installation.shown_count * period.ratio
        for installation in installations
        if installation.starts_at_s < span[1]
        and (installation.ends_at_s is None or installation.ends_at_s > span[0])
        for period in installation.multipliers
        if period.starts_at_s < span[1] and (period.ends_at_s is None or period.ends_at_s > span[0])
    ]
    return -(-max(rates, default=0) // 1)


def widen_to_brackets(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, advance_rule: AdvanceRule
) -> tuple[Span, Intervals]:
    """Return the span with the days of all gaps in it, and the intervals over which the gaps of those are
    whole: they may begin before the span and end after it.

    A day of a gap holds the end of another where registers are read at other times than midnight. What is
    between its reads did not change, so its other days stay as they are.

    Each step goes to the day of the nearest read outside, and at least twice as far as the step before; it
    ends where there is no read further out. A gap that no read has ended yet reaches as far as anything
    stands in it; in the midst of a long one the span begins no later than what stands ends, and the intervals
    are what `fold` returns. Beside a profile the registers alone say how far that is, as far as there are
    reads of them; beyond, the profile does. Where rule sets change, a gap is judged by the one that it begins
    under: there the span holds every gap whole.
    """
    registers, whole, step_s, is_with_days = replace(facts, profiles=()), span, DAY_S, False
    while True:
        if facts.rules is not None and len(facts.rules.over(*whole)) > 1:
            span = whole
        derived = derive_span(ports, registers, whole, advance_rule)
        gaps = _gaps_over(derived, span)
        is_open_before = any(gap.first_index == 0 for gap in gaps) and derived.position_chain[0] < 0
        is_open_after = any(gap.end_index == len(derived) for gap in gaps)
        is_open_after &= bool(derived.position_chain[-1] < 0)
        before_s = (
            ports.raw_reads.find_nearest(registers.channel_ids, whole[0], is_before=True)
            if is_open_before
            else None
        )
        after_s = (
            ports.raw_reads.find_nearest(registers.channel_ids, whole[1], is_before=False)
            if is_open_after
            else None
        )
        if facts.profiles and ((is_open_before and before_s is None) or (is_open_after and after_s is None)):
            beside = find_beside(ports, facts, whole, advance_rule)
            before_s = beside[0] if before_s is None and is_open_before else before_s
            after_s = beside[1] if after_s is None and is_open_after else after_s
        if is_open_after and (after_s is None or after_s > now_s):
            standing_s = find_standing(ports, facts, whole[1], now_s)
            after_s = int(standing_s[-1]) if len(standing_s) else None
            folded = None if before_s is None else fold(ports, facts, whole, now_s, advance_rule)
            if before_s is not None and folded is not None:
                before_s = find_standing_until(ports, facts, before_s, whole[0])
                if before_s >= whole[0]:
                    return whole, folded
        wider = span_to_nearest(whole, before_s, after_s, step_s, facts, now_s)
        if wider != whole:
            whole, step_s = wider, 2 * step_s
            continue
        days = _with_days(derived, gaps, span, facts, now_s)
        if is_with_days or days == span:
            return span, derive_span(ports, facts, whole, advance_rule) if facts.profiles else derived
        span, whole = days, _hull(days, whole)
        step_s, is_with_days = DAY_S, True


def _gaps_over(derived: Intervals, span: Span) -> list[Gap]:
    first, end = np.searchsorted(derived.starts_at_s, span).tolist()
    return [gap for gap in derived.gaps if gap.first_index < end and gap.end_index > first]


def _with_days(derived: Intervals, gaps: Sequence[Gap], span: Span, facts: Grid, now_s: int) -> Span:
    """Return a span with the local days of gaps in it.

    Where nobody read a register as its multiplier changed, what was used before and after depends on both.
    """
    if not gaps:
        return span
    first_s, last_s = derived.starts_at_s[[gaps[0].first_index, gaps[-1].end_index - 1]].tolist()
    first_s, end_s = first_s, last_s + facts.interval_s
    unread = [each for each in derived.findings if each.rule == UNREAD_CHANGE]
    for each in (*unread, *reversed(unread)):
        if each.starts_at_s <= end_s and each.ends_at_s >= first_s:
            first_s, end_s = min(first_s, each.starts_at_s), max(end_s, each.ends_at_s)
    return _hull(span, align((first_s + facts.interval_s, end_s), facts, now_s) or span)


def find_beside(
    ports: Ports, facts: SeriesFacts, span: Span, advance_rule: AdvanceRule
) -> tuple[int | None, int | None]:
    """Return the nearest reads of a profile before and after a span whose ends lie in gaps of both."""
    derived = derive_span(ports, facts, span, advance_rule)
    channel_ids = [each.channel_id for each in facts.profiles]
    is_open = derived.position_chain[[0, -1]] < 0
    return (
        ports.raw_reads.find_nearest(channel_ids, span[0], is_before=True) if is_open[0] else None,
        ports.raw_reads.find_nearest(channel_ids, span[1], is_before=False) if is_open[1] else None,
    )


def fold(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, advance_rule: AdvanceRule
) -> Intervals | None:
    """Return the intervals around the last read and those of a span far after it, as one gap that goes on.

    What lies between is left out: nothing is learnt from it. None where the last read is near, where another
    meter was installed since or rules changed around the read, and where it is not one gap: then all of it
    has to be derived.
    """
    reads = ports.raw_reads
    read_s = reads.find_nearest(facts.channel_ids, span[1], is_before=True)
    next_s = reads.find_nearest(facts.channel_ids, span[1], is_before=False)
    if read_s is None or not is_far(read_s, span) or (next_s is not None and next_s <= now_s):
        return None
    is_of_interval = facts.kind is Kind.INTERVAL or bool(facts.profiles)
    lasts_s = facts.interval_s if is_of_interval else 0  # the gap begins when its interval ends
    head_span = align((read_s - FAR_S, read_s + lasts_s + 1), facts, now_s)
    if head_span is None or not _is_plain(facts, head_span, span[1]):
        return None
    head = derive_span(ports, facts, head_span, advance_rule)
    return join_at_gap(head, derive_span(ports, facts, span, advance_rule))


def is_folded(derived: Intervals) -> bool:
    """Whether intervals are those of two spans with others between them left out."""
    return bool((len(derived) - 1) * derived.interval_s < derived.starts_at_s[-1] - derived.starts_at_s[0])


def is_far(read_s: int, span: Span) -> bool:
    """Whether no day near a read before a span tells anything of it."""
    return read_s + CONTEXT_S + DAY_S < span[0] - FAR_S


def _is_plain(facts: SeriesFacts, head_span: Span, to_s: int) -> bool:
    is_one = any(
        each.starts_at_s <= head_span[0] and (each.ends_at_s is None or each.ends_at_s >= to_s)
        for each in facts.installations
    )
    return is_one and (facts.rules is None or len(facts.rules.over(*head_span)) == 1)


def find_standing_until(ports: Ports, facts: SeriesFacts, read_s: int, at_s: int) -> int:
    """Return until when estimates stand in the gap since a read, as far as before an instant."""
    to_s, step_s = at_s, DAY_S
    while to_s > read_s:
        from_s = max(read_s, to_s - step_s)
        standing_s = find_standing(ports, facts, from_s, to_s)
        if len(standing_s):
            return int(standing_s[-1]) + facts.interval_s
        to_s, step_s = from_s, 2 * step_s
    return read_s


def find_standing(ports: Ports, facts: SeriesFacts, from_s: int, to_s: int) -> Int64s:
    """Return when what stands in a gap begins, from an instant to another; rising."""
    if to_s - from_s < facts.interval_s:
        return np.zeros(0, dtype=np.int64)
    rows = ports.measurements.read(facts.series_id, from_s, to_s)
    return rows.starts_at_s[np.isin(rows.method, LEARNT_METHODS)]


def span_to_nearest(
    span: Span, before_s: int | None, after_s: int | None, step_s: int, facts: Grid, now_s: int
) -> Span:
    """Return the span moved out to the nearest reads outside, where there are any by `now_s`, by days.

    An end that has nothing to go to stays where it is: a read after the last whole interval moves nothing.
    """
    wider = span
    if before_s is not None:
        wider = (min(before_s, span[0] - step_s), wider[1])
    if after_s is not None and after_s <= now_s:
        wider = (wider[0], max(after_s + 1, span[1] + step_s))
    aligned = None if wider == span else align(wider, facts, now_s)
    if aligned is None:
        return span
    is_stuck = before_s is None and aligned[1] <= span[1]
    return span if is_stuck else aligned


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


def learning_span(span: Span) -> Span:
    """Return where estimates may have learnt from the days of `span`."""
    return span[0] - AHEAD_DAYS * DAY_S, span[1] + LONGEST_PERIOD_S


def may_have_learnt(starts_at_s: Int64s, method: Integers, span: Span) -> Mask:
    """Which values of the `learning_span` of a span may have learnt, or may now learn, from its days."""
    is_near = np.isin(method, LEARNT_METHODS) & (starts_at_s < span[1] + FAR_S)
    result: Mask = is_near | np.isin(method, LOAD_METHODS)
    return result


def span_with(span: Span, first_at_s: int, last_at_s: int, facts: Grid, now_s: int) -> Span:
    """Return the span with the days of two instants."""
    outer = (min(span[0], first_at_s), max(span[1], last_at_s + 1))
    return span if outer == span else (align(outer, facts, now_s) or span)


def derive_history(
    ports: Ports, facts: SeriesFacts, span: Span, derived: Intervals, now_s: int, advance_rule: AdvanceRule
) -> Intervals:
    """Return `derived` with the days around `span` that its estimates may learn from."""
    if is_folded(derived):
        return derived
    whole = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + facts.interval_s
    return derive_span(ports, facts, _hull(history_span(span, facts, now_s), whole), advance_rule)


def history_span(span: Span, facts: Grid, now_s: int) -> Span:
    """Return the days around `span` that its estimates may learn from, itself included."""
    return align((span[0] - HISTORY_DAYS * DAY_S, span[1] + AHEAD_DAYS * DAY_S), facts, now_s) or span
