"""One run: claim dirty windows, derive, validate, estimate, append what changed, record findings, complete.

Interrupt it anywhere and run it again: windows stay until their values are stored, a repeated run writes the
same values, and nothing is written that did not change.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain, pairwise

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow, ClaimedWindows
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span, merge_spans, to_seconds
from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.kernel.rising import rising
from wattkeeper.core.readings.advance import AdvanceRule, register_advance
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.readings.rollups import SpanDays, find_days
from wattkeeper.core.registry.virtual_series import VirtualSet
from wattkeeper.core.vee.candidates import NO_CANDIDATES, Candidates
from wattkeeper.core.vee.disputes import unmark_validated
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.plain_validate import as_table, local_day_bounds
from wattkeeper.core.vee.rule_set import RuleSet, SeriesLimits
from wattkeeper.core.vee.rule_set_plan import RulePlan, validate_by_plan
from wattkeeper.core.vee.series import needs_history
from wattkeeper.pipeline.determinants import append_determinants
from wattkeeper.pipeline.early import find_later
from wattkeeper.pipeline.hints import calendar_with, candidates_before, mark_checked
from wattkeeper.pipeline.later import candidates_after, find_told_next_year, mark_next_year
from wattkeeper.pipeline.open_gaps import is_folded
from wattkeeper.pipeline.plain_derive import DerivedGroup, derive_groups
from wattkeeper.pipeline.plain_groups import group_windows
from wattkeeper.pipeline.ports import (
    Hints,
    ManySeries,
    MeasurementRows,
    Ports,
    SeriesFacts,
    SpanFindings,
)
from wattkeeper.pipeline.read_ahead import read_ahead
from wattkeeper.pipeline.read_rules import KeptReads, disputed_in_reads
from wattkeeper.pipeline.rollups import refresh
from wattkeeper.pipeline.series_intervals import resolution_milliwh
from wattkeeper.pipeline.virtual import (
    NO_VIRTUAL,
    DerivedVirtual,
    derive_level,
    levels_of,
    mark_users,
    reader_of,
)
from wattkeeper.pipeline.widen import derive_history, widen_to_estimates, widen_to_gaps, widen_to_near
from wattkeeper.pipeline.window import align, find_gone, hull, join_changed, written_span

LEASE_S = 300
CLAIM_COUNT = 16_384
SLICE_DAYS_COUNT = 16_384  # series times days derived together: what bounds memory
DAY_S = 86_400
STUMBLES = (  # of reckoning: no store, disk or memory
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A series that could not be derived; its windows rest. `error`: what reckoning stumbled over.

    `series_id` None: several stumbled together, and each was derived when it was alone.
    """

    series_id: int | None
    code: str
    error: Exception | None = None


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
    """One derived span of a series; `early`: from when to when there are reads before their time."""

    series_id: int
    span: Span
    intervals: Intervals
    rows: MeasurementRows
    findings: tuple[Finding, ...]
    days: SpanDays
    early: Span | None = None


