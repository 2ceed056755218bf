"""Validate and estimate one series: the rules of this package put together, with their defaults."""

from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.estimate import DayCalendar, estimate, line_over
from wattkeeper.core.vee.plain_validate import as_table, validate_table
from wattkeeper.core.vee.rule_set import DISPUTING_RULES, RuleSet, SeriesLimits

__all__ = ["RuleSet", "SeriesLimits", "estimate_window", "needs_history", "validate_and_estimate"]


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
    window = estimate_window(derived, calendar=calendar, from_s=from_s, to_s=to_s, now_s=now_s, rules=rules)
    findings = _validate(window, limits, calendar, rules, now_s)
    return _mark_validated(window, findings), (*_overlapping(derived.findings, from_s, to_s), *findings)


def estimate_window(
    derived: Intervals, *, calendar: DayCalendar, from_s: int, to_s: int, now_s: int, rules: RuleSet
) -> Intervals:
    """Return ``[from_s, to_s)`` of `derived` with the gaps estimated that touch it and may be by now."""
    first = (from_s - int(derived.starts_at_s[0])) // derived.interval_s
    end = first + (to_s - from_s) // derived.interval_s
    ripe_s = now_s - rules.estimate_after_s
    gaps = [
        _ripen(derived, gap, ripe_s)
        for gap in derived.gaps
        if first < gap.end_index and gap.first_index < end
    ]
    filled = estimate(derived, calendar, [gap for gap in gaps if gap.first_index < gap.end_index])
    return cut_window(filled, first, end)


def needs_history(derived: Intervals, now_s: int, rules: RuleSet) -> bool:
    """Whether any gap may be estimated now that no line between its own neighbours closes."""
    ripe = (_ripen(derived, gap, now_s - rules.estimate_after_s) for gap in derived.gaps)
    return any(gap.first_index < gap.end_index and line_over(derived, gap) is None for gap in ripe)


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


def _validate(
    window: Intervals, limits: SeriesLimits, calendar: DayCalendar, rules: RuleSet, now_s: int
) -> tuple[Finding, ...]:
    return tuple(
        validate_table(
            as_table(window, limits.series_id),
            power_max_w=np.array([limits.power_max_w]),
            resolution_milliwh=np.array([limits.resolution_milliwh]),
            calendar=calendar,
            rules=rules,
            now_s=now_s,
        )
    )


def _mark_validated(window: Intervals, findings: tuple[Finding, ...]) -> Intervals:
    is_valid = (window.provenance == Provenance.MEASURED) & ((window.flags & Flag.SUSPECT) == 0)
    for finding in findings:
        if finding.rule in DISPUTING_RULES:
            is_valid &= (window.starts_at_s >= finding.ends_at_s) | (window.starts_at_s < finding.starts_at_s)
    return replace(window, flags=window.flags | np.where(is_valid, Flag.VALIDATED, 0))


def _overlapping(findings: tuple[Finding, ...], from_s: int, to_s: int) -> list[Finding]:
    return [finding for finding in findings if finding.starts_at_s < to_s and finding.ends_at_s > from_s]
