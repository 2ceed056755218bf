"""A city's day of register reads with its truth: gaps, wrong reads, surges and rollovers, all known.

Shares no code with what is measured. Registers count hundredths of a kilowatt-hour and have eight digits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INTERVAL_S = 900
READS = 96
MODULUS = 10**8
STEP_MILLIWH = 10_000
POWER_MAX_W = 20_000
GAP_SHARE = 0.005
GAP_MEAN = 4
WRONG_SHARE = 0.002  # of series, each with one wrong read
SURGE_SHARE = 0.002  # of series, each with one surge
ROLLOVER_SHARE = 0.005  # of series

Int64s = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Day:
    """One day of some series, shape (series, ...): `energy` counts of 96 intervals; `register` 97 true
    values; `told` what the meters say; `is_read` which of the 97 arrive (the opening always did)."""

    energy: Int64s
    register: Int64s
    told: Int64s
    is_read: Mask
    is_wrong: Mask
    surge_index: Int64s  # -1 for none
    rolls: Mask

    @property
    def is_known(self) -> Mask:
        """Which of the 97 boundaries are truly known."""
        return self.is_read & ~self.is_wrong


def make_day(series_count: int, seed: int) -> Day:
    """Return the day of an even number of series: import and export by turns; one fault a kind at least."""
    chance = np.random.default_rng(seed)
    energy = _loads(series_count, chance)
    surge_index = np.full(series_count, -1)
    chosen = np.flatnonzero(chance.random(series_count) < SURGE_SHARE)
    if not len(chosen):
        chosen = np.array([0])
    surge_index[chosen] = chance.integers(8, READS - 8, len(chosen))
    energy[chosen, surge_index[chosen]] = chance.integers(330, 480, len(chosen))
    opening = chance.integers(0, MODULUS // 2, series_count)
    is_full = chance.random(series_count) < ROLLOVER_SHARE
    is_full[series_count // 4 * 2] |= not is_full.any()  # an import: its energy surely fills the register
    opening[is_full] = MODULUS - chance.integers(1, 400, int(is_full.sum()))
    unwrapped = np.concatenate((opening[:, None], opening[:, None] + np.cumsum(energy, axis=1)), axis=1)
    register = unwrapped % MODULUS
    is_read = _arrivals(series_count, chance)
    is_calm = np.ones((series_count, READS + 1), dtype=np.bool_)
    is_calm[chosen[:, None], surge_index[chosen, None] + np.arange(-1, 3)] = False
    is_read |= ~is_calm
    if is_read.all():
        is_read[-1, READS // 2] = not is_calm[-1, READS // 2]
    is_wrong = np.zeros_like(is_read)
    told = register.copy()
    rows = np.flatnonzero(chance.random(series_count) < WRONG_SHARE)
    at = chance.integers(4, READS - 4, len(rows))
    beside = is_calm[rows[:, None], at[:, None] + np.arange(-2, 3)].all(axis=1)
    beside &= is_read[rows[:, None], at[:, None] + np.arange(-2, 3)].all(axis=1)
    rows, at = rows[beside & ~is_full[rows]], at[beside & ~is_full[rows]]
    if not len(rows):
        rows, at = _a_quiet_place(is_calm & is_read & ~is_full[:, None])
    is_wrong[rows, at] = True
    told[rows, at] += chance.integers(2_000, 50_000, len(rows))
    return Day(energy, register, told, is_read, is_wrong, surge_index, unwrapped[:, -1] >= MODULUS)


def _a_quiet_place(is_quiet: Mask) -> tuple[Int64s, Int64s]:
    """Return row and place of the first read with two quiet ones on either side, clear of the ends."""
    width = READS + 1
    around = np.logical_and.reduce([is_quiet[:, 2 + step : width - 2 + step] for step in range(-2, 3)])
    row, at = np.nonzero(around[:, 2:-3])
    return row[:1], at[:1] + 4


def _loads(series_count: int, chance: np.random.Generator) -> Int64s:
    """Homes by evening, roofs by day; every interval differs from its neighbours more often than not."""
    hour = np.arange(READS) / 4
    evening = 12 + 18 * np.exp(-(((hour - 19.5) / 2.5) ** 2)) + 8 * np.exp(-(((hour - 8) / 1.5) ** 2))
    sun = np.maximum(0, 30 * np.sin((hour - 6) / 12 * np.pi)) * ((hour > 6) & (hour < 18))
    shape = np.stack((evening, sun))[np.arange(series_count) % 2]
    scale = chance.uniform(0.5, 1.5, (series_count, 1))
    return chance.poisson(shape * scale + 1).astype(np.int64)


def _arrivals(series_count: int, chance: np.random.Generator) -> Mask:
    """Lose `GAP_SHARE` of the reads in runs of geometric length; the opening read is always there."""
    starts = chance.random((series_count, READS)) < GAP_SHARE / GAP_MEAN
    row, at = np.nonzero(starts)
    length = chance.geometric(1 / GAP_MEAN, len(row))
    is_read = np.ones((series_count, READS + 1), dtype=np.bool_)
    for step in range(int(length.max(initial=0))):
        inside = (length > step) & (at + 1 + step <= READS)
        is_read[row[inside], at[inside] + 1 + step] = False
    return is_read
