"""A series derived by itself: each of its dirty windows widened, derived, validated, estimated, compared.

`plain_derive` does the same for many plain series at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span, merge_spans
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.readings.advance import AdvanceRule
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.readings.rollups import SpanDays, find_days
from wattkeeper.core.vee.candidates import NO_CANDIDATES, Candidates
from wattkeeper.core.vee.disputes import unmark_validated
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.plain_validate import local_day_bounds
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits
from wattkeeper.core.vee.rule_set_plan import RulePlan, validate_by_plan
from wattkeeper.core.vee.series import needs_history
from wattkeeper.pipeline.hints import calendar_with, candidates_before
from wattkeeper.pipeline.later import candidates_after
from wattkeeper.pipeline.open_gaps import is_folded
from wattkeeper.pipeline.ports import MeasurementRows, Ports, SeriesFacts
from wattkeeper.pipeline.read_rules import KeptReads, disputed_in_reads
from wattkeeper.pipeline.series_intervals import resolution_milliwh
from wattkeeper.pipeline.virtual import reader_of
from wattkeeper.pipeline.widen import (
    derive_history,
    widen_to_breaks,
    widen_to_estimates,
    widen_to_gaps,
    widen_to_near,
)
from wattkeeper.pipeline.window import align, find_gone, hull, join_changed, written_span


@dataclass(frozen=True, slots=True)
class DerivedSpan:
    """A span of one series, its intervals, the rows that changed and the findings of the span.

    `early`: from when to when there are reads before their time, None where there are none.
    """

    series_id: int
    span: Span
    intervals: Intervals
    rows: MeasurementRows
    findings: tuple[Finding, ...]
    days: SpanDays
    early: Span | None = None


def derive_series(
    ports: Ports,
    series_id: int,
    windows: Sequence[ClaimedWindow],
    now_s: int,
    rules: RuleSet,
    advance_rule: AdvanceRule,
) -> list[DerivedSpan]:
    """Return what the dirty windows of a series come to, in order of time; no two overlap.

    `rules`: the rule set of a series of which the registry names none.

    :raises WattkeeperError: if there is no such series or its facts contradict each other
    """
    facts = ports.registry.get_facts(series_id)
    believed = replace(ports, raw_reads=KeptReads(ports.raw_reads, now_s))
    together = join_changed(((window.from_s, window.to_s) for window in windows), facts, now_s)
    near = [align(widen_to_near(believed, facts, changed, now_s), facts, now_s) for changed in together]
    results: list[DerivedSpan] = []
    for span in merge_spans(span for span in near if span is not None):
        if results and span[1] <= results[-1].span[1]:
            continue  # widening an earlier span has taken this one in
        result = _derive_window(ports, facts, span, now_s, rules, advance_rule)
        while results and results[-1].span[1] > result.span[0]:  # it was widened over a part of the earlier
            whole = hull(results.pop().span, result.span)
            if whole != result.span:
                result = _derive_window(ports, facts, whole, now_s, rules, advance_rule)
        results.append(result)
    return results


def _derive_window(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, rules: RuleSet, advance_rule: AdvanceRule
) -> DerivedSpan:
    kept = KeptReads(ports.raw_reads, now_s)
    keeping = replace(ports, raw_reads=kept)
    asked, wider = span, widen_to_estimates(ports, facts, span, now_s)
    span, derived = widen_to_gaps(keeping, facts, wider, now_s, advance_rule)
    broken = widen_to_breaks(asked, derived, facts, now_s)
    if hull(span, broken) != span:
        wider = widen_to_estimates(ports, facts, broken, now_s)
        span, derived = widen_to_gaps(keeping, facts, wider, now_s, advance_rule)
    first_s = int(derived.starts_at_s[0])
    plan = plan_of_day = facts.rules or RulePlan.of(rules)
    if is_folded(derived):  # in the midst of a gap: the rule set that it began under
        plan, first_s = RulePlan.of(plan.at(first_s)), span[0]
    calendar = DayCalendar(facts.zone, facts.holidays)
    has_history = any(needs_history(derived, now_s, own) for _, _, own in plan.over(*span))
    if has_history:
        derived = derive_history(keeping, facts, span, derived, now_s, advance_rule)
        outer = int(derived.starts_at_s[0]), int(derived.starts_at_s[-1]) + facts.interval_s
        calendar = calendar_with(ports.hints, facts.series_id, calendar, outer)
    candidates = NO_CANDIDATES
    if derived.gaps or any(own.estimating_rules for _, _, own in plan.over(*span)):
        before = candidates_before(ports.hints, reader_of(ports), facts.series_id, derived, first_s)
        believed = replace(ports, raw_reads=KeptReads(ports.raw_reads, now_s))
        after = candidates_after(believed, facts, derived, advance_rule) if has_history else ()
        candidates = Candidates(before, after)
    intervals, findings = validate_by_plan(
        derived,
        plan=plan,
        limits=_limits_of(facts, span, calendar),
        calendar=calendar,
        from_s=span[0],
        to_s=span[1],
        now_s=now_s,
        candidates=candidates,
        edits=facts.edits,
    )
    in_reads = list(kept.judge(span, facts, plan_of_day, now_s))
    intervals = unmark_validated(intervals, disputed_in_reads(in_reads, plan_of_day))
    written = ports.measurements.read(facts.series_id, *written_span(span, facts.interval_s, now_s))
    owned = tuple(replace(finding, series_id=facts.series_id) for finding in (*findings, *in_reads))
    return as_derived(facts.series_id, facts.zone, span, intervals, written, owned, kept.early)


def _limits_of(facts: SeriesFacts, span: Span, calendar: DayCalendar) -> SeriesLimits:
    """Return what bounds the values of a series on the local days of a span."""
    installations = (*facts.installations, *facts.profiles)
    days = pairwise(local_day_bounds(*span, calendar).tolist())
    return SeriesLimits(
        facts.series_id,
        facts.power_max_w,
        [resolution_milliwh(installations, day) for day in days],
        has_registers=facts.kind is Kind.CUMULATIVE,
    )


def as_derived(
    series_id: int,
    zone: ZoneInfo,
    span: Span,
    intervals: Intervals,
    stored: MeasurementRows,
    findings: tuple[Finding, ...] = (),
    early: Span | None = None,
) -> DerivedSpan:
    """Return the intervals of a span with their days and with what changed of what was `stored` in it."""
    days = find_days(
        np.array([series_id]),
        intervals.starts_at_s,
        intervals.value_milliwh[None],
        intervals.provenance[None],
        interval_s=intervals.interval_s,
        zone=zone,
    )
    return DerivedSpan(
        series_id, span, intervals, find_changes(series_id, intervals, stored), findings, days, early
    )


def find_changes(series_id: int, intervals: Intervals, stored: MeasurementRows) -> MeasurementRows:
    """Return the rows to append: what differs from the stored values, MISSING where one fell away.

    `stored`: all of the `written_span` of `intervals`, also those that began where none of these does.
    """
    is_held = np.isin(intervals.starts_at_s, stored.starts_at_s)
    is_on_grid = np.isin(stored.starts_at_s, intervals.starts_at_s)
    rows = np.flatnonzero(is_on_grid)
    old = np.zeros((4, len(intervals)), dtype=np.int64)
    columns = (stored.value_milliwh, stored.provenance, stored.flags, stored.method)
    old[:, is_held] = [column[rows] for column in columns]
    new = np.stack((intervals.value_milliwh, intervals.provenance, intervals.flags, intervals.method))
    is_new = (intervals.provenance != Provenance.MISSING) | (intervals.method != Method.NONE)
    is_changed = np.where(is_held, (new != old).any(axis=0), is_new)
    changed = MeasurementRows(
        np.full(int(is_changed.sum()), series_id, dtype=np.int64),
        intervals.starts_at_s[is_changed],
        *(column[is_changed] for column in new),
    )
    span = int(intervals.starts_at_s[0]), int(intervals.starts_at_s[-1]) + intervals.interval_s
    return changed.writing_off(find_gone(stored, is_on_grid, span, intervals.interval_s))