@dataclass(slots=True)
class _Tally:
    """What a run has done so far."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[Failure] = field(default_factory=list)

    def add_group(self, derived: DerivedGroup) -> None:
        table = derived.table
        self.counts["series_count"] += len(table)
        self.counts["interval_count"] += table.provenance.size
        self.counts["row_count"] += len(derived.rows)
        self.counts["estimated_count"] += int((table.provenance == Provenance.ESTIMATED).sum())
        self.counts["missing_count"] += int(table.is_missing.sum())
        self.counts["finding_count"] += len(derived.findings)

    def add_series(self, results: Sequence[_Result]) -> None:
        self.counts["series_count"] += len({result.series_id for result in results})
        for result in results:
            provenance = result.intervals.provenance
            is_missing = (provenance == Provenance.MISSING) & result.intervals.is_installed
            self.counts["interval_count"] += len(provenance)
            self.counts["row_count"] += len(result.rows)
            self.counts["estimated_count"] += int((provenance == Provenance.ESTIMATED).sum())
            self.counts["missing_count"] += int(is_missing.sum())
            self.counts["finding_count"] += len(result.findings)


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

    Order: lease, run id; then, for a slice of series at a time, inputs, one append of all changed values,
    findings, completion. A series whose facts contradict each other, or that reckoning stumbles over, is
    reported, stays dirty and rests; the others go on. What fails for a slice as a whole is halved until the
    series is alone that it fails for. What may be better at the next try, as a store that is down, is raised.
    """
    now_s = to_seconds(now.replace(microsecond=0))
    rules = rules or RuleSet()
    windows = ClaimedWindows.of(ports.windows.claim(now_s=now_s, lease_s=LEASE_S, limit=limit))
    if not windows:
        return PipelineReport()
    run_id = ports.runs.start(now_s=now_s, rule_set=rules.code)
    if ports.hints is not None:
        ports.hints.begin()
    many = ports.many if advance_rule is register_advance else None
    tally = _Tally()
    virtual = NO_VIRTUAL if ports.virtual is None else ports.virtual.load()
    is_formula = np.isin(windows.series_id, list(virtual.facts))
    is_broken = np.isin(windows.series_id, list(virtual.broken))

    def derive_metered(part: ClaimedWindows) -> None:
        _derive_slice(ports, many, part, run_id, now_s, rules, advance_rule, tally, virtual)

    def derive_formulas(part: ClaimedWindows) -> None:
        _derive_level(ports, virtual, part, run_id, now_s, tally)

    for part in _slices(windows.where(~is_formula & ~is_broken)):
        _halving(derive_metered, part, tally)
    for series_ids in levels_of(virtual, windows.series_id[is_formula].tolist()):
        _halving(derive_formulas, windows.where(np.isin(windows.series_id, series_ids)), tally)
    broken = np.unique(windows.series_id[is_broken]).tolist()
    tally.failures += [Failure(series_id, "formulas.cycle") for series_id in broken]
    failed = [failure.series_id for failure in tally.failures if failure.series_id is not None]
    if failed:
        ports.windows.set_aside(windows.where(np.isin(windows.series_id, failed)))
    return PipelineReport(
        run_id=run_id, window_count=len(windows), failures=tuple(tally.failures), **tally.counts
    )


def _slices(windows: ClaimedWindows) -> Iterator[ClaimedWindows]:
    """Yield the windows in order of series, as many series at a time as memory is meant for."""
    ordered = windows.where(np.argsort(windows.series_id, kind="stable"))
    days_count = 1 + (ordered.to_s - ordered.from_s) // DAY_S
    firsts = np.flatnonzero(np.diff(ordered.series_id, prepend=-1))
    before_count = (np.cumsum(days_count) - days_count)[firsts]
    start, place = 0, 0
    while start < len(ordered):
        place = int(np.searchsorted(before_count, before_count[place] + SLICE_DAYS_COUNT))
        end = int(firsts[place]) if place < len(firsts) else len(ordered)
        yield ordered.where(slice(start, end))
        start = end


