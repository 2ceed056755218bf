"""V19: equal intervals in a row, where chance does not make them equal."""

from itertools import pairwise
from math import erf, exp, log10, pi, sqrt

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.table import EnergyTable, Mask, find_long_runs

CONSTANT_COUNT = 12
CONSTANT_VARIATION_PERMILLE = 10
CONSTANT_CHANCE_DIGITS = 8


def find_constant(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    resolution_milliwh: Int64s,
    constant_count: int = CONSTANT_COUNT,
    constant_variation_permille: int = CONSTANT_VARIATION_PERMILLE,
    constant_chance_digits: int = CONSTANT_CHANCE_DIGITS,
) -> list[Finding]:
    """V19 ``vee.constant``: `constant_count` or more equal non-zero intervals in a row of a local day.

    Default 12 (Oracle Consecutive Interval Check), counted within each local day, and only where chance does
    not explain it. Two neighbours are equal by chance with a probability p of at most the larger of

    - what the load allows: one that varies by `constant_variation_permille` of itself (default 10) from
      interval to interval, seen in n steps of the register, `resolution_milliwh` (series,) or (series, days),
      varies by n / 100 steps (`chance_of_equals`);
    - what the rest of the same day shows: (equal pairs + 1) / (pairs + 2) outside the run (Laplace).

    A run of k intervals is found where p to the power k - 1 is below 10 to the power
    -`constant_chance_digits`: with the default of 8 that is one false alarm in a million meter-days of 96
    intervals. A pulse meter at night, 10 steps an interval, is never found; 200 steps twelve times are.
    """
    findings: list[Finding] = []
    if len(day_bounds_s) < 2:
        return findings
    days_shape = len(table.series_id), len(day_bounds_s) - 1
    step_milliwh = np.broadcast_to(resolution_milliwh.reshape(len(table.series_id), -1), days_shape)
    for day, (begin, stop) in enumerate(pairwise(table.edges(day_bounds_s).tolist())):
        if stop - begin < constant_count:
            continue
        energy = table.energy_milliwh[:, begin:stop]
        is_held = table.is_present[:, begin:stop]
        is_same = (energy[:, 1:] == energy[:, :-1]) & (energy[:, 1:] != 0)
        is_same &= is_held[:, 1:] & is_held[:, :-1]
        for series, first, end in find_long_runs(is_same, constant_count - 1):
            steps_count = abs(int(energy[series, first])) // max(1, int(step_milliwh[series, day]))
            chance = max(
                chance_of_equals(steps_count * constant_variation_permille / 1000),
                _chance_of_the_rest(energy[series], is_held[series], first, end),
            )
            digits = -(end - first) * log10(chance)
            if digits >= constant_chance_digits:
                findings.append(
                    table.finding(
                        "vee.constant",
                        series,
                        begin + first,
                        begin + end + 1,
                        energy_milliwh=energy[series, first],
                        interval_count=end + 1 - first,
                        steps_count=steps_count,
                        chance_digits_count=int(digits),
                    )
                )
    return findings


def chance_of_equals(deviation_steps: float) -> float:
    """Return how probably two values of a normal load fall on the same step of a register.

    The load deviates by `deviation_steps` (standard deviation, in steps) around any place on the scale: the
    mean of ``max(0, 1 - |d|)`` over the difference d of two values. A probability, so a float.
    """
    if deviation_steps <= 0:
        return 1.0
    spread = sqrt(2) * deviation_steps
    return erf(1 / (sqrt(2) * spread)) - spread * sqrt(2 / pi) * (1 - exp(-1 / (2 * spread**2)))


def _chance_of_the_rest(energy: Int64s, is_held: Mask, first: int, end: int) -> float:
    """Return how often neighbours are equal outside the pairs ``[first, end)`` of one day."""
    is_pair = is_held[1:] & is_held[:-1]
    is_pair[first:end] = False
    equal_count = int((is_pair & (energy[1:] == energy[:-1])).sum())
    pairs_count = int(is_pair.sum())
    return (equal_count + 1) / (pairs_count + 2) if pairs_count else 0.0
