"""Windows as arithmetic: whole local days, steps outwards, what may have learnt, what is written.

Nothing is read here; `widen` asks the reads and values of one series, `plain_groups` those of many.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import Span, from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.daily_load import LONGEST_PERIOD_S
from wattkeeper.core.vee.like_days import AHEAD_DAYS, DAY_S, HISTORY_DAYS
from wattkeeper.core.vee.table import Mask
from wattkeeper.pipeline.ports import Integers, MeasurementRows

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


def hull(one: Span, other: Span) -> Span:
    """Return the span that holds two others and what lies between them."""
    return min(one[0], other[0]), max(one[1], other[1])


def join_changed(changed: Iterable[Span], facts: Grid, now_s: int) -> list[Span]:
    """Return spans that changed, in order, as one where their days touch; without those still to come."""
    found: list[tuple[Span, Span]] = []  # days, and what changed in them
    for days, own in sorted((days, own) for own in changed if (days := align(own, facts, now_s)) is not None):
        if found and days[0] <= found[-1][0][1]:
            found[-1] = hull(found[-1][0], days), hull(found[-1][1], own)
        else:
            found.append((days, own))
    return [own for _, own in found]


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


def history_span(span: Span, facts: Grid, now_s: int) -> Span:
    """Return the days around `span` that its estimates may learn from, itself included."""
    return align((span[0] - HISTORY_DAYS * DAY_S, span[1] + AHEAD_DAYS * DAY_S), facts, now_s) or span


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
