"""The intervals of one series over a span, from its raw reads in and around it: registers, profiles, both."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.advance import BREAK_REACH_S, AdvanceRule
from wattkeeper.core.readings.between import Between, ByProfile, by_time
from wattkeeper.core.readings.both import combine_intervals
from wattkeeper.core.readings.interval_reads import collect_intervals
from wattkeeper.core.readings.intervals import Intervals, derive_intervals
from wattkeeper.core.readings.positions import has_break
from wattkeeper.core.readings.profile_grid import ProfileGrid
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.core.vee.registry import RULE_BY_CODE
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.pipeline.ports import Ports, SeriesFacts
from wattkeeper.pipeline.window import CONTEXT_S

SUM_CHECK = RULE_BY_CODE["vee.sum-check"]


def derive_span(ports: Ports, facts: SeriesFacts, span: Span, advance_rule: AdvanceRule) -> Intervals:
    """Return the intervals over `span`, derived from the raw reads in and around it.

    Where those contradict each other, reads farther off are asked too.
    """
    derived = _derive_within(ports, facts, span, CONTEXT_S, advance_rule)
    if has_break(derived.findings):
        derived = _derive_within(ports, facts, span, CONTEXT_S + BREAK_REACH_S, advance_rule)
    return derived


def _derive_within(
    ports: Ports, facts: SeriesFacts, span: Span, context_s: int, advance_rule: AdvanceRule
) -> Intervals:
    reads = ports.raw_reads.read(facts.channel_ids, span[0] - context_s, span[1] + context_s)
    if facts.kind is Kind.INTERVAL:
        return _collect(facts, facts.installations, reads, span)
    registers = derive_intervals(
        installations=facts.installations,
        reads=reads,
        from_s=span[0],
        to_s=span[1],
        interval_s=facts.interval_s,
        power_max_w=facts.power_max_w,
        advance_rule=advance_rule,
        between=_between(facts, reads, span),
    )
    if not facts.profiles:
        return registers
    return combine_intervals(
        registers,
        _collect(facts, facts.profiles, reads, span),
        day_bounds_s=np.array(day_bounds(*span, facts.zone), dtype=np.int64),
        register_step_milliwh=partial(resolution_milliwh, facts.installations),
        profile_step_milliwh=partial(resolution_milliwh, facts.profiles),
        tolerance=partial(_tolerated_milliwh, facts),
    )


def _between(facts: SeriesFacts, reads: Mapping[int, ReadColumns], span: Span) -> Between:
    """Return what tells where between two reads of a register, in or beside `span`, its energy was used."""
    if not facts.profiles:
        return by_time
    around = span[0] - CONTEXT_S, span[1] + CONTEXT_S
    return ByProfile.of(facts.profiles, reads, ProfileGrid.over(*around, facts.interval_s, facts.power_max_w))


def _tolerated_milliwh(facts: SeriesFacts, at_s: int, step_milliwh: int, advance_milliwh: int) -> int:
    """Return what a sum of intervals may be off its registers, by the rule set of an instant (V06)."""
    rules = RuleSet() if facts.rules is None else facts.rules.at(at_s)
    own = rules.parameters_of(SUM_CHECK)
    return own["sum_step_count"] * step_milliwh + abs(advance_milliwh) * own["sum_permille"] // 1000


def _collect(
    facts: SeriesFacts,
    installations: Sequence[ChannelInstallation],
    reads: Mapping[int, ReadColumns],
    span: Span,
) -> Intervals:
    return collect_intervals(
        installations=installations,
        reads=reads,
        from_s=span[0],
        to_s=span[1],
        interval_s=facts.interval_s,
        power_max_w=facts.power_max_w,
        zone=facts.zone,
    )


def resolution_milliwh(installations: Iterable[ChannelInstallation], span: Span) -> int:
    """Return the largest energy that a read moves by among the installations and multipliers of `span`."""
    rates = [
        installation.step_milliwh * installation.shown_count * period.ratio
        for installation in installations
        if installation.starts_at_s < span[1]
        and (installation.ends_at_s is None or installation.ends_at_s > span[0])
        for period in installation.multipliers
        if period.starts_at_s < span[1] and (period.ends_at_s is None or period.ends_at_s > span[0])
    ]
    return -(-max(rates, default=0) // 1)
