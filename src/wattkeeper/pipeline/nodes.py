"""What the meters of a node tell of one among them: what goes in goes out again, but for the loss."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.candidates import Candidate, from_balance, from_check_meter
from wattkeeper.pipeline.ports import MeasurementRows, NodeMeters
from wattkeeper.pipeline.virtual import Reader

Mask = NDArray[np.bool_]
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
    """Return what the others of a node leave for one of its series; None where it is none of them.

    For the feeder the sum of what it feeds, and the loss; for one of those the feeder less the others and
    the loss, which is a share of the feeder. Only where all others measured, for as long as each is fed.
    """
    span = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + derived.interval_s
    fed = {own: _fed(node, own, derived) for own, _, _ in node.parts}
    others = sorted(own for own, (is_any, _) in fed.items() if own != series_id and is_any.any())
    is_feeder = series_id == node.feeder_id
    if (not others and is_feeder) or not (is_feeder or series_id in fed):
        return None
    rows = read(sorted({*others, node.feeder_id} - {series_id}), span)
    sums, is_measured = np.zeros((len(others), len(derived)), dtype=np.int64), _always(derived)
    for place, own in enumerate(others):
        energy, is_there = measured_on(rows, own, node.interval_s_of[own], derived)
        is_any, is_all = fed[own]
        sums[place] = np.where(is_any, energy, 0)
        is_measured &= ~is_any | (is_all & is_there)
    if is_feeder:
        is_measured &= np.logical_or.reduce([fed[own][0] for own in others])
        return from_check_meter(_with_loss(sums.sum(axis=0), node.loss_ppm), is_measured)
    feeder, is_there = measured_on(rows, node.feeder_id, node.interval_s_of[node.feeder_id], derived)
    loss = feeder // PPM * node.loss_ppm + feeder % PPM * node.loss_ppm // PPM
    return from_balance(feeder, sums, loss, is_measured & is_there & fed[series_id][1])


def members_of(node: NodeMeters) -> Mapping[int, int]:
    """Return every series of a node and its grid."""
    return {own: node.interval_s_of[own] for own in (node.feeder_id, *(part[0] for part in node.parts))}


def _fed(node: NodeMeters, series_id: int, derived: Intervals) -> tuple[Mask, Mask]:
    """Return of which intervals a part is fed by the node in any moment, and of which in all of it."""
    is_any, is_all = ~_always(derived), ~_always(derived)
    starts_s, ends_s = derived.starts_at_s, derived.starts_at_s + derived.interval_s
    for own, from_s, to_s in node.parts:
        if own == series_id:
            end_s = int(ends_s[-1]) if to_s is None else to_s
            is_any |= (starts_s < end_s) & (ends_s > from_s)
            is_all |= (starts_s >= from_s) & (ends_s <= end_s)
    return is_any, is_all


def _always(derived: Intervals) -> Mask:
    return np.ones(len(derived), dtype=np.bool_)


def _with_loss(sums: Int64s, loss_ppm: int) -> Int64s:
    """Return what has to go in for `sums` to come out, rounded down."""
    share = Fraction(PPM, PPM - loss_ppm)
    whole, rest = np.divmod(sums, share.denominator)
    result: Int64s = whole * share.numerator + rest * share.numerator // share.denominator
    return result
