"""The rules over periods that look at stored intervals, of as few series as can be: reactive energy (V20),
formulas (V26)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.bootstrap.period_facts import TOGETHER_COUNT
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.periods import iter_ruled_days
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.table import EnergyTable, Mask
from wattkeeper.core.vee.validate import Known, run_rules
from wattkeeper.data.registry.measured_spans import MeasuredSpan
from wattkeeper.data.registry.quantities import DEFAULT_QUANTITY, REACTIVE_QUANTITIES
from wattkeeper.store.api import ReadingStore

PRESENT = (int(Provenance.MEASURED), int(Provenance.EDITED))
STATISTICS = RULE_BY_CODE["vee.statistics"]
REACTIVE = RULE_BY_CODE["vee.reactive-only"]


def judge_formulas(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    *,
    day_bounds_s: Int64s,
    zone: ZoneInfo,
    plan: RulePlan,
) -> list[Finding]:
    """Return the days of which a formula of the rule set in force does not hold (V26)."""
    ruled = [
        (first, end, rule_set)
        for first, end, rule_set in iter_ruled_days(plan, day_bounds_s)
        if rule_set.formulas and not rule_set.is_off(STATISTICS.code)
    ]
    if not ruled:
        return []
    day_before = from_seconds(int(day_bounds_s[0])).astimezone(zone).date() - timedelta(days=1)
    bounds_s = np.append(to_seconds(local_midnight(day_before, zone)), day_bounds_s)
    findings: list[Finding] = []
    for table, is_dark in iter_tables(store, tenant_id, spans, bounds_s):
        for first, end, rule_set in ruled:
            known = Known(
                day_bounds_s=bounds_s[first : end + 2],
                is_excused=is_dark,
                formulas=rule_set.formulas,
            )
            found = run_rules(table, known, rule_set, [STATISTICS])
            findings += [each for each in found if each.starts_at_s >= day_bounds_s[first]]
    return findings


def judge_reactive(
    store: ReadingStore,
    tenant_id: int,
    spans: Sequence[MeasuredSpan],
    *,
    day_bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return where usage points had reactive energy with no active, or next to none (V20).

    Both directions together: with capacitors, or what is generated behind it, a point takes the one and
    gives the other. The finding belongs to the first active series.
    """
    ruled = [each for each in iter_ruled_days(plan, day_bounds_s) if not each[2].is_off(REACTIVE.code)]
    by_grid: dict[int, list[list[MeasuredSpan]]] = defaultdict(list)
    for own in _with_reactive(spans) if ruled else ():
        by_grid[own[0].interval_s].append(own)
    findings: list[Finding] = []
    for interval_s, points in by_grid.items():
        for start in range(0, len(points), TOGETHER_COUNT):
            some = points[start : start + TOGETHER_COUNT]
            ids = sorted(span.series_id for own in some for span in own)
            table, _ = _table(store, tenant_id, ids, interval_s, day_bounds_s)
            together, reactive = _by_point(table, some)
            power_max_w = np.array([own[0].power_max_w for own in some], dtype=np.int64)
            for first, end, rule_set in ruled:
                known = Known(
                    day_bounds_s=day_bounds_s[first : end + 1],
                    reactive_millivarh=reactive,
                    power_max_w=power_max_w,
                )
                findings += run_rules(together, known, rule_set, [REACTIVE])
    return findings


def _with_reactive(spans: Sequence[MeasuredSpan]) -> Iterator[list[MeasuredSpan]]:
    """Yield the series of each usage point with active and reactive energy on one grid, active ones first."""
    by_point: dict[int, list[MeasuredSpan]] = defaultdict(list)
    for span in spans:
        by_point[span.usage_point_id].append(span)
    for own in by_point.values():
        own.sort(key=lambda span: (_is_reactive(span), span.quantity != DEFAULT_QUANTITY))
        is_mixed = _is_reactive(own[-1]) and not _is_reactive(own[0])
        if is_mixed and len({span.interval_s for span in own}) == 1:
            yield own


def _by_point(table: EnergyTable, points: Sequence[Sequence[MeasuredSpan]]) -> tuple[EnergyTable, Int64s]:
    """Return active and reactive energy of usage points, directions summed, present where all are."""
    shape = (len(points), len(table.starts_at_s))
    active, reactive = np.zeros((2, *shape), dtype=np.int64)
    is_present = np.ones(shape, dtype=np.bool_)
    for place, own in enumerate(points):
        for span in own:
            row = int(np.searchsorted(table.series_id, span.series_id))
            (reactive if _is_reactive(span) else active)[place] += np.abs(table.energy_milliwh[row])
            is_present[place] &= table.is_present[row]
    series_id = np.array([own[0].series_id for own in points], dtype=np.int64)
    return EnergyTable(series_id, table.starts_at_s, table.interval_s, active, is_present), reactive


def _is_reactive(span: MeasuredSpan) -> bool:
    return span.quantity in REACTIVE_QUANTITIES


def iter_tables(
    store: ReadingStore, tenant_id: int, spans: Sequence[MeasuredSpan], day_bounds_s: Int64s
) -> Iterator[tuple[EnergyTable, Mask]]:
    """Yield the stored intervals of series, some hundred at a time, and in which the power failed."""
    for interval_s in sorted({span.interval_s for span in spans}):
        own = sorted(span.series_id for span in spans if span.interval_s == interval_s)
        for start in range(0, len(own), TOGETHER_COUNT):
            yield _table(store, tenant_id, own[start : start + TOGETHER_COUNT], interval_s, day_bounds_s)


def _table(
    store: ReadingStore, tenant_id: int, ids: Sequence[int], interval_s: int, day_bounds_s: Int64s
) -> tuple[EnergyTable, Mask]:
    from_s, to_s = int(day_bounds_s[0]), int(day_bounds_s[-1])
    series_id, starts_at_s = (
        np.array(ids, dtype=np.int64),
        np.arange(from_s, to_s, interval_s, dtype=np.int64),
    )
    found = store.measurements(tenant_id, ids, from_s, to_s)
    is_on_grid = (found.starts_at_s - from_s) % interval_s == 0
    at = (
        np.searchsorted(series_id, found.series_id[is_on_grid]),
        (found.starts_at_s[is_on_grid] - from_s) // interval_s,
    )
    shape = (len(series_id), len(starts_at_s))
    energy = np.zeros(shape, dtype=np.int64)
    is_present, is_dark = np.zeros((2, *shape), dtype=np.bool_)
    energy[at] = found.value_milliwh[is_on_grid]
    is_present[at] = np.isin(found.provenance[is_on_grid], PRESENT)
    is_dark[at] = (np.asarray(found.flags[is_on_grid]) & int(Flag.POWER_LOST)) != 0
    return EnergyTable(series_id, starts_at_s, interval_s, energy, is_present), is_dark
