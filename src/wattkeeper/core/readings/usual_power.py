"""What a service may carry of which nothing is known but its use, and what none withstands."""

import numpy as np

from wattkeeper.core.kernel.reads import Int64s

USUAL_PCT = 90  # of the intervals are below the usual power
USUAL_TIMES = 4  # as much may be carried
USED_LEAST_COUNT = 10  # of fewer intervals nine of ten is nothing
WITHSTOOD_TIMES = 2
"""More than so many times its largest power no service carries for an interval: that was not used.

What lies between was: the fuses of a service melt within the hour at 1.6 times (IEC 60269, gG), and who uses
more than was agreed is found by V09, which begins at 110 %.
"""


def carried_w(energy_milliwh: Int64s, interval_s: int) -> int:
    """Return four times the power, in watts, that nine of ten intervals stay below; a rule of our own.

    `energy_milliwh`: at least one interval, shape (intervals,). Not of the highest, which may be the one that
    is wrong; and of those in which anything was used: a pump or a roof that rests most of the time carries
    what it carries when it does not.
    """
    used = energy_milliwh[energy_milliwh > 0]
    told = used if len(used) >= USED_LEAST_COUNT else energy_milliwh
    usual = int(np.percentile(told, USUAL_PCT, method="higher"))
    return -(-usual * 3600 // (1000 * interval_s)) * USUAL_TIMES
