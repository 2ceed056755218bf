"""What the meters of a node tell of one among them: what goes in goes out again, but for the loss."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate, from_balance, from_check_meter
from wattkeeper.core.vee.table import Mask
from wattkeeper.pipeline.ports import FedSpan, MeasurementRows, NodeMeters
from wattkeeper.pipeline.virtual import Reader

DOUBTFUL_FLAGS = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
ACTUAL = (int(Provenance.MEASURED), int(Provenance.DERIVED))  # a virtual meter of what was measured
PPM = 10**6


def measured_on(
    rows: MeasurementRows, series_id: int, interval_s: int, derived: Intervals
) -> tuple[Int64s, Mask]:
    """Return what a series measured of each interval of another, and of which it measured all.

    Nothing where its grid does not fit into them, where it is suspect or its clock was wrong.
    """
    count, rest_s = divmod(derived.interval_s, interval_s)
    from_s = int(derived.starts_at_s[0])
    is_good = (rows.series_id == series_id) & np.isin(rows.provenance, ACTUAL)
    is_good &= (rows.flags & DOUBTFUL_FLAGS) == 0
    is_good &= (rows.starts_at_s - from_s) % interval_s == 0
    place = (rows.starts_at_s[is_good] - from_s) // derived.interval_s
    energy = np.zeros(len(derived), dtype=np.int64)
    np.add.at(energy, place, rows.value_milliwh[is_good])
    return energy, (np.bincount(place, minlength=len(derived)) == count) & (rest_s == 0)


def candidate_in_node(read: Reader, node: NodeMeters, series_id: int, derived: Intervals) -> Candidate | None:
    """Return what the others of a node leave for what one of it takes; None where it is none of them.

    For the feeder the sum of what it feeds, and the loss; for one of those the feeder less the others and
    the loss, which is a share of what passes the feeder. What is given back counts against what is taken.
    Only where all others measured, for as long as each is fed.
    """
    is_feeder = series_id == node.feeder_id
    span = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + derived.interval_s
    others = [part for part in _lasting(node.parts, span) if part[0] != series_id]
    backs, feeder_backs = _lasting(node.backs, span), _lasting(node.feeder_backs, span)
    if (not others and is_feeder) or not (is_feeder or any(part[0] == series_id for part in node.parts)):
        return None
    asked = {own for own, *_ in (*others, *backs, *feeder_backs)} | {node.feeder_id}
    rows = read(sorted(asked - {series_id}), span)
    taken, is_taken, is_any = _sum(rows, others, node, derived)
    back, is_back, _ = _sum(rows, backs, node, derived)
    feeder_back, is_feeder_back, _ = _sum(rows, feeder_backs, node, derived)
    is_measured = is_taken & is_back & is_feeder_back
    if is_feeder:
        net = _with_loss(taken - back, node.loss_ppm)
        return from_check_meter(net + feeder_back, is_measured & is_any)
    feeder, is_there = measured_on(rows, node.feeder_id, node.interval_s_of[node.feeder_id], derived)
    net = feeder - feeder_back
    loss = np.abs(net) // PPM * node.loss_ppm + np.abs(net) % PPM * node.loss_ppm // PPM
    is_measured &= is_there & _fed(node.parts, series_id, derived)[1]
    return from_balance(net, np.stack((taken, -back)), loss, is_measured)


def members_of(node: NodeMeters) -> Mapping[int, int]:
    """Return every series of a node of which the others tell something, and its grid."""
    return {own: node.interval_s_of[own] for own in (node.feeder_id, *(part[0] for part in node.parts))}


def tellers_of(node: NodeMeters) -> frozenset[int]:
    """Return every series of a node that tells something of others."""
    return frozenset(node.interval_s_of)


def _lasting(spans: Sequence[FedSpan], window: Span) -> list[FedSpan]:
    return [each for each in spans if each[1] < window[1] and (each[2] is None or each[2] > window[0])]


def _sum(
    rows: MeasurementRows, spans: Sequence[FedSpan], node: NodeMeters, derived: Intervals
) -> tuple[Int64s, Mask, Mask]:
    """Return what series come to while their spans last, where all of it was measured, where any lasts."""
    total, is_measured, is_one = np.zeros(len(derived), dtype=np.int64), _always(derived), ~_always(derived)
    for own in sorted({each[0] for each in spans}):
        is_any, is_all = _fed(spans, own, derived)
        energy, is_there = measured_on(rows, own, node.interval_s_of[own], derived)
        total += np.where(is_any, energy, 0)
        is_measured &= ~is_any | (is_all & is_there)
        is_one |= is_any
    return total, is_measured, is_one


def _fed(spans: Sequence[FedSpan], series_id: int, derived: Intervals) -> tuple[Mask, Mask]:
    """Return in which intervals a span of a series lasts at any moment, and in which throughout."""
    is_any, is_all = ~_always(derived), ~_always(derived)
    starts_s, ends_s = derived.starts_at_s, derived.starts_at_s + derived.interval_s
    for own, from_s, to_s in spans:
        if own == series_id:
            end_s = int(ends_s[-1]) if to_s is None else to_s
            is_any |= (starts_s < end_s) & (ends_s > from_s)
            is_all |= (starts_s >= from_s) & (ends_s <= end_s)
    return is_any, is_all


def _always(derived: Intervals) -> Mask:
    return np.ones(len(derived), dtype=np.bool_)


def _with_loss(net: Int64s, loss_ppm: int) -> Int64s:
    """Return what has to go in for `net` to come out, rounded down; where it is negative, what is left of it.

    The loss is a share of what passes the feeder, whichever way.
    """
    result: Int64s = np.where(
        net < 0, _times(net, Fraction(PPM, PPM + loss_ppm)), _times(net, Fraction(PPM, PPM - loss_ppm))
    )
    return result


def _times(energy_milliwh: Int64s, share: Fraction) -> Int64s:
    whole, rest = np.divmod(energy_milliwh, share.denominator)
    result: Int64s = whole * share.numerator + rest * share.numerator // share.denominator
    return result
