"""V06 over whole months, wired: stored months against the registers at their ends.

Registers alone make intervals that come to their advance, so only series with profiles or edits can be off.
Most are cleared together by two reads at the ends of the month; of the others all reads of it are asked.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from wattkeeper.bootstrap.period_facts import TOGETHER_COUNT
from wattkeeper.bootstrap.pipeline_single import StoreRawReads
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span, from_seconds
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.readings.ends import find_ends
from wattkeeper.core.readings.intervals import UNKNOWN_CHAIN
from wattkeeper.core.readings.plain import PlainFacts, ReadTable, derive_plain
from wattkeeper.core.readings.positions import Limits
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.core.vee.periods import SUMS, Judged, find_whole_month, judge_month_sums
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.table import Mask
from wattkeeper.data.registry.facts import SeriesFacts, find_profiled, get_series_facts
from wattkeeper.data.registry.plain_facts import get_plain_rows
from wattkeeper.data.registry.resets import list_reset_series
from wattkeeper.pipeline.series_intervals import resolution_milliwh
from wattkeeper.pipeline.window import CONTEXT_S
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.standing import standing_reads

JudgeMonth = Callable[..., list[Finding]]


def judge_sums(
    store: ReadingStore,
    tenant_id: int,
    judged: Judged,
    months: RollUpRows,
    *,
    month_bounds_s: Int64s,
    plan: RulePlan,
) -> list[Finding]:
    """Return where stored months between bounds do not come to what their registers advanced."""
    is_able = np.isin(judged.series_id, months.series_id[months.edited_count > 0])
    is_able |= np.isin(judged.series_id, list(find_profiled(judged.series_id.tolist())))
    able = judged.take(is_able)
    findings: list[Finding] = []
    for span in pairwise(month_bounds_s.tolist()):
        rule_set = plan.at(span[1] - 1)
        bounds_s = np.array(span, dtype=np.int64)
        whole = able.take(find_whole_month(months, able, bounds_s))
        if rule_set.is_off(SUMS.code) or not len(whole.series_id):
            continue
        judge = partial(judge_month_sums, months, month_bounds_s=bounds_s, rule_set=rule_set)
        doubtful = whole.take(~_find_clear(store, tenant_id, whole, span, judge))
        for start in range(0, len(doubtful.series_id), TOGETHER_COUNT):
            some = doubtful.take(slice(start, start + TOGETHER_COUNT))
            findings += _judge_closely(store, tenant_id, some, span, judge)
    return findings


def _find_clear(store: ReadingStore, tenant_id: int, judged: Judged, span: Span, judge: JudgeMonth) -> Mask:
    """Return which series (series,) the reads at both ends clear: within tolerance, or with none to go by.

    Of one register each, with one multiplier, that nobody set, and that cannot have come round unseen.
    """
    facts = get_plain_rows(judged.series_id, since=from_seconds(span[0]), with_profiles=True).facts
    facts = facts.take(~np.isin(facts.series_id, list_reset_series(tenant_id)))
    reads = _read_ends(store, tenant_id, facts, span)
    table, is_odd = derive_plain(facts, reads, *span, span[1] - span[0])
    found = judge(
        judged.take(np.isin(judged.series_id, facts.series_id)),
        register_milliwh=table.position_milliwh,
        register_chain=table.position_chain,
        resolution_milliwh=facts.resolution_milliwh,
    )
    off_id = [finding.series_id or 0 for finding in found]
    clear: Mask = np.isin(judged.series_id, np.setdiff1d(facts.series_id[~is_odd], off_id))
    return clear


def _read_ends(store: ReadingStore, tenant_id: int, facts: PlainFacts, span: Span) -> ReadTable:
    """Return the reads at both ends, once each however many sources say the same."""
    order = np.argsort(facts.channel_id)
    channel_id = facts.channel_id[order]
    parts = [standing_reads(store, tenant_id, channel_id.tolist(), at_s, at_s + 1) for at_s in span]
    channel, at_s, value, flags, source = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("channel_id", "measured_at_s", "value", "flags", "source")
    )
    row = order[np.searchsorted(channel_id, channel)]
    sort = np.lexsort((flags, value, at_s, row))
    reads = ReadTable(row, at_s, value, flags.astype(np.int32), source.astype(np.int8)).where(sort)
    is_new = np.ones(len(reads), dtype=np.bool_)
    is_new[1:] = (np.diff(reads.row) != 0) | (np.diff(reads.measured_at_s) != 0) | (np.diff(reads.value) != 0)
    return reads.where(is_new)


def _judge_closely(
    store: ReadingStore, tenant_id: int, judged: Judged, span: Span, judge: JudgeMonth
) -> list[Finding]:
    """Return what is found with all reads of the month: exchanges, resets, other multipliers gone through."""
    facts = _load(judged.series_id.tolist())
    judged = judged.take(np.isin(judged.series_id, list(facts)))
    registers = [facts[series_id].registers for series_id in judged.series_id.tolist()]
    channel_ids = sorted({each.channel_id for own in registers for each in own})
    reads = StoreRawReads(store, tenant_id).read(channel_ids, span[0] - CONTEXT_S, span[1] + CONTEXT_S)
    ends = np.zeros((2, len(registers), 2), dtype=np.int64)
    for row, own in enumerate(facts[series_id] for series_id in judged.series_id.tolist()):
        limits = Limits(own.interval_s, own.power_max_w, register_advance)
        try:
            ends[:, row] = find_ends(own.registers, reads, limits, *span)
        except WattkeeperError:  # deriving that series tells of it
            ends[1, row] = UNKNOWN_CHAIN
    return judge(
        judged,
        register_milliwh=ends[0],
        register_chain=ends[1],
        resolution_milliwh=np.array([resolution_milliwh(own, span) for own in registers], dtype=np.int64),
    )


def _load(series_ids: Sequence[int]) -> dict[int, SeriesFacts]:
    """Return the facts of the series that have registers, without those whose facts contradict each other."""
    try:
        found = get_series_facts(series_ids)
    except WattkeeperError:  # deriving that series tells of it
        half = len(series_ids) // 2
        return _load(series_ids[:half]) | _load(series_ids[half:]) if half else {}
    return {series_id: facts for series_id, facts in found.items() if facts.registers}
