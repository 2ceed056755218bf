"""Every rule over a table of series at once: one call a slice, findings only where something was found."""

from datetime import timedelta

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Period, from_seconds, local_days, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.readings.plain_table import IntervalTable, gaps_of
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.register_rules import find_sum_mismatches
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rules import (
    EnergyTable,
    find_constant,
    find_demand_over_limit,
    find_negative,
    find_spikes,
    find_wrong_counts,
    find_zero_consumption,
)


def as_table(intervals: Intervals, series_id: int) -> IntervalTable:
    """Return one series as a table of one row."""
    return IntervalTable(
        series_id=np.array([series_id], dtype=np.int64),
        interval_s=intervals.interval_s,
        starts_at_s=intervals.starts_at_s,
        value_milliwh=intervals.value_milliwh[np.newaxis],
        provenance=intervals.provenance[np.newaxis].astype(np.int8),
        flags=intervals.flags[np.newaxis].astype(np.int32),
        method=intervals.method[np.newaxis].astype(np.int8),
        is_installed=intervals.is_installed[np.newaxis],
        position_milliwh=intervals.position_milliwh[np.newaxis],
        position_chain=intervals.position_chain[np.newaxis].astype(np.int16),
        gaps=gaps_of(0, intervals.gaps),
        findings={0: intervals.findings},
    )


def local_day_bounds(from_s: int, to_s: int, calendar: DayCalendar) -> Int64s:
    """Return the bounds of the local days that lie whole in ``[from_s, to_s)``."""
    period = Period(from_seconds(from_s), from_seconds(to_s))
    days = list(local_days(period, calendar.zone))
    bounds = [to_seconds(local_midnight(day, calendar.zone)) for day in (*days, days[-1] + timedelta(days=1))]
    return np.array(sorted({at_s for at_s in bounds if from_s <= at_s <= to_s}), dtype=np.int64)


def validate_table(
    table: IntervalTable,
    *,
    power_max_w: Int64s,
    resolution_milliwh: Int64s,
    calendar: DayCalendar,
    rules: RuleSet,
    now_s: int,
) -> list[Finding]:
    """Return what the rules find in the series of a table, each finding with its `series_id`.

    `power_max_w` and `resolution_milliwh` (energy of one register step, primary) have shape (series,).
    """
    is_present = (table.provenance == Provenance.MEASURED) | (table.provenance == Provenance.EDITED)
    energy = EnergyTable(
        series_id=table.series_id,
        starts_at_s=table.starts_at_s,
        interval_s=table.interval_s,
        energy_milliwh=table.value_milliwh,
        is_present=is_present,
    )
    carried_milliwh = power_max_w * 1000 * table.interval_s // 3600
    bounds_s = local_day_bounds(table.from_s, table.to_s, calendar)
    return [
        *find_wrong_counts(energy, day_bounds_s=bounds_s[bounds_s <= now_s], is_installed=table.is_installed),
        *find_spikes(
            energy,
            bounds_s=bounds_s,
            floor_milliwh=carried_milliwh * rules.spike_floor_pct // 100,
            spike_pct=rules.spike_pct,
        ),
        *find_demand_over_limit(energy, power_max_w=power_max_w, demand_pct=rules.demand_pct),
        *find_zero_consumption(
            energy, is_excused=(table.flags & Flag.POWER_LOST) != 0, day_count=rules.zero_day_count
        ),
        *find_negative(energy),
        *find_constant(
            energy, floor_milliwh=resolution_milliwh * rules.constant_floor_steps, count=rules.constant_count
        ),
        *_check_sums(table, resolution_milliwh, bounds_s),
    ]


def _check_sums(table: IntervalTable, resolution_milliwh: Int64s, bounds_s: Int64s) -> list[Finding]:
    """Compare each whole local day with the advance of its registers where both ends are known."""
    if len(bounds_s) < 2:
        return []
    edges = (bounds_s - table.starts_at_s[0]) // table.interval_s
    chain, position = table.position_chain[:, edges], table.position_milliwh[:, edges]
    days = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    spans = [slice(first, end) for first, end in days]
    total = np.stack([table.value_milliwh[:, span].sum(axis=1) for span in spans], axis=1)
    is_missing = table.is_missing
    has_missing = np.stack([is_missing[:, span].any(axis=1) for span in spans], axis=1)
    is_known = (chain[:, :-1] >= 0) & (chain[:, :-1] == chain[:, 1:]) & ~has_missing
    advance = np.diff(position, axis=1)
    is_off = is_known & (np.abs(advance - total) > resolution_milliwh[:, np.newaxis])
    return [
        finding
        for row in np.flatnonzero(is_off.any(axis=1)).tolist()
        for finding in find_sum_mismatches(
            series_id=int(table.series_id[row]),
            bounds_s=bounds_s,
            sum_milliwh=np.where(is_known[row], total[row], advance[row]),
            advance_milliwh=advance[row],
            tolerance_milliwh=np.full(len(spans), resolution_milliwh[row]),
        )
    ]
