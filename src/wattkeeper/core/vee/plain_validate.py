"""The rules over derived tables: what a table of intervals knows, put in the words of the rules."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Period, from_seconds, local_days, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.readings.plain_table import IntervalTable, gaps_of
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.registry import Rule, Scope
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.table import EnergyTable, Mask
from wattkeeper.core.vee.validate import Known, run_rules


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
        is_confirmed=None if intervals.is_confirmed is None else intervals.is_confirmed[np.newaxis],
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
    has_registers: bool = True,
) -> list[Finding]:
    """Return what the rules find in the series of a table, each finding with its `series_id`.

    `power_max_w` and `resolution_milliwh` (energy of one register step, primary) have shape (series,). Rules
    that dispute look at estimates too where the rule set wants them checked again. Without registers the
    positions of the table are sums of its own intervals and check nothing.
    """
    known = know(table, power_max_w, resolution_milliwh, calendar, now_s)
    if not has_registers:
        known = replace(known, register_milliwh=None, register_chain=None)
    energy = _energy_of(table, is_estimate_present=False)
    if not rules.estimation.is_checked_again:
        return run_rules(energy, known, rules, rules.rules(Scope.INTERVALS))
    milder: list[Rule] = []
    disputing: list[Rule] = []
    for rule in rules.rules(Scope.INTERVALS):
        (disputing if rules.is_disputing_code(rule.code) else milder).append(rule)
    again = _energy_of(table, is_estimate_present=True)
    return [*run_rules(energy, known, rules, milder), *run_rules(again, known, rules, disputing)]


def find_disputes_to_estimate(
    table: IntervalTable,
    *,
    power_max_w: Int64s,
    resolution_milliwh: Int64s,
    calendar: DayCalendar,
    rules: RuleSet,
    now_s: int,
) -> list[Finding]:
    """Return what those rules find, before anything is estimated, whose findings are estimated anew."""
    known = know(table, power_max_w, resolution_milliwh, calendar, now_s)
    return run_rules(_energy_of(table, is_estimate_present=False), known, rules, rules.estimating_rules)


def find_rows_to_estimate(
    table: IntervalTable,
    *,
    power_max_w: Int64s,
    resolution_milliwh: Int64s,
    calendar: DayCalendar,
    rules: RuleSet,
    now_s: int,
) -> Mask:
    """Return which series, shape (series,), have measured intervals that are to be estimated anew."""
    is_found = np.zeros(len(table), dtype=np.bool_)
    if rules.estimating_rules:
        found = find_disputes_to_estimate(
            table,
            power_max_w=power_max_w,
            resolution_milliwh=resolution_milliwh,
            calendar=calendar,
            rules=rules,
            now_s=now_s,
        )
        is_found[np.searchsorted(table.series_id, [finding.series_id or 0 for finding in found])] = True
    return is_found


def know(
    table: IntervalTable, power_max_w: Int64s, resolution_milliwh: Int64s, calendar: DayCalendar, now_s: int
) -> Known:
    """Return what a derived table knows beside its energy, for the whole local days that it covers."""
    bounds_s = local_day_bounds(table.from_s, table.to_s, calendar)
    edges = (bounds_s - table.starts_at_s[0]) // table.interval_s
    is_missing = table.is_missing
    return Known(
        day_bounds_s=bounds_s,
        now_s=now_s,
        power_max_w=power_max_w,
        resolution_milliwh=resolution_milliwh,
        is_installed=table.is_installed,
        is_excused=(table.flags & np.int32(Flag.POWER_LOST)) != 0,
        is_confirmed=_find_confirmed_days(table, bounds_s, edges),
        is_filled=~is_missing,
        is_estimated=table.provenance == Provenance.ESTIMATED,
        register_milliwh=table.position_milliwh[:, edges],
        register_chain=table.position_chain[:, edges].astype(np.int64),
    )


def _find_confirmed_days(table: IntervalTable, bounds_s: Int64s, edges: Int64s) -> Mask:
    """Return for which days (series, days) registers that were read apart confirm all that was measured."""
    if table.is_confirmed is None:
        return np.zeros((len(table), max(0, len(bounds_s) - 1)), dtype=np.bool_)
    is_sure = table.is_confirmed & (table.provenance == Provenance.MEASURED)
    energy = _energy_of(table, is_estimate_present=False)
    confirmed: Mask = energy.counts(is_sure, bounds_s) == np.diff(edges)
    return confirmed


def _energy_of(table: IntervalTable, *, is_estimate_present: bool) -> EnergyTable:
    is_present = (table.provenance == Provenance.MEASURED) | (table.provenance == Provenance.EDITED)
    if is_estimate_present:
        is_present |= table.provenance == Provenance.ESTIMATED
    return EnergyTable(
        series_id=table.series_id,
        starts_at_s=table.starts_at_s,
        interval_s=table.interval_s,
        energy_milliwh=table.value_milliwh,
        is_present=is_present,
    )


def find_disputed(
    table: IntervalTable, found: Iterable[Finding], rules: RuleSet
) -> list[tuple[int, int, int]]:
    """Return (row, first, end) of the intervals that disputing findings name."""
    spans = []
    for finding in found:
        if finding.series_id is not None and rules.is_disputing_code(finding.rule):
            row = int(np.searchsorted(table.series_id, finding.series_id))
            first, end = np.searchsorted(table.starts_at_s, (finding.starts_at_s, finding.ends_at_s)).tolist()
            spans.append((row, first, end))
    return spans
