"""Validation rules over whole local days: what is missing, what is used where nothing should be."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.table import EnergyTable, Mask, find_daily_runs, find_long_runs

DUE_DAY_COUNT = 2
SILENT_DAY_COUNT = 0
ZERO_DAY_COUNT = 30
INACTIVE_FLOOR_MILLIWH = 0
ESTIMATED_DAY_COUNT = 5


def find_wrong_counts(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    expected_count: Int64s,
    present_count: Int64s,
    is_installed: Mask,
    is_awaited: Mask,
    now_s: int,
    due_day_count: int = DUE_DAY_COUNT,
    silent_day_count: int = SILENT_DAY_COUNT,
) -> list[Finding]:
    """V02 ``vee.interval-count``: local days with fewer present intervals than their length asks for.

    Expected are (end - start) / interval of the local day in UTC: 92, 96 or 100 quarters. One finding for a
    run of such days, with the sums of both counts. `expected_count`, `present_count`, `is_installed` (a meter
    measured all day) and `is_awaited` have shape (series, days).

    A day is judged once it is `due_day_count` days old (default 2: a daily collection, repeated once). A day
    before the first that holds anything, `is_awaited`, may only not have been fetched yet, or lie beyond the
    meter's memory: it is judged when it is `silent_day_count` days old, or never (default 0).
    """
    is_due = day_bounds_s[1:] <= now_s - due_day_count * DAY_S
    is_silent = (silent_day_count > 0) & (day_bounds_s[1:] <= now_s - silent_day_count * DAY_S)
    is_short = (present_count < expected_count) & is_installed & np.where(is_awaited, is_silent, is_due)
    return [
        Finding(
            "vee.interval-count",
            starts_at_s=int(day_bounds_s[first]),
            ends_at_s=int(day_bounds_s[end]),
            evidence={
                "day_count": end - first,
                "expected_count": int(expected_count[row, first:end].sum()),
                "present_count": int(present_count[row, first:end].sum()),
            },
            series_id=int(table.series_id[row]),
        )
        for row, first, end in find_long_runs(is_short, 1)
    ]


def find_zero_consumption(
    table: EnergyTable, *, is_excused: Mask, zero_day_count: int = ZERO_DAY_COUNT
) -> list[Finding]:
    """V13 ``vee.zero-consumption``: an active series without any energy for `zero_day_count` days or more.

    Default 30 days (Oracle Zero Consumption; AEMO reason 68). `is_excused` (series, intervals): known outage
    or disconnection, which ends a run; so does a missing interval. Nothing used in an outage is a
    measurement.
    """
    length = zero_day_count * DAY_S // table.interval_s
    if table.energy_milliwh.shape[1] < length:
        return []
    is_zero = table.is_present & (table.energy_milliwh == 0) & ~is_excused
    return [
        table.finding("vee.zero-consumption", series, first, end, day_count=zero_day_count)
        for series, first, end in find_long_runs(is_zero, length)
    ]


def find_usage_on_inactive(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    is_disconnected: Mask,
    inactive_floor_milliwh: int = INACTIVE_FLOOR_MILLIWH,
) -> list[Finding]:
    """V14 ``vee.usage-on-inactive``: energy while the supply was disconnected: a revenue protection case.

    Oracle Inactive Measurement, IEC 61968-9 index 6.2. `is_disconnected` (series, intervals) marks intervals
    that lie wholly in a disconnection. One finding for each run of intervals of a local day above
    `inactive_floor_milliwh` (default 0).
    """
    is_used = is_disconnected & table.is_present & (table.energy_milliwh > inactive_floor_milliwh)
    return [
        table.finding(
            "vee.usage-on-inactive",
            series,
            first,
            end,
            energy_milliwh=table.energy_milliwh[series, first:end].sum(),
        )
        for series, first, end in find_daily_runs(table, is_used, day_bounds_s)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Days:
    """For each series and day: whether any interval, and whether every interval, of a mask is set."""

    has_any: Mask
    has_all: Mask

    @classmethod
    def of(cls, table: EnergyTable, mask: Mask, bounds_s: Int64s) -> "_Days":
        set_count = table.counts(mask, bounds_s)
        return cls(set_count > 0, set_count == np.diff(table.edges(bounds_s)))


def find_missing_siblings(
    table: EnergyTable, *, day_bounds_s: Int64s, device_id: Int64s, is_installed: Mask
) -> list[Finding]:
    """V22 ``vee.sibling-missing``: a channel has no data for a day for which another of its device has.

    Oracle: Ensure IMD Exists for Sibling MCs. `device_id` (series,): what the series of a device share. One
    finding for a run of such days, with their count.
    """
    has_data = _Days.of(table, table.is_present, day_bounds_s).has_any
    is_whole = _Days.of(table, is_installed, day_bounds_s).has_all
    devices, device_index = np.unique(device_id, return_inverse=True)
    has_device = np.zeros((len(devices), has_data.shape[1]), dtype=np.bool_)
    np.logical_or.at(has_device, device_index, has_data)
    is_lacking = has_device[device_index] & ~has_data & is_whole
    edges = table.edges(day_bounds_s)
    return [
        table.finding(
            "vee.sibling-missing",
            series,
            int(edges[first]),
            int(edges[end]),
            day_count=end - first,
            device_id=device_id[series],
        )
        for series, first, end in find_long_runs(is_lacking, 1)
    ]


def find_prolonged_estimation(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    is_estimated: Mask,
    estimated_day_count: int = ESTIMATED_DAY_COUNT,
) -> list[Finding]:
    """V23 ``vee.prolonged-estimation``: estimates on more than `estimated_day_count` days in a row.

    Oracle Prolonged Estimation: send somebody. Default 5 (Texas utilities fetch again for five days before
    they estimate by hand). `is_estimated` (series, intervals). A day counts when no interval of it was
    measured and any was estimated.
    """
    estimated = _Days.of(table, is_estimated, day_bounds_s).has_any
    measured = _Days.of(table, table.is_present, day_bounds_s).has_any
    edges = table.edges(day_bounds_s)
    return [
        table.finding(
            "vee.prolonged-estimation",
            series,
            int(edges[first]),
            int(edges[end]),
            day_count=end - first,
        )
        for series, first, end in find_long_runs(estimated & ~measured, estimated_day_count + 1)
    ]
