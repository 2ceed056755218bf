"""What a service may carry of which nothing is known but its use."""

import numpy as np

from wattkeeper.core.kernel.reads import Int64s

USUAL_PCT = 90  # of the intervals are below the usual power
USUAL_TIMES = 4  # as much may be carried


def carried_w(energy_milliwh: Int64s, interval_s: int) -> int:
    """Return four times the power, in watts, that nine of ten intervals stay below; a rule of our own.

    `energy_milliwh`: at least one interval, shape (intervals,). Not of the highest, which may be the one that
    is wrong.
    """
    usual = int(np.percentile(energy_milliwh, USUAL_PCT, method="higher"))
    return -(-usual * 3600 // (1000 * interval_s)) * USUAL_TIMES
