"""One run: claim dirty windows, derive, validate, estimate, append what changed, record findings, complete.

Interrupt it anywhere and run it again: windows stay until their values are stored, a repeated run writes the
same values, and nothing is written that did not change.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.advance import AdvanceRule, register_advance
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.series import RuleSet, SeriesLimits, needs_history, validate_and_estimate
from wattkeeper.pipeline.ports import ClaimedWindow, MeasurementRows, Ports, SeriesFacts
from wattkeeper.pipeline.window import (
    Span,
    align,
    derive_history,
    merge_spans,
    widen_to_brackets,
    widen_to_estimates,
)

LEASE_S = 300
CLAIM_COUNT = 256


@dataclass(frozen=True, slots=True)
class Failure:
    """A series that could not be derived; its windows stay dirty."""

    series_id: int
    code: str


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What one run did. `interval_count`: derived; `row_count`: changed and written."""

    run_id: int | None = None
    window_count: int = 0
    series_count: int = 0
    interval_count: int = 0
    row_count: int = 0
    estimated_count: int = 0
    missing_count: int = 0
    finding_count: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class _Result:
    """One derived span of a series."""

    series_id: int
    span: Span
    intervals: Intervals
    rows: MeasurementRows
    findings: tuple[Finding, ...]


def run_once(
    ports: Ports,
    now: datetime,
    *,
    rules: RuleSet | None = None,
    advance_rule: AdvanceRule = register_advance,
    limit: int = CLAIM_COUNT,
) -> PipelineReport:
    """Derive at most `limit` dirty windows and return what was done; a report without a run if none was
    dirty.

    Order: lease, run id, inputs, one append of all changed values, findings, completion. A series whose facts
    contradict each other is reported and stays dirty; the others go on.
    """
    now_s = to_seconds(now.replace(microsecond=0))
    rules = rules or RuleSet()
    windows = ports.windows.claim(now_s=now_s, lease_s=LEASE_S, limit=limit)
    if not windows:
        return PipelineReport()
    run_id = ports.runs.start(now_s=now_s, rule_set=rules.code)
    by_series: dict[int, list[ClaimedWindow]] = defaultdict(list)
    for window in windows:
        by_series[window.series_id].append(window)
    results: list[_Result] = []
    failures: list[Failure] = []
    for series_id, own in sorted(by_series.items()):
        try:
            results += _derive_series(ports, series_id, own, now_s, rules, advance_rule)
        except WattkeeperError as error:
            failures.append(Failure(series_id, error.code))
    rows = MeasurementRows.concatenate([result.rows for result in results])
    if len(rows):
        ports.measurements.append(run_id, rows)
    for result in results:
        from_s, to_s = result.span
        ports.findings.record(
            series_id=result.series_id, from_s=from_s, to_s=to_s, findings=result.findings, run_id=run_id
        )
    failed = {failure.series_id for failure in failures}
    ports.windows.complete([window for window in windows if window.series_id not in failed])
    return _report(run_id, windows, results, failures)


def _report(
    run_id: int, windows: Sequence[ClaimedWindow], results: list[_Result], failures: list[Failure]
) -> PipelineReport:
    provenance = np.concatenate([np.zeros(0), *(result.intervals.provenance for result in results)])
    is_installed = np.concatenate([np.zeros(0), *(result.intervals.is_installed for result in results)])
    return PipelineReport(
        run_id=run_id,
        window_count=len(windows),
        series_count=len({result.series_id for result in results}),
        interval_count=len(provenance),
        row_count=sum(len(result.rows) for result in results),
        estimated_count=int((provenance == Provenance.ESTIMATED).sum()),
        missing_count=int(((provenance == Provenance.MISSING) & (is_installed > 0)).sum()),
        finding_count=sum(len(result.findings) for result in results),
        failures=tuple(failures),
    )


def _derive_series(
    ports: Ports,
    series_id: int,
    windows: Sequence[ClaimedWindow],
    now_s: int,
    rules: RuleSet,
    advance_rule: AdvanceRule,
) -> list[_Result]:
    facts = ports.registry.get_facts(series_id)
    aligned = [align((window.from_s, window.to_s), facts, now_s) for window in windows]
    results: list[_Result] = []
    done_to_s: int | None = None
    for span in merge_spans(span for span in aligned if span is not None):
        if done_to_s is not None and span[1] <= done_to_s:
            continue  # widening an earlier span has taken this one in
        result = _derive_window(ports, facts, span, now_s, rules, advance_rule)
        done_to_s = result.span[1]
        results = [earlier for earlier in results if earlier.span[1] <= result.span[0]]
        results.append(result)
    return results


def _derive_window(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, rules: RuleSet, advance_rule: AdvanceRule
) -> _Result:
    wider = widen_to_estimates(ports, facts, span, now_s)
    span, derived = widen_to_brackets(ports, facts, wider, now_s, advance_rule)
    if needs_history(derived, now_s, rules):
        derived = derive_history(ports, facts, span, now_s, advance_rule)
    intervals, findings = validate_and_estimate(
        derived,
        limits=SeriesLimits(facts.series_id, facts.power_max_w, _resolution_milliwh(facts, span)),
        calendar=DayCalendar(facts.zone, facts.holidays),
        from_s=span[0],
        to_s=span[1],
        now_s=now_s,
        rules=rules,
    )
    rows = find_changes(facts.series_id, intervals, ports.measurements.read(facts.series_id, *span))
    owned = tuple(replace(finding, series_id=facts.series_id) for finding in findings)
    return _Result(facts.series_id, span, intervals, rows, owned)


def _resolution_milliwh(facts: SeriesFacts, span: Span) -> int:
    """Return the largest energy of one count among the installations and multipliers in force in `span`."""
    rates = [
        installation.step_milliwh * period.ratio
        for installation in facts.installations
        for period in installation.multipliers
        if period.starts_at_s < span[1] and (period.ends_at_s is None or period.ends_at_s > span[0])
    ]
    return -(-max(rates, default=0) // 1)


def find_changes(series_id: int, intervals: Intervals, stored: MeasurementRows) -> MeasurementRows:
    """Return the rows to append: what differs from the stored values, MISSING where one fell away."""
    is_held = np.isin(intervals.starts_at_s, stored.starts_at_s)
    rows = np.flatnonzero(np.isin(stored.starts_at_s, intervals.starts_at_s))
    old = np.zeros((4, len(intervals)), dtype=np.int64)
    columns = (stored.value_milliwh, stored.provenance, stored.flags, stored.method)
    old[:, is_held] = [column[rows] for column in columns]
    new = np.stack((intervals.value_milliwh, intervals.provenance, intervals.flags, intervals.method))
    is_changed = np.where(is_held, (new != old).any(axis=0), intervals.provenance != Provenance.MISSING)
    return MeasurementRows(
        np.full(int(is_changed.sum()), series_id, dtype=np.int64),
        intervals.starts_at_s[is_changed],
        *(column[is_changed] for column in new),
    )
