"""Validate and estimate one series: the rules of this package put together, with their defaults."""

from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Period, from_seconds, local_days, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.estimate import DayCalendar, estimate
from wattkeeper.core.vee.register_rules import find_sum_mismatches
from wattkeeper.core.vee.rules import (
    CONSTANT_COUNT,
    DEMAND_PCT,
    SPIKE_PCT,
    ZERO_DAY_COUNT,
    EnergyTable,
    find_constant,
    find_demand_over_limit,
    find_negative,
    find_spikes,
    find_wrong_counts,
    find_zero_consumption,
)

DISPUTING_RULES = frozenset({"vee.spike", "vee.max-demand", "vee.negative", "vee.sum-check"})


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Thresholds of the rules; `code` is stored with every run."""

    code: str = "default-1"
    spike_pct: int = SPIKE_PCT
    spike_floor_pct: int = 50  # of what the service carries in an interval; below it a peak is ordinary use
    demand_pct: int = DEMAND_PCT
    zero_day_count: int = ZERO_DAY_COUNT
    constant_count: int = CONSTANT_COUNT
    constant_floor_steps: int = 50  # register steps an interval must hold before equal values mean anything
    estimate_after_s: int = 86_400  # how long to wait for reads before estimating what no register brackets


@dataclass(frozen=True, slots=True)
class SeriesLimits:
    """What one series can carry and resolve: largest power, and energy of one register step (primary)."""

    series_id: int
    power_max_w: int
    resolution_milliwh: int


def validate_and_estimate(
    derived: Intervals,
    *,
    limits: SeriesLimits,
    calendar: DayCalendar,
    from_s: int,
    to_s: int,
    now_s: int,
    rules: RuleSet | None = None,
) -> tuple[Intervals, tuple[Finding, ...]]:
    """Return the series over ``[from_s, to_s)`` with its gaps estimated, and what the rules found.

    `derived` holds that window and around it whatever history there is to learn from. Gaps outside the window
    are left alone. What no register brackets is estimated once it is `estimate_after_s` old. A measured
    interval that no rule disputes gets the flag VALIDATED.
    """
    rules = rules or RuleSet()
    first = (from_s - int(derived.starts_at_s[0])) // derived.interval_s
    end = first + (to_s - from_s) // derived.interval_s
    ripe_s = now_s - rules.estimate_after_s
    gaps = [
        _ripen(derived, gap, ripe_s)
        for gap in derived.gaps
        if first < gap.end_index and gap.first_index < end
    ]
    filled = estimate(derived, calendar, [gap for gap in gaps if gap.first_index < gap.end_index])
    window = cut_window(filled, first, end)
    findings = _validate(window, limits, calendar, rules, now_s)
    return _mark_validated(window, findings), (*_overlapping(derived.findings, from_s, to_s), *findings)


def has_ripe_gap(derived: Intervals, now_s: int, rules: RuleSet) -> bool:
    """Whether any gap may be estimated now, so that history is needed."""
    ripe = (_ripen(derived, gap, now_s - rules.estimate_after_s) for gap in derived.gaps)
    return any(gap.first_index < gap.end_index for gap in ripe)


def _ripen(derived: Intervals, gap: Gap, ripe_s: int) -> Gap:
    """Return what may be estimated of a gap: all of it where reads follow, else what is old enough.

    Nothing where no read was ever made before it.
    """
    if gap.first_index == 0 and derived.position_chain[0] < 0:
        return replace(gap, end_index=gap.first_index)
    if derived.position_chain[gap.end_index] >= 0:
        return gap
    ripe_index = (ripe_s - int(derived.starts_at_s[0])) // derived.interval_s
    return replace(gap, end_index=min(gap.end_index, max(gap.first_index, ripe_index)))


def cut_window(intervals: Intervals, first: int, end: int) -> Intervals:
    """Return the intervals ``[first, end)`` with their gaps, indices counted from `first`."""
    span = slice(first, end)
    gaps = [
        replace(
            gap, first_index=max(gap.first_index, first) - first, end_index=min(gap.end_index, end) - first
        )
        for gap in intervals.gaps
        if gap.first_index < end and gap.end_index > first
    ]
    return replace(
        intervals,
        starts_at_s=intervals.starts_at_s[span],
        value_milliwh=intervals.value_milliwh[span],
        provenance=intervals.provenance[span],
        flags=intervals.flags[span],
        method=intervals.method[span],
        is_installed=intervals.is_installed[span],
        position_milliwh=intervals.position_milliwh[first : end + 1],
        position_chain=intervals.position_chain[first : end + 1],
        gaps=tuple(gaps),
    )


def local_day_bounds(from_s: int, to_s: int, calendar: DayCalendar) -> Int64s:
    """Return the bounds of the local days that lie whole in ``[from_s, to_s)``."""
    period = Period(from_seconds(from_s), from_seconds(to_s))
    days = list(local_days(period, calendar.zone))
    bounds = [to_seconds(local_midnight(day, calendar.zone)) for day in (*days, days[-1] + timedelta(days=1))]
    return np.array(sorted({at_s for at_s in bounds if from_s <= at_s <= to_s}), dtype=np.int64)


def _validate(
    window: Intervals, limits: SeriesLimits, calendar: DayCalendar, rules: RuleSet, now_s: int
) -> tuple[Finding, ...]:
    is_present = (window.provenance == Provenance.MEASURED) | (window.provenance == Provenance.EDITED)
    table = EnergyTable(
        series_id=np.array([limits.series_id]),
        starts_at_s=window.starts_at_s,
        interval_s=window.interval_s,
        energy_milliwh=window.value_milliwh[np.newaxis],
        is_present=is_present[np.newaxis],
    )
    power_max_w = np.array([limits.power_max_w])
    carried_milliwh = power_max_w * 1000 * window.interval_s // 3600
    floor_milliwh = np.array([limits.resolution_milliwh * rules.constant_floor_steps])
    from_s = int(window.starts_at_s[0])
    bounds_s = local_day_bounds(from_s, from_s + len(window) * window.interval_s, calendar)
    past_s = bounds_s[bounds_s <= now_s]
    excused = ((window.flags & Flag.POWER_LOST) != 0)[np.newaxis]
    return (
        *find_wrong_counts(table, day_bounds_s=past_s, is_installed=window.is_installed[np.newaxis]),
        *find_spikes(
            table,
            bounds_s=bounds_s,
            floor_milliwh=carried_milliwh * rules.spike_floor_pct // 100,
            spike_pct=rules.spike_pct,
        ),
        *find_demand_over_limit(table, power_max_w=power_max_w, demand_pct=rules.demand_pct),
        *find_zero_consumption(table, is_excused=excused, day_count=rules.zero_day_count),
        *find_negative(table),
        *find_constant(table, floor_milliwh=floor_milliwh, count=rules.constant_count),
        *_check_sums(window, limits, bounds_s),
    )


def _check_sums(window: Intervals, limits: SeriesLimits, bounds_s: Int64s) -> list[Finding]:
    """Compare each whole local day with the advance of its registers where both ends are known."""
    if len(bounds_s) < 2:
        return []
    edges = (bounds_s - window.starts_at_s[0]) // window.interval_s
    chain, position = window.position_chain[edges], window.position_milliwh[edges]
    running = np.concatenate(([0], np.cumsum(window.value_milliwh)))
    missing = np.concatenate(
        ([0], np.cumsum(window.is_installed & (window.provenance == Provenance.MISSING)))
    )
    is_known = (chain[:-1] >= 0) & (chain[:-1] == chain[1:]) & (np.diff(missing[edges]) == 0)
    advance = np.diff(position)
    return find_sum_mismatches(
        series_id=limits.series_id,
        bounds_s=bounds_s,
        sum_milliwh=np.where(is_known, np.diff(running[edges]), advance),
        advance_milliwh=advance,
        tolerance_milliwh=np.full(len(advance), limits.resolution_milliwh),
    )


def _mark_validated(window: Intervals, findings: tuple[Finding, ...]) -> Intervals:
    is_valid = (window.provenance == Provenance.MEASURED) & ((window.flags & Flag.SUSPECT) == 0)
    for finding in findings:
        if finding.rule in DISPUTING_RULES:
            is_valid &= (window.starts_at_s >= finding.ends_at_s) | (window.starts_at_s < finding.starts_at_s)
    return replace(window, flags=window.flags | np.where(is_valid, Flag.VALIDATED, 0))


def _overlapping(findings: tuple[Finding, ...], from_s: int, to_s: int) -> list[Finding]:
    return [finding for finding in findings if finding.starts_at_s < to_s and finding.ends_at_s > from_s]
