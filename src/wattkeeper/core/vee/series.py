"""Validate and estimate one series: the rules of this package put together, with their defaults."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.candidates import NO_CANDIDATES, Candidates
from wattkeeper.core.vee.disputes import put_back, take_out
from wattkeeper.core.vee.edits import Edit, apply_edits
from wattkeeper.core.vee.estimate import DayCalendar, estimate, line_over
from wattkeeper.core.vee.plain_estimate import mark_validated
from wattkeeper.core.vee.plain_validate import (
    as_table,
    find_disputed,
    find_disputes_to_estimate,
    validate_table,
)
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits

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
    candidates: Candidates = NO_CANDIDATES,
    edits: Sequence[Edit] = (),
) -> tuple[Intervals, tuple[Finding, ...]]:
    """Return the series over ``[from_s, to_s)`` with its gaps estimated, and what the rules found.

    `derived` holds that window and around it whatever history there is to learn from; `candidates` have one
    element for each of its intervals. Edits come first: what they say is neither estimated nor disputed.
    Gaps outside the window are left alone. What no register brackets is estimated once it is
    `estimate_after_s` old. A measured interval that no rule disputes gets the flag VALIDATED.
    """
    rules = rules or RuleSet()
    edited, overtaken = apply_edits(derived, edits, has_registers=limits.has_registers)
    window = estimate_window(
        replace(edited, findings=(*edited.findings, *overtaken)),
        calendar=calendar,
        from_s=from_s,
        to_s=to_s,
        now_s=now_s,
        rules=rules,
        limits=limits,
        candidates=candidates,
    )
    table = as_table(window, limits.series_id)
    findings = validate_table(
        table,
        power_max_w=np.array([limits.power_max_w]),
        resolution_milliwh=np.array([limits.resolution_milliwh]),
        calendar=calendar,
        rules=rules,
        now_s=now_s,
        has_registers=limits.has_registers,
    )
    mark_validated(table, find_disputed(table, findings, rules), rules.disputing_flags)
    window = replace(window, flags=table.flags[0].astype(np.int64))
    made = (each for each in _overlapping(window.findings, from_s, to_s) if not rules.is_off(each.rule))
    once = {each.key: each for each in (*made, *findings)}
    return window, tuple(once.values())


def estimate_window(
    derived: Intervals,
    *,
    calendar: DayCalendar,
    from_s: int,
    to_s: int,
    now_s: int,
    rules: RuleSet,
    limits: SeriesLimits | None = None,
    candidates: Candidates = NO_CANDIDATES,
) -> Intervals:
    """Return ``[from_s, to_s)`` of `derived` with the gaps estimated that touch it and may be by now.

    With `limits`, measured intervals that the rule set wants estimated anew are treated as gaps, and the
    findings that say so are among those of the result.
    """
    first, end = np.searchsorted(derived.starts_at_s, (from_s, to_s)).tolist()
    found: list[Finding] = []
    has_registers = True
    if limits is not None and rules.estimating_rules:
        has_registers = limits.has_registers
        found = find_disputes_to_estimate(
            as_table(cut_window(derived, first, end), limits.series_id),
            power_max_w=np.array([limits.power_max_w]),
            resolution_milliwh=np.array([limits.resolution_milliwh]),
            calendar=calendar,
            rules=rules,
            now_s=now_s,
        )
    disputed = take_out(derived, found, has_registers=has_registers)
    ripe_s = now_s - rules.estimate_after_s
    gaps = [
        _ripen(derived, gap, ripe_s)
        for gap in disputed.intervals.gaps
        if first < gap.end_index and gap.first_index < end
    ]
    ripe = [gap for gap in gaps if gap.first_index < gap.end_index]
    estimated = estimate(
        disputed.intervals, calendar, ripe, candidates=candidates, estimation=rules.estimation
    )
    window = cut_window(_mark_unfilled(put_back(disputed, estimated, derived), ripe), first, end)
    return replace(window, findings=(*window.findings, *found))


def needs_history(derived: Intervals, now_s: int, rules: RuleSet) -> bool:
    """Whether any gap may be estimated now that no line between its own neighbours closes.

    A rule set that has measured intervals estimated anew always needs it.
    """
    if rules.estimating_rules:
        return True
    linear_max_s = rules.estimation.linear_max_s
    ripe = (_ripen(derived, gap, now_s - rules.estimate_after_s) for gap in derived.gaps)
    return any(
        gap.first_index < gap.end_index and line_over(derived, gap, linear_max_s=linear_max_s) is None
        for gap in ripe
    )


def _ripen(derived: Intervals, gap: Gap, ripe_s: int) -> Gap:
    """Return what may be estimated of a gap: all of it where reads follow, else what is old enough.

    Nothing where no read was ever made before it: what was used between an installation and a first read
    that came late, nobody knows.
    """
    if not (derived.position_chain[: gap.first_index + 1] >= 0).any():
        return replace(gap, end_index=gap.first_index)
    if derived.position_chain[gap.end_index] >= 0:
        return gap
    ripe_index = int(np.searchsorted(derived.starts_at_s, ripe_s - derived.interval_s, side="right"))
    return replace(gap, end_index=min(gap.end_index, max(gap.first_index, ripe_index)))


def _mark_unfilled(intervals: Intervals, ripe: Sequence[Gap]) -> Intervals:
    """Say of what is still missing in the ripe gaps that it waits for something to learn from."""
    is_ripe = np.zeros(len(intervals), dtype=np.bool_)
    for gap in ripe:
        is_ripe[gap.first_index : gap.end_index] = True
    is_unfilled = is_ripe & intervals.is_installed & (intervals.provenance == Provenance.MISSING)
    return replace(intervals, method=np.where(is_unfilled, Method.UNFILLED, intervals.method))


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
        is_confirmed=None if intervals.is_confirmed is None else intervals.is_confirmed[span],
        position_milliwh=intervals.position_milliwh[first : end + 1],
        position_chain=intervals.position_chain[first : end + 1],
        gaps=tuple(gaps),
    )


def _overlapping(findings: tuple[Finding, ...], from_s: int, to_s: int) -> list[Finding]:
    return [finding for finding in findings if finding.starts_at_s < to_s and finding.ends_at_s > from_s]
