"""Energy to cells of (rate, tier), exact to the milliwatt-hour.

A limit inside an interval splits it: the energy up to and including the limit belongs to the lower tier.
Every function's cells add up to its input, by rate and by tier.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Cells = list[list[int]]  # [rate_index][tier_index], milliwatt-hours


def scale_limits(limits_milliwh: tuple[int, ...], days: int, nominal_days: int) -> tuple[int, ...]:
    """Return limits x days / nominal days, rounded down to whole milliwatt-hours."""
    return tuple(limit * days // nominal_days for limit in limits_milliwh)


def ladder(used_milliwh: int, energy_milliwh: int, limits_milliwh: tuple[int, ...]) -> list[int]:
    """Return how much of `energy_milliwh` falls into each tier when `used_milliwh` came before it."""
    bounds = (0, *limits_milliwh, None)
    end_milliwh = used_milliwh + energy_milliwh
    return [
        max(0, (end_milliwh if high is None else min(end_milliwh, high)) - max(used_milliwh, low or 0))
        for low, high in pairwise(bounds)
    ]


def cells_pro_rata(by_rate_milliwh: list[int], used_milliwh: int, limits_milliwh: tuple[int, ...]) -> Cells:
    """Return the cells when the total decides the tiers and each rate gets its share of each.

    Shares are whole milliwatt-hours, at most one away from the exact share of what is left: the largest
    remainders get the odd ones, the first rate first, so the sums by rate and by tier stay exact.
    """
    left_by_tier = ladder(used_milliwh, sum(by_rate_milliwh), limits_milliwh)
    cells = []
    for energy_milliwh in by_rate_milliwh:
        row = _shares(energy_milliwh, left_by_tier)
        left_by_tier = [left - share for left, share in zip(left_by_tier, row, strict=True)]
        cells.append(row)
    return cells


def _shares(energy_milliwh: int, left_by_tier: list[int]) -> list[int]:
    left = sum(left_by_tier)
    if left == 0:
        return [0] * len(left_by_tier)
    row = [energy_milliwh * tier // left for tier in left_by_tier]
    by_remainder = sorted(range(len(row)), key=lambda t: (-(energy_milliwh * left_by_tier[t] % left), t))
    for tier_index in by_remainder[: energy_milliwh - sum(row)]:
        row[tier_index] += 1
    return row


def split_in_time_order(
    energy_milliwh: Int64s, used_milliwh: int, limits_milliwh: tuple[int, ...]
) -> list[Int64s]:
    """Return, per tier, the part of each interval in it, shape (n,); the parts add up to the interval."""
    ends = used_milliwh + np.cumsum(energy_milliwh)
    starts = ends - energy_milliwh
    top = max(used_milliwh, int(ends[-1]) if len(ends) else 0)
    bounds = [0, *(min(limit, top) for limit in limits_milliwh), top]
    return [np.clip(ends, low, high) - np.clip(starts, low, high) for low, high in pairwise(bounds)]


def cells_per_period(
    by_rate_milliwh: list[int], used_by_rate_milliwh: list[int], limits_milliwh: tuple[int, ...]
) -> Cells:
    """Return the cells when each rate climbs a ladder of its own."""
    return [
        ladder(used, energy, limits_milliwh)
        for energy, used in zip(by_rate_milliwh, used_by_rate_milliwh, strict=True)
    ]
