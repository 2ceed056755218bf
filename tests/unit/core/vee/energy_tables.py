"""Small tables and series for the tests of this folder."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.table import EnergyTable

QUARTER_S = 900
DAY_S = 86_400
DAY = 96


def table(energy: Any, *, interval_s: int = QUARTER_S) -> EnergyTable:
    """Return a table from time 0 in which everything is present; series are numbered from 0."""
    array = np.atleast_2d(np.array(energy, dtype=np.int64))
    starts_at_s = interval_s * np.arange(array.shape[1])
    return EnergyTable(
        np.arange(len(array)), starts_at_s, interval_s, array, np.ones(array.shape, dtype=np.bool_)
    )


def bounds(days: int) -> NDArray[np.int64]:
    """Return the bounds of so many days from time 0."""
    return DAY_S * np.arange(days + 1)


def nowhere(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask of nothing."""
    return np.zeros(shape, dtype=np.bool_)


def series(values: list[int | None], *, interval_s: int = QUARTER_S, registers: bool = True) -> Intervals:
    """Return a measured series from time 0; None is missing, with a gap that registers bracket or not.

    The registers say that 1000 was used in each missing interval.
    """
    missing = np.array([value is None for value in values], dtype=np.bool_)
    energy = np.array([value or 0 for value in values], dtype=np.int64)
    edges = np.flatnonzero(np.diff(missing, prepend=False, append=False)).tolist()
    gaps = [
        Gap(first, end, 1000 * (end - first) if registers else None, is_exact=registers)
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    ]
    known = np.where(missing, 1000, energy)
    nothing = np.zeros(len(values), dtype=np.int64)
    return Intervals(
        interval_s,
        interval_s * np.arange(len(values)),
        energy,
        np.where(missing, int(Provenance.MISSING), int(Provenance.MEASURED)),
        nothing,
        nothing.copy(),
        np.ones(len(values), dtype=np.bool_),
        np.concatenate(([0], np.cumsum(known))),
        np.zeros(len(values) + 1, dtype=np.int64),
        tuple(gaps),
        (),
    )
