"""Validation rules over single intervals: pure array functions, one finding for each thing noticed.

Rule number, default and where it comes from: the head of each function. Energy in milliwatt-hours. What a
rule needs to know beside the energy and its thresholds are keyword arguments, named in `registry`.
"""

from itertools import pairwise

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.table import EnergyTable, Mask, find_daily_runs, find_places

SPIKE_PCT = 180
SPIKE_FLOOR_PCT = 50
DEMAND_PCT = 110
JUMP_PCT = 500
JUMP_FLOOR_PCT = 50


def carried_milliwh(power_max_w: Int64s, interval_s: int, part_pct: int = 100) -> Int64s:
    """Return the energy (series,) that a part of the service's power carries in an interval."""
    return power_max_w * 1000 * interval_s * part_pct // (3600 * 100)


def find_spikes(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    power_max_w: Int64s,
    is_confirmed: Mask,
    spike_pct: int = SPIKE_PCT,
    spike_floor_pct: int = SPIKE_FLOOR_PCT,
) -> list[Finding]:
    """V08 ``vee.spike``: the highest interval of a day exceeds the third highest by more than `spike_pct`.

    Default 180 % (California, UBP; Oracle Interval Spike compares with the third highest so that two peaks do
    not hide one another). Not applied where the third highest is 0 or the highest is below `spike_floor_pct`
    (default 50) of what the service carries, `power_max_w` (series,): ordinary use; nor on days,
    `is_confirmed` (series, days), whose energy registers confirm that were read apart from the intervals, a
    daily freeze beside a load profile: the peak was used.
    """
    floor_milliwh = carried_milliwh(power_max_w, table.interval_s, spike_floor_pct)
    findings = []
    for day, (first, end) in enumerate(pairwise(table.edges(day_bounds_s).tolist())):
        if end - first < 3:
            continue
        is_high = table.energy_milliwh[:, first:end].max(axis=1) >= floor_milliwh
        rows = np.flatnonzero(is_high & ~is_confirmed[:, day])
        energy = np.where(table.is_present[rows, first:end], table.energy_milliwh[rows, first:end], 0)
        top = np.partition(energy, -3, axis=1)[:, -3:]
        third, highest = top[:, 0], top[:, 2]
        is_spike = (
            (highest - third > third * spike_pct // 100) & (third > 0) & (highest >= floor_milliwh[rows])
        )
        for place in np.flatnonzero(is_spike).tolist():
            at = first + int(np.argmax(energy[place]))
            findings.append(
                table.finding(
                    "vee.spike",
                    int(rows[place]),
                    at,
                    at + 1,
                    energy_milliwh=highest[place],
                    third_highest_milliwh=third[place],
                    threshold_pct=spike_pct,
                )
            )
    return findings


def find_demand_over_limit(
    table: EnergyTable, *, power_max_w: Int64s, demand_pct: int = DEMAND_PCT
) -> list[Finding]:
    """V09 ``vee.max-demand``: mean power of an interval above `demand_pct` of what the service carries.

    Default 110 % (Itron Demand High Limit; in China K times the contract capacity). `power_max_w` (series,).
    """
    limit_milliwh = carried_milliwh(power_max_w, table.interval_s, demand_pct)
    is_over = table.energy_milliwh > limit_milliwh[:, np.newaxis]
    return [
        table.finding(
            "vee.max-demand",
            series,
            at,
            at + 1,
            energy_milliwh=table.energy_milliwh[series, at],
            limit_milliwh=limit_milliwh[series],
        )
        for series, at in find_places(is_over)
        if table.is_present[series, at]
    ]


def find_jumps(
    table: EnergyTable,
    *,
    day_bounds_s: Int64s,
    power_max_w: Int64s,
    jump_pct: int = JUMP_PCT,
    jump_floor_pct: int = JUMP_FLOOR_PCT,
) -> list[Finding]:
    """V10 ``vee.jump``: an interval differs from the one before in its local day by more than `jump_pct`.

    Itron Demand Tolerance Consecutive Intervals, whose threshold the user sets; default 500 %. A kettle does
    as much, so the step must also exceed `jump_floor_pct` (default 50) of what the service carries,
    `power_max_w` (series,), and the rule is off until a rule set asks for it. The first of a day has none
    before it: what is found of a day is the same whether the day before is looked at with it or not.
    """
    floor_milliwh = carried_milliwh(power_max_w, table.interval_s, jump_floor_pct)
    before = table.energy_milliwh[:, :-1]
    step = np.abs(np.diff(table.energy_milliwh, axis=1))
    is_jump = step > floor_milliwh[:, np.newaxis]
    if not is_jump.any():
        return []
    is_jump &= table.is_present[:, 1:] & table.is_present[:, :-1]
    is_jump &= step * 100 > np.abs(before) * jump_pct
    is_jump &= ~np.isin(table.starts_at_s[1:], day_bounds_s)
    return [
        table.finding(
            "vee.jump",
            series,
            at + 1,
            at + 2,
            energy_milliwh=table.energy_milliwh[series, at + 1],
            before_milliwh=before[series, at],
            threshold_pct=jump_pct,
        )
        for series, at in find_places(is_jump)
    ]


def find_negative(table: EnergyTable, *, day_bounds_s: Int64s) -> list[Finding]:
    """V16 ``vee.negative``: energy below zero in a series of one direction (Oracle Negative Consumption).

    One finding for each run of such intervals in a local day.
    """
    return [
        table.finding(
            "vee.negative",
            series,
            first,
            end,
            energy_milliwh=table.energy_milliwh[series, first:end].sum(),
            interval_count=end - first,
        )
        for series, first, end in find_daily_runs(
            table, table.is_present & (table.energy_milliwh < 0), day_bounds_s
        )
    ]
