"""One run: claim dirty windows, derive, validate, estimate, append what changed, record findings, complete.

Interrupt it anywhere and run it again: windows stay until their values are stored, a repeated run writes the
same values, and nothing is written that did not change.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain

import numpy as np

from wattkeeper.core.kernel.claims import ClaimedWindow, ClaimedWindows
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Span, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.kernel.rising import rising
from wattkeeper.core.readings.advance import AdvanceRule, register_advance
from wattkeeper.core.registry.virtual_series import VirtualSet
from wattkeeper.core.vee.like_days import DAY_S
from wattkeeper.core.vee.plain_validate import as_table
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.pipeline.determinants import append_determinants
from wattkeeper.pipeline.early import find_postponed
from wattkeeper.pipeline.hints import mark_checked
from wattkeeper.pipeline.later import find_told_next_year, mark_next_year
from wattkeeper.pipeline.plain_derive import DerivedGroup, derive_groups
from wattkeeper.pipeline.plain_groups import group_windows
from wattkeeper.pipeline.ports import Hints, ManySeries, MeasurementRows, Ports, SpanFindings
from wattkeeper.pipeline.read_ahead import read_ahead
from wattkeeper.pipeline.rollups import refresh
from wattkeeper.pipeline.single_derive import DerivedSpan, as_derived, derive_series
from wattkeeper.pipeline.virtual import NO_VIRTUAL, derive_level, levels_of, mark_users, reader_of

LEASE_S = 300
CLAIM_COUNT = 16_384
SLICE_DAYS_COUNT = 16_384  # series times days derived together: what bounds memory
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

    def add_series(self, results: Sequence[DerivedSpan]) -> None:
        self.counts["series_count"] += len({result.series_id for result in results})
        for result in results:
            provenance = result.intervals.provenance
            is_missing = (provenance == Provenance.MISSING) & result.intervals.is_installed
            self.counts["interval_count"] += len(provenance)
            self.counts["row_count"] += len(result.rows)
            self.counts["estimated_count"] += int((provenance == Provenance.ESTIMATED).sum())
            self.counts["missing_count"] += int(is_missing.sum())
            self.counts["finding_count"] += len(result.findings)


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run knows from beginning to end. `many` None: every series is derived by itself."""

    ports: Ports
    many: ManySeries | None
    virtual: VirtualSet
    run_id: int
    now_s: int
    rules: RuleSet
    advance_rule: AdvanceRule
    tally: _Tally


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
    virtual = NO_VIRTUAL if ports.virtual is None else ports.virtual.load()
    run = _Run(ports, many, virtual, run_id, now_s, rules, advance_rule, _Tally())
    _derive_all(run, windows)
    failures = run.tally.failures
    failed = [failure.series_id for failure in failures if failure.series_id is not None]
    if failed:
        ports.windows.set_aside(windows.where(np.isin(windows.series_id, failed)))
    return PipelineReport(
        run_id=run_id, window_count=len(windows), failures=tuple(failures), **run.tally.counts
    )


def _derive_all(run: _Run, windows: ClaimedWindows) -> None:
    """Derive what is metered, then what is a formula of it, from the bottom up."""
    is_formula = np.isin(windows.series_id, list(run.virtual.facts))
    is_broken = np.isin(windows.series_id, list(run.virtual.broken))
    for part in _slices(windows.where(~is_formula & ~is_broken)):
        _halving(partial(_derive_slice, run), part, run.tally)
    for series_ids in levels_of(run.virtual, windows.series_id[is_formula].tolist()):
        level = windows.where(np.isin(windows.series_id, series_ids))
        _halving(partial(_derive_level, run), level, run.tally)
    broken = np.unique(windows.series_id[is_broken]).tolist()
    run.tally.failures += [Failure(series_id, "formulas.cycle") for series_id in broken]


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


def _derive_slice(run: _Run, windows: ClaimedWindows) -> None:
    """Derive windows of series that are metered: in groups where that can be, the rest one by one."""
    groups: list[DerivedGroup] = []
    rest = rising(windows.series_id)
    if run.many is not None:
        groups, rest = _derive_many(run.many, windows, run.now_s, run.rules, run.ports.hints)
    results: list[DerivedSpan] = []
    failed: dict[int, Failure] = {}
    single = _by_series(windows, rest)
    for near, series_id in read_ahead(run.ports, run.many, single):
        try:
            results += derive_series(
                near, series_id, single[series_id], run.now_s, run.rules, run.advance_rule
            )
        except (WattkeeperError, *STUMBLES) as error:
            failed[series_id] = _failure(series_id, error)
    _write(run, groups, results)
    _record_findings(run, groups, results)
    done = windows.where(~np.isin(windows.series_id, list(failed)))
    early = [*chain.from_iterable(derived.early.items() for derived in groups)]
    early += [(result.series_id, result.early) for result in results if result.early is not None]
    if later := find_postponed(done, early, run.now_s):
        run.ports.windows.postpone(later)
    run.ports.windows.complete(done)
    run.tally.failures += failed.values()
    run.tally.add_series(results)
    for derived in groups:
        run.tally.add_group(derived)


def _write(run: _Run, groups: Sequence[DerivedGroup], results: Sequence[DerivedSpan]) -> None:
    """Write what was derived: energy by rate, the values that changed, roll-ups."""
    ports = run.ports
    parts = [*(derived.rows for derived in groups), *(result.rows for result in results)]
    rows = MeasurementRows.concatenate([part for part in parts if len(part)])
    if ports.rates is not None:
        tables = [(as_table(r.intervals, r.series_id), r.rows, r.days.zone) for r in results]
        tables += [(derived.table, derived.rows, derived.days.zone) for derived in groups]
        append_determinants(ports.rates, run.run_id, tables)
    _append(ports, run.virtual, run.run_id, rows, run.now_s)
    if ports.roll_ups is not None:
        days = [*(derived.days for derived in groups), *(result.days for result in results)]
        refresh(ports.roll_ups, run.run_id, days)


def _record_findings(run: _Run, groups: Sequence[DerivedGroup], results: Sequence[DerivedSpan]) -> None:
    """Record what was found in each span, also that nothing was."""
    many = run.many
    if many is not None:
        found = [SpanFindings(each.table.series_id, *each.span, each.findings) for each in groups]
        many.record_findings([*found, *_without_findings(results)], run.run_id)
    for result in results:
        if result.findings or many is None:
            from_s, to_s = result.span
            run.ports.findings.record(
                series_id=result.series_id,
                from_s=from_s,
                to_s=to_s,
                findings=result.findings,
                run_id=run.run_id,
            )


def _without_findings(results: Sequence[DerivedSpan]) -> Iterator[SpanFindings]:
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


def _derive_level(run: _Run, windows: ClaimedWindows) -> None:
    """Derive windows of virtual series of which none uses another."""
    ports = run.ports
    asked = _by_series(windows, windows.series_id)
    derived = derive_level(reader_of(ports), run.virtual, asked, run.now_s)
    failed = {each.facts.series_id: each.error.code for each in derived if each.error is not None}
    results = [
        as_derived(
            each.facts.series_id,
            each.facts.zone,
            each.span,
            each.intervals,
            ports.measurements.read(each.facts.series_id, *each.span),
        )
        for each in derived
        if each.intervals is not None
    ]
    _write(run, (), results)
    ports.windows.complete(windows.where(~np.isin(windows.series_id, list(failed))))
    run.tally.add_series(results)
    run.tally.failures += [Failure(series_id, code) for series_id, code in failed.items()]


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
