"""Interval energy of many series as one matrix, and the runs of intervals that rules look for in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class EnergyTable:
    """Interval energy of several series on one grid.

    `series_id` (series,); `starts_at_s` (intervals,); `energy_milliwh` and `is_present` (series, intervals),
    where present means measured or edited, not estimated.
    """

    series_id: Int64s
    starts_at_s: Int64s
    interval_s: int
    energy_milliwh: Int64s
    is_present: Mask

    def finding(self, rule: str, series: int, first: int, end: int, **evidence: int) -> Finding:
        """Return a finding of `rule` over the intervals ``[first, end)`` of the series in row `series`."""
        is_last = end == len(self.starts_at_s)
        return Finding(
            rule,
            starts_at_s=int(self.starts_at_s[first]),
            ends_at_s=int(self.starts_at_s[end - 1]) + self.interval_s
            if is_last
            else int(self.starts_at_s[end]),
            evidence={name: int(number) for name, number in evidence.items()},
            series_id=int(self.series_id[series]),
        )

    def edges(self, bounds_s: Int64s) -> Int64s:
        """Return the index of the first interval at or after each of `bounds_s`."""
        return np.searchsorted(self.starts_at_s, bounds_s).astype(np.int64)

    def sums(self, values: Int64s, bounds_s: Int64s) -> Int64s:
        """Return the sums of `values` (series, intervals) between consecutive bounds, (series, periods)."""
        edges = self.edges(bounds_s).tolist()
        parts = [values[:, first:end].sum(axis=1, dtype=np.int64) for first, end in pairwise(edges)]
        return np.stack(parts, axis=1) if parts else np.zeros((len(values), 0), dtype=np.int64)

    def counts(self, mask: Mask, bounds_s: Int64s) -> Int64s:
        """Return how often `mask` (rows, intervals) is set between consecutive bounds, (rows, periods)."""
        parts = [
            np.count_nonzero(mask[:, first:end], axis=1)
            for first, end in pairwise(self.edges(bounds_s).tolist())
        ]
        return np.stack(parts, axis=1).astype(np.int64) if parts else np.zeros((len(mask), 0), dtype=np.int64)

    def spans(self, bounds_s: Int64s) -> list[tuple[int, int]]:
        """Return the index ranges of the periods between consecutive `bounds_s` that hold any interval."""
        edges = self.edges(bounds_s).tolist()
        return [(first, end) for first, end in pairwise(edges) if end > first]


def find_places(mask: Mask) -> list[tuple[int, int]]:
    """Return (row, place) of everything set in `mask` (rows, n), in order."""
    rows = np.flatnonzero(mask.any(axis=1))
    return [(int(rows[row]), place) for row, place in np.argwhere(mask[rows]).tolist()]


def find_daily_runs(
    table: EnergyTable, mask: Mask, day_bounds_s: Int64s, count: int = 1
) -> list[tuple[int, int, int]]:
    """Return the runs of `mask` (series, intervals) of at least `count` in each local day, cut at its ends.

    What a day holds decides alone, so it does not matter which days are looked at together.
    """
    if not mask.any():
        return []
    return [
        (row, begin + first, begin + end)
        for begin, stop in table.spans(day_bounds_s)
        for row, first, end in find_long_runs(mask[:, begin:stop], count)
    ]


def iter_runs(mask: Mask) -> Iterator[tuple[int, int, int]]:
    """Yield (row, first, end) of each run of True in each row of `mask`, shape (rows, n)."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return
    padded = np.zeros((len(rows), mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask[rows]
    edges = np.diff(padded, axis=1)
    firsts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    for (place, first), (_, end) in zip(firsts.tolist(), ends.tolist(), strict=True):
        yield int(rows[place]), first, end


def find_long_runs(mask: Mask, count: int) -> list[tuple[int, int, int]]:
    """Return (row, first, end) of each run of True of at least `count` in each row of `mask`."""
    eroded, length, rows = mask, 1, np.arange(len(mask))
    while length < count:
        step = min(length, count - length)
        if eroded.shape[1] <= step:
            return []
        eroded = eroded[:, step:] & eroded[:, :-step]
        length += step
        holds = eroded.any(axis=1)
        if not holds.any():
            return []
        eroded, rows = eroded[holds], rows[holds]
    runs = iter_runs(mask[rows])
    return [(int(rows[place]), first, end) for place, first, end in runs if end - first >= count]
