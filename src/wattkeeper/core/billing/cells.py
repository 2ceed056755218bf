"""The cells of an energy component: how much of each rate fell into which tier, from which intervals."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.intervals import IntervalColumns
from wattkeeper.core.tariffs.model import EnergyCharge, TierMode
from wattkeeper.core.tariffs.tiers import cells_per_period, cells_pro_rata, split_in_time_order


@dataclass(slots=True)
class TierCount:
    """What the tier counter stands at: the total, and by rate code for ladders of each rate."""

    total_milliwh: int = 0
    by_rate_milliwh: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Intervals in time order under one version and one run of the counter, with the rate of each."""

    rows: IntervalColumns
    rate_index: NDArray[np.int8]
    limits_milliwh: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A quantity of one rate in one tier.

    `counter_milliwh` is the stretch of the tier counter it covers where tiers climb in time order, else None.
    """

    rate_index: int
    tier_index: int
    quantity_milliwh: int
    estimated_share: Fraction
    interval_count: int
    counter_milliwh: tuple[int, int] | None = None


def energy_by_rate(stretch: Stretch, rate_count: int) -> list[int]:
    """Return the energy of each rate in milliwatt-hours."""
    energy_milliwh = stretch.rows.energy_milliwh
    return [int(energy_milliwh[stretch.rate_index == index].sum()) for index in range(rate_count)]


def cells_of(charge: EnergyCharge, stretch: Stretch, count: TierCount) -> list[Cell]:
    """Return the cells that hold energy, rate by rate; their quantities add up to the stretch's energy."""
    if charge.tiers is not None and charge.tiers.mode is TierMode.TIME_ORDER:
        cells = _in_time_order(charge, stretch, count)
    else:
        cells = _by_share(charge, stretch, count)
    return sorted(
        (cell for cell in cells if cell.quantity_milliwh), key=lambda cell: (cell.rate_index, cell.tier_index)
    )


def _in_time_order(charge: EnergyCharge, stretch: Stretch, count: TierCount) -> Iterator[Cell]:
    energy_milliwh, is_estimated = stretch.rows.energy_milliwh, stretch.rows.is_estimated
    used_milliwh = count.total_milliwh
    end_milliwh = used_milliwh + int(energy_milliwh.sum())
    bounds = [0, *stretch.limits_milliwh, end_milliwh]
    for tier_index, parts in enumerate(
        split_in_time_order(energy_milliwh, used_milliwh, stretch.limits_milliwh)
    ):
        span = max(used_milliwh, bounds[tier_index]), min(end_milliwh, bounds[tier_index + 1])
        for rate in range(len(charge.rates)):
            held = np.where(stretch.rate_index == rate, parts, 0)
            quantity_milliwh = int(held.sum())
            if quantity_milliwh:
                estimated = Fraction(int(held[is_estimated].sum()), quantity_milliwh)
                interval_count = int(np.count_nonzero(held))
                yield Cell(rate, tier_index, quantity_milliwh, estimated, interval_count, span)


def _by_share(charge: EnergyCharge, stretch: Stretch, count: TierCount) -> Iterator[Cell]:
    by_rate = energy_by_rate(stretch, len(charge.rates))
    if charge.tiers is None:
        table = [[energy_milliwh] for energy_milliwh in by_rate]
    elif charge.tiers.mode is TierMode.PRO_RATA:
        table = cells_pro_rata(by_rate, count.total_milliwh, stretch.limits_milliwh)
    else:
        used = [count.by_rate_milliwh.get(rate.code, 0) for rate in charge.rates]
        table = cells_per_period(by_rate, used, stretch.limits_milliwh)
    for rate, row in enumerate(table):
        if by_rate[rate]:
            is_held = stretch.rate_index == rate
            estimated_milliwh = int(stretch.rows.energy_milliwh[is_held & stretch.rows.is_estimated].sum())
            share, interval_count = Fraction(estimated_milliwh, by_rate[rate]), int(is_held.sum())
            yield from (
                Cell(rate, tier, quantity, share, interval_count) for tier, quantity in enumerate(row)
            )
