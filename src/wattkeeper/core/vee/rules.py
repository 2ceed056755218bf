"""Validation rules over interval energy: pure array functions, one finding for each thing noticed.

Rule numbers, defaults and where they come from: the head of each function. Energy in milliwatt-hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s

Mask = NDArray[np.bool_]

SPIKE_PCT = 180
DEMAND_PCT = 110
ZERO_DAY_COUNT = 30
CONSTANT_COUNT = 12


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
        return Finding(
            rule,
            starts_at_s=int(self.starts_at_s[first]),
            ends_at_s=int(self.starts_at_s[end - 1]) + self.interval_s,
            evidence={name: int(number) for name, number in evidence.items()},
            series_id=int(self.series_id[series]),
        )

    def spans(self, bounds_s: Int64s) -> list[tuple[int, int]]:
        """Return the index ranges of the periods between consecutive `bounds_s` that hold any interval."""
        edges = np.searchsorted(self.starts_at_s, bounds_s)
        pairs = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        return [(first, end) for first, end in pairs if end > first]


def find_wrong_counts(table: EnergyTable, *, day_bounds_s: Int64s, is_installed: Mask) -> list[Finding]:
    """V02 ``vee.interval-count``: a local day with more or fewer present intervals than its length asks for.

    Expected are (end - start) / interval of the local day in UTC: 92, 96 or 100 quarters. `day_bounds_s` must
    be whole local days that the table covers; days in which no meter was installed at some time, given by
    `is_installed` (series, intervals), are left out.
    """
    edges = np.searchsorted(table.starts_at_s, day_bounds_s)
    present_count, installed_count = (
        np.diff(np.cumsum(np.pad(mask, ((0, 0), (1, 0))), axis=1)[:, edges], axis=1)
        for mask in (table.is_present, is_installed)
    )
    expected_count = np.diff(day_bounds_s) // table.interval_s
    is_wrong = (present_count != expected_count) & (installed_count == expected_count)
    return [
        Finding(
            "vee.interval-count",
            starts_at_s=int(day_bounds_s[day]),
            ends_at_s=int(day_bounds_s[day + 1]),
            evidence={
                "expected_count": int(expected_count[day]),
                "present_count": int(present_count[series, day]),
            },
            series_id=int(table.series_id[series]),
        )
        for series, day in np.argwhere(is_wrong).tolist()
    ]


def find_spikes(
    table: EnergyTable, *, bounds_s: Int64s, floor_milliwh: Int64s, spike_pct: int = SPIKE_PCT
) -> list[Finding]:
    """V08 ``vee.spike``: the highest interval of a day exceeds the third highest by more than `spike_pct`.

    Default 180 % (California, UBP; Oracle Interval Spike compares with the third highest so that two peaks do
    not hide one another). Not applied where the third highest is 0 or the highest is below `floor_milliwh`
    (series,).
    """
    findings = []
    for first, end in table.spans(bounds_s):
        if end - first < 3:
            continue
        energy = np.where(table.is_present[:, first:end], table.energy_milliwh[:, first:end], 0)
        top = np.partition(energy, -3, axis=1)[:, -3:]
        third, highest = top[:, 0], top[:, 2]
        is_spike = (highest - third > third * spike_pct // 100) & (third > 0) & (highest >= floor_milliwh)
        for series in np.flatnonzero(is_spike).tolist():
            at = first + int(np.argmax(energy[series]))
            findings.append(
                table.finding(
                    "vee.spike",
                    series,
                    at,
                    at + 1,
                    energy_milliwh=highest[series],
                    third_highest_milliwh=third[series],
                    threshold_pct=spike_pct,
                )
            )
    return findings


def find_demand_over_limit(
    table: EnergyTable, *, power_max_w: Int64s, demand_pct: int = DEMAND_PCT
) -> list[Finding]:
    """V09 ``vee.max-demand``: mean power of an interval above `demand_pct` of what the service carries.

    Default 110 % (Itron Demand High Limit). `power_max_w` has shape (series,).
    """
    limit_milliwh = power_max_w * 1000 * table.interval_s * demand_pct // (3600 * 100)
    is_over = table.is_present & (table.energy_milliwh > limit_milliwh[:, np.newaxis])
    return [
        table.finding(
            "vee.max-demand",
            series,
            at,
            at + 1,
            energy_milliwh=table.energy_milliwh[series, at],
            limit_milliwh=limit_milliwh[series],
        )
        for series, at in np.argwhere(is_over).tolist()
    ]


def find_zero_consumption(
    table: EnergyTable, *, is_excused: Mask, day_count: int = ZERO_DAY_COUNT
) -> list[Finding]:
    """V13 ``vee.zero-consumption``: an active series without any energy for `day_count` days or more.

    Default 30 days (Oracle Zero Consumption; AEMO reason 68). `is_excused` (series, intervals): known outage
    or disconnection, which ends a run; so does a missing interval.
    """
    is_zero = table.is_present & (table.energy_milliwh == 0) & ~is_excused
    length = day_count * 86_400 // table.interval_s
    return [
        table.finding("vee.zero-consumption", series, first, end, day_count=day_count)
        for series, first, end in iter_runs(is_zero)
        if end - first >= length
    ]


def find_negative(table: EnergyTable) -> list[Finding]:
    """V16 ``vee.negative``: energy below zero in a series of one direction (Oracle Negative Consumption)."""
    return [
        table.finding("vee.negative", series, at, at + 1, energy_milliwh=table.energy_milliwh[series, at])
        for series, at in np.argwhere(table.is_present & (table.energy_milliwh < 0)).tolist()
    ]


def find_constant(table: EnergyTable, *, floor_milliwh: Int64s, count: int = CONSTANT_COUNT) -> list[Finding]:
    """V19 ``vee.constant``: `count` or more equal non-zero intervals in a row.

    Default 12 (Oracle Consecutive Interval Check). Values below `floor_milliwh` (series,) are left out: with
    few register steps to an interval, equal values mean nothing.
    """
    energy, is_present = table.energy_milliwh, table.is_present
    counts = is_present & (energy != 0) & (energy >= floor_milliwh[:, np.newaxis])
    is_same = counts[:, 1:] & counts[:, :-1] & (energy[:, 1:] == energy[:, :-1])
    return [
        table.finding(
            "vee.constant",
            series,
            first,
            end + 1,
            energy_milliwh=energy[series, first],
            interval_count=end + 1 - first,
        )
        for series, first, end in iter_runs(is_same)
        if end + 1 - first >= count
    ]


def iter_runs(mask: Mask) -> Iterator[tuple[int, int, int]]:
    """Yield (row, first, end) of each run of True in each row of `mask`, shape (rows, n)."""
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    edges = np.diff(padded, axis=1)
    firsts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    for (row, first), (_, end) in zip(firsts.tolist(), ends.tolist(), strict=True):
        yield row, first, end
