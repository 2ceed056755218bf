"""Rules over reads in a run: the reads that values were derived from, judged by the rule set of each day."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.plain import PlainFacts, ReadTable
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.readings.settle import is_early, take
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.core.vee.read_rules import MULTIPLIER, judge_grid, judge_multipliers, judge_reads, ratios_of
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.core.vee.rule_set_plan import RulePlan
from wattkeeper.core.vee.rules_delivery import Deliveries
from wattkeeper.pipeline.ports import RawReads, SeriesFacts
from wattkeeper.pipeline.window import Grid


class KeptReads:
    """Raw reads as they are believed at an instant, which remember the last answer as it was: the widest, of
    every channel of the series. `early`: from when to when those before their time were among all answers.
    """

    def __init__(self, raw_reads: RawReads, now_s: int) -> None:
        self._raw_reads = raw_reads
        self._now_s = now_s
        self._last: Mapping[int, ReadColumns] = {}
        self.early: Span | None = None

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        """Return the reads of a span but those before their time, and remember all."""
        self._last = self._raw_reads.read(channel_ids, from_s, to_s)
        if to_s <= self._now_s:
            return self._last
        is_early_of = {own: is_early(reads, self._now_s) for own, reads in self._last.items()}
        for own, reads in self._last.items():
            self._note(reads.measured_at_s[is_early_of[own]])
        return {own: take(reads, ~is_early_of[own]) for own, reads in self._last.items()}

    def _note(self, early_s: Int64s) -> None:
        if len(early_s):
            first_s, end_s = self.early or (int(early_s[0]), 0)
            self.early = min(first_s, int(early_s.min())), max(end_s, int(early_s.max()) + 1)

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the nearest read."""
        return self._raw_reads.find_nearest(channel_ids, at_s, is_before=is_before)

    def judge(self, span: Span, facts: SeriesFacts, plan: RulePlan, now_s: int) -> Iterator[Finding]:
        """Yield what the rules over reads find in the last answer, on the local days that `span` touches.

        Reads of a meter while it measured elsewhere are left out.
        """
        parts = [
            (channel_id, reads)
            for channel_id, found in self._last.items()
            if len(reads := _while_installed(channel_id, found, (*facts.installations, *facts.profiles)))
        ]
        if not parts:
            return
        channel_id = np.concatenate([np.full(len(reads), channel_id) for channel_id, reads in parts])
        at_s, value, flags, source = (
            np.concatenate([getattr(reads, name) for _, reads in parts]) for name in ReadColumns.__slots__
        )
        order = np.lexsort((flags, value, source, at_s, channel_id))
        delivered = Deliveries(channel_id, at_s, value, flags, source).take(order)
        bounds_s = np.array(day_bounds(*span, facts.zone), dtype=np.int64)
        intervals = facts.installations if facts.kind is Kind.INTERVAL else facts.profiles
        own_ids = {each.channel_id for each in intervals}
        yield from judge_grid(
            delivered, interval_channel_ids=own_ids, day_bounds_s=bounds_s, interval_s=facts.interval_s
        )
        installations = (*facts.installations, *facts.profiles)
        is_told = any(each.told for each in installations)
        for from_s, to_s, rules in plan.over(int(bounds_s[0]), int(bounds_s[-1])):
            own = bounds_s[(bounds_s >= from_s) & (bounds_s <= to_s)]
            yield from judge_reads(delivered, day_bounds_s=own, rules=rules, now_s=now_s)
            if is_told:
                ratios = ratios_of(delivered, installations)
                yield from judge_multipliers(delivered, ratios, day_bounds_s=own, rules=rules)


def disputed_in_reads(found: Iterable[Finding], plan: RulePlan) -> list[Finding]:
    """Return what leaves values not VALIDATED though their reads say nothing of it: multipliers (V17)."""
    return [
        each
        for each in found
        if each.rule == MULTIPLIER.code and plan.at(each.starts_at_s).is_disputing_code(each.rule)
    ]


def _while_installed(
    channel_id: int, reads: ReadColumns, installations: Sequence[ChannelInstallation]
) -> ReadColumns:
    is_own = np.zeros(len(reads), dtype=np.bool_)
    for each in installations:
        if each.channel_id == channel_id:
            is_within = reads.measured_at_s >= each.starts_at_s
            if each.ends_at_s is not None:
                is_within &= reads.measured_at_s <= each.ends_at_s
            is_own |= is_within
    return take(reads, is_own)


def judge_table(
    reads: ReadTable, facts: PlainFacts, span: Span, grid: Grid, rules: RuleSet, now_s: int
) -> list[Finding]:
    """Return what the rules over reads find on the days of a span, each finding with series and channel."""
    bounds_s: Int64s = np.array(day_bounds(*span, grid.zone), dtype=np.int64)
    rows = Deliveries(reads.row, reads.measured_at_s, reads.value, reads.flags, reads.source)
    beside = judge_grid(rows, interval_channel_ids=(), day_bounds_s=bounds_s, interval_s=grid.interval_s)
    return [
        replace(
            finding,
            series_id=int(facts.series_id[finding.channel_id or 0]),
            channel_id=int(facts.channel_id[finding.channel_id or 0]),
        )
        for finding in (*beside, *judge_reads(rows, day_bounds_s=bounds_s, rules=rules, now_s=now_s))
    ]
