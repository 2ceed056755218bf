"""What registers advanced over a span, told by the reads at its ends and by what happened between."""

from collections.abc import Mapping, Sequence

import numpy as np

from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.intervals import UNKNOWN_CHAIN
from wattkeeper.core.readings.positions import Limits
from wattkeeper.core.readings.trace import trace_series


def find_ends(
    installations: Sequence[InstallationFact],
    reads: Mapping[int, ReadColumns],
    limits: Limits,
    from_s: int,
    to_s: int,
) -> tuple[Int64s, Int64s]:
    """Return the energy positions, in milliwatt-hours, and the chains at both ends of a span, shape (2,).

    Known, else the chain is `UNKNOWN_CHAIN`, is where a register was read at the very instant. Two positions
    of one chain differ by exactly what the registers advanced between: a chain ends where a register was
    reset, exchanged or multiplied otherwise and nobody read it, and where it may have come round once more
    than it shows.
    `installations` and `reads` as of `trace_series`.
    """
    bounds_s = np.array([from_s, to_s], dtype=np.int64)
    knots, findings = trace_series(installations, reads, limits, bounds_s)
    if not len(knots):
        return np.zeros(2, dtype=np.int64), np.full(2, UNKNOWN_CHAIN, dtype=np.int64)
    unsure_s = sorted(each.ends_at_s for each in findings if each.rule == "readings.rollover-ambiguous")
    chain = knots.chain + np.cumsum(1 - knots.is_exact) + np.searchsorted(unsure_s, knots.at_s, side="right")
    last = np.searchsorted(knots.at_s, from_s, side="right") - 1  # two knots where a meter is exchanged
    first = np.searchsorted(knots.at_s, to_s, side="left")
    place = np.clip([last, first], 0, len(knots) - 1)
    is_known = (knots.at_s[place] == bounds_s) & (knots.is_exact[place] == 1)
    return (
        np.where(is_known, knots.position_milliwh[place], 0),
        np.where(is_known, chain[place], UNKNOWN_CHAIN),
    )
