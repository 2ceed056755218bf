"""A gap that no read has ended yet: it reaches as far as anything stands in it.

What stands in it changes with its beginning, and then all of it does, but not with the passing of time: so a
window in the midst of a long one is derived beside its beginning alone, and what lies between is left out.
"""

import numpy as np

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.advance import AdvanceRule
from wattkeeper.core.readings.intervals import Intervals, join_at_gap
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.pipeline.ports import Ports, SeriesFacts
from wattkeeper.pipeline.series_intervals import derive_span
from wattkeeper.pipeline.window import CONTEXT_S, FAR_S, LEARNT_METHODS, align


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