def _halving(derive: Callable[[ClaimedWindows], None], windows: ClaimedWindows, tally: _Tally) -> bool:
    """Derive windows, each half of their series apart where that fails; whether it did.

    What a half has written already it writes again, which changes nothing.
    """
    try:
        derive(windows)
    except (WattkeeperError, *STUMBLES) as error:
        ids = np.unique(windows.series_id)
        if len(ids) == 1:
            tally.failures.append(_failure(int(ids[0]), error))
            return True
        together = _failure(None, error)
        is_upper = windows.series_id >= ids[len(ids) // 2]
        halves = [_halving(derive, windows.where(half), tally) for half in (~is_upper, is_upper)]
        if not any(halves):
            tally.failures.append(together)
        return True
    return False


def _failure(series_id: int | None, error: Exception) -> Failure:
    """Return what stands against a series; raise what may be better at the next try."""
    if isinstance(error, WattkeeperError):
        if not error.is_permanent:
            raise error
        return Failure(series_id, error.code)
    return Failure(series_id, type(error).__name__, error)


def _derive_slice(
    ports: Ports,
    many: ManySeries | None,
    windows: ClaimedWindows,
    run_id: int,
    now_s: int,
    rules: RuleSet,
    advance_rule: AdvanceRule,
    tally: _Tally,
    virtual: VirtualSet,
) -> None:
    groups: list[DerivedGroup] = []
    rest = rising(windows.series_id)
    if many is not None:
        groups, rest = _derive_many(many, windows, now_s, rules, ports.hints)
    results: list[_Result] = []
    failed: dict[int, Failure] = {}
    single = _by_series(windows, rest)
    for near, series_id in read_ahead(ports, many, single):
        try:
            results += _derive_series(near, series_id, single[series_id], now_s, rules, advance_rule)
        except (WattkeeperError, *STUMBLES) as error:
            failed[series_id] = _failure(series_id, error)
    parts = [*(derived.rows for derived in groups), *(result.rows for result in results)]
    rows = MeasurementRows.concatenate([part for part in parts if len(part)])
    if ports.rates is not None:
        tables = [(as_table(r.intervals, r.series_id), r.rows, r.days.zone) for r in results]
        tables += [(derived.table, derived.rows, derived.days.zone) for derived in groups]
        append_determinants(ports.rates, run_id, tables)
    _append(ports, virtual, run_id, rows, now_s)
    if ports.roll_ups is not None:
        days = [*(derived.days for derived in groups), *(result.days for result in results)]
        refresh(ports.roll_ups, run_id, days)
    if many is not None:
        found = [SpanFindings(each.table.series_id, *each.span, each.findings) for each in groups]
        many.record_findings([*found, *_without_findings(results)], run_id)
    for result in results:
        if many is not None and not result.findings:
            continue
        from_s, to_s = result.span
        ports.findings.record(
            series_id=result.series_id, from_s=from_s, to_s=to_s, findings=result.findings, run_id=run_id
        )
    done = windows.where(~np.isin(windows.series_id, list(failed)))
    early = [*chain.from_iterable(derived.early.items() for derived in groups)]
    early += [(result.series_id, result.early) for result in results if result.early is not None]
    if later := find_later(done, early, now_s):
        ports.windows.postpone(later)
    ports.windows.complete(done)
    tally.failures += failed.values()
    tally.add_series(results)
    for derived in groups:
        tally.add_group(derived)


def _without_findings(results: Sequence[_Result]) -> Iterator[SpanFindings]:
    """Yield the spans in which nothing was found, each with all series of which it was derived."""
    of_span: dict[Span, list[int]] = defaultdict(list)
    for result in results:
        if not result.findings:
            of_span[result.span].append(result.series_id)
    for span, series_ids in of_span.items():
        yield SpanFindings(np.array(sorted(series_ids), dtype=np.int64), *span, ())


def _by_series(windows: ClaimedWindows, series_id: Int64s) -> dict[int, list[ClaimedWindow]]:
    """Return the windows of some series, by series."""
    found: dict[int, list[ClaimedWindow]] = defaultdict(list)
    for window in windows.where(np.isin(windows.series_id, series_id)):
        found[window.series_id].append(window)
    return found


def _append(ports: Ports, virtual: VirtualSet, run_id: int, rows: MeasurementRows, now_s: int) -> None:
    """Append what changed, and mark before and after what rests on it: series, estimates and bills."""
    if not len(rows):
        return
    next_year = rows if ports.hints is None else find_told_next_year(ports, rows, now_s)
    _mark_dependents(ports, virtual, rows, next_year)
    ports.measurements.append(run_id, rows)
    _mark_dependents(ports, virtual, rows, next_year)


def _mark_dependents(
    ports: Ports, virtual: VirtualSet, rows: MeasurementRows, next_year: MeasurementRows
) -> None:
    if ports.virtual is not None and virtual.users:
        mark_users(ports.virtual, virtual, rows)
    if ports.hints is not None:
        mark_checked(ports.hints, reader_of(ports), rows)
        mark_next_year(ports, next_year)
    if ports.bills is not None:
        ports.bills.mark(rows)


def _derive_level(
    ports: Ports,
    virtual: VirtualSet,
    windows: ClaimedWindows,
    run_id: int,
    now_s: int,
    tally: _Tally,
) -> None:
    """Derive windows of virtual series of which none uses another."""
    derived = derive_level(reader_of(ports), virtual, _by_series(windows, windows.series_id), now_s)
    failed = {each.facts.series_id: each.error.code for each in derived if each.error is not None}
    results = [_virtual_result(ports, each, each.intervals) for each in derived if each.intervals is not None]
    rows = MeasurementRows.concatenate([result.rows for result in results if len(result.rows)])
    if ports.rates is not None:
        tables = [(as_table(r.intervals, r.series_id), r.rows, r.days.zone) for r in results]
        append_determinants(ports.rates, run_id, tables)
    _append(ports, virtual, run_id, rows, now_s)
    if ports.roll_ups is not None:
        refresh(ports.roll_ups, run_id, [result.days for result in results])
    ports.windows.complete(windows.where(~np.isin(windows.series_id, list(failed))))
    tally.add_series(results)
    tally.failures += [Failure(series_id, code) for series_id, code in failed.items()]


def _virtual_result(ports: Ports, derived: DerivedVirtual, intervals: Intervals) -> _Result:
    series_id, span = derived.facts.series_id, derived.span
    days = find_days(
        np.array([series_id]),
        intervals.starts_at_s,
        intervals.value_milliwh[None],
        intervals.provenance[None],
        interval_s=intervals.interval_s,
        zone=derived.facts.zone,
    )
    rows = find_changes(series_id, intervals, ports.measurements.read(series_id, *span))
    return _Result(series_id, span, intervals, rows, (), days)


def _derive_many(
    many: ManySeries, windows: ClaimedWindows, now_s: int, rules: RuleSet, hints: Hints | None
) -> tuple[list[DerivedGroup], Int64s]:
    """Return what was derived in groups, and the series that are left to be derived one by one."""
    groups, alone = group_windows(many, windows, now_s)
    rest = [alone]
    derived: list[DerivedGroup] = []
    for outcome in derive_groups(many, groups, now_s, rules, hints):
        if isinstance(outcome, DerivedGroup):
            derived.append(outcome)
        else:
            rest.append(outcome)
    return derived, np.unique(np.concatenate(rest))


def _derive_series(
    ports: Ports,
    series_id: int,
    windows: Sequence[ClaimedWindow],
    now_s: int,
    rules: RuleSet,
    advance_rule: AdvanceRule,
) -> list[_Result]:
    facts = ports.registry.get_facts(series_id)
    believed = replace(ports, raw_reads=KeptReads(ports.raw_reads, now_s))
    together = join_changed(((window.from_s, window.to_s) for window in windows), facts, now_s)
    near = [align(widen_to_near(believed, facts, changed, now_s), facts, now_s) for changed in together]
    results: list[_Result] = []
    for span in merge_spans(span for span in near if span is not None):
        if results and span[1] <= results[-1].span[1]:
            continue  # widening an earlier span has taken this one in
        result = _derive_window(ports, facts, span, now_s, rules, advance_rule)
        while results and results[-1].span[1] > result.span[0]:  # it was widened over a part of the earlier
            earlier = results.pop()
            whole = hull(earlier.span, result.span)
            if whole != result.span:
                result = _derive_window(ports, facts, whole, now_s, rules, advance_rule)
        results.append(result)
    return results


def _derive_window(
    ports: Ports, facts: SeriesFacts, span: Span, now_s: int, rules: RuleSet, advance_rule: AdvanceRule
) -> _Result:
    kept = KeptReads(ports.raw_reads, now_s)
    keeping = replace(ports, raw_reads=kept)
    wider = widen_to_estimates(ports, facts, span, now_s)
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
        limits=SeriesLimits(
            facts.series_id,
            facts.power_max_w,
            [
                resolution_milliwh((*facts.installations, *facts.profiles), day)
                for day in pairwise(local_day_bounds(*span, calendar).tolist())
            ],
            has_registers=facts.kind is Kind.CUMULATIVE,
        ),
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
    rows = find_changes(facts.series_id, intervals, written)
    owned = tuple(replace(finding, series_id=facts.series_id) for finding in (*findings, *in_reads))
    days = find_days(
        np.array([facts.series_id]),
        intervals.starts_at_s,
        intervals.value_milliwh[None],
        intervals.provenance[None],
        interval_s=facts.interval_s,
        zone=facts.zone,
    )
    return _Result(facts.series_id, span, intervals, rows, owned, days, kept.early)


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
