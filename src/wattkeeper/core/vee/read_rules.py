"""The rules over reads, for many channels at once: clean reads cost a look, doubtful ones the rule itself.

A local day decides alone, so that windows may be cut anywhere and reads come in any order. A rule of
`Scope.READS` that is not among `SCREENS` rests here: no read tells what it needs, or it is judged where its
findings are made (V03 by the head-end, V07 and V15 as values are derived).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.told import flags_said
from wattkeeper.core.registry.installations import ChannelInstallation
from wattkeeper.core.vee.registry import RULE_BY_CODE, Rule, Scope
from wattkeeper.core.vee.rule_set import FLAGS, RuleSet
from wattkeeper.core.vee.rules_delivery import Deliveries, find_repeats
from wattkeeper.core.vee.table import Mask

EVER_S = -(2**62)
GRID_SOURCES = (Source.PROFILE, Source.PUSH)
MULTIPLIER = RULE_BY_CODE["vee.multiplier"]
Screen = Callable[[Deliveries, int, Mapping[str, int]], Mask | None]


def judge_reads(reads: Deliveries, *, day_bounds_s: Int64s, rules: RuleSet, now_s: int) -> list[Finding]:
    """Return what the rules over reads find on the local days between consecutive bounds.

    `reads` in order of channel, instant, source, value, as many around the days as there are; each finding
    names its channel as `reads` does. One finding for each rule, channel and day, or run of reads in it.
    """
    findings: list[Finding] = []
    if not len(reads.value):
        return findings
    reads = replace(reads, flags=flags_said(reads.flags))
    for rule in rules.rules(Scope.READS):
        screen = SCREENS.get(rule.code)
        if screen is None:
            continue
        parameters = rules.parameters_of(rule)
        doubtful = screen(reads, now_s, parameters)
        if doubtful is not None and doubtful.any():
            for places in _by_day(reads, doubtful, day_bounds_s):
                findings += _find(rule, reads.take(places), now_s, parameters)
    return findings


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """The multiplier that a device told, and the registered one, by read: numerators and denominators.

    A told denominator of 0: none was told.
    """

    told_numerator: Int64s
    told_denominator: Int64s
    known_numerator: Int64s
    known_denominator: Int64s


def ratios_of(reads: Deliveries, installations: Iterable[ChannelInstallation]) -> Ratios:
    """Return the multipliers of reads by the installations of their channels."""
    table = np.tile(np.array([[0], [0], [1], [1]], dtype=np.int64), len(reads.value))
    for each in installations:
        is_own = reads.channel_id == each.channel_id
        for period in each.multipliers:
            is_within = is_own & (reads.measured_at_s >= period.starts_at_s)
            table[2:, is_within] = np.array([period.ratio.as_integer_ratio()]).T
        for told in each.told:
            said = (0, 0) if told.ratio == 1 else told.ratio.as_integer_ratio()
            table[:2, is_own & (reads.measured_at_s >= told.at_s)] = np.array([said]).T
    return Ratios(*table)


def judge_multipliers(
    reads: Deliveries, ratios: Ratios, *, day_bounds_s: Int64s, rules: RuleSet
) -> list[Finding]:
    """Return where devices tell another multiplier than is registered (V17), by channel and local day."""
    if rules.is_off(MULTIPLIER.code):
        return []
    columns = [getattr(ratios, name) for name in MULTIPLIER.needs]
    is_told = ratios.told_denominator != 0
    return [
        finding
        for places in _by_day(reads, is_told, day_bounds_s)
        for finding in MULTIPLIER.find(
            reads.take(places), **dict(zip(MULTIPLIER.needs, (each[places] for each in columns), strict=True))
        )
    ]


def judge_grid(
    reads: Deliveries, *, interval_channel_ids: Collection[int], day_bounds_s: Int64s, interval_s: int
) -> list[Finding]:
    """Return which reads lie beside the intervals, counted from local midnight, by channel and local day.

    ``readings.off-grid``: energy of intervals (`interval_channel_ids`) that no interval of the series can
    take, so that it is not counted; ``readings.beside-grid``: registers of a load profile or a push, whose
    intervals are estimates. Registers polled or read by hand may be read at any time. Oracle Interval Size.
    """
    is_beside = (reads.measured_at_s - day_bounds_s[0]) % interval_s != 0
    if not is_beside.any():
        return []
    is_interval = np.isin(reads.channel_id, list(interval_channel_ids))
    is_beside &= is_interval | (False if reads.source is None else np.isin(reads.source, GRID_SOURCES))
    return [
        found.finding(
            "readings.off-grid" if is_interval[places[own[0]]] else "readings.beside-grid",
            own,
            read_count=len(own),
            interval_s=interval_s,
        )
        for places in _by_day(reads, is_beside, day_bounds_s)
        for found in [reads.take(places)]
        for own in found.by_channel(is_beside[places])
    ]


def _by_day(reads: Deliveries, doubtful: Mask, day_bounds_s: Int64s) -> Iterator[NDArray[np.intp]]:
    """Yield, for each day with doubtful reads, the places of all reads of their channels on that day."""
    at_s, channel_id = reads.measured_at_s[doubtful], reads.channel_id[doubtful]
    day = np.searchsorted(day_bounds_s, at_s, side="right") - 1
    for each in np.unique(day[(day >= 0) & (day < len(day_bounds_s) - 1)]).tolist():
        is_own = (reads.measured_at_s >= day_bounds_s[each]) & (reads.measured_at_s < day_bounds_s[each + 1])
        places = np.flatnonzero(is_own)
        yield places[np.isin(reads.channel_id[places], channel_id[day == each])]


def _find(rule: Rule, reads: Deliveries, now_s: int, parameters: Mapping[str, int]) -> list[Finding]:
    if rule.find is find_repeats:
        return find_repeats(reads)[1]
    known = {"now_s": now_s, "installed_at_s": np.full(len(reads.value), EVER_S)}
    found: list[Finding] = rule.find(reads, **{name: known[name] for name in rule.needs}, **parameters)
    return found


def _screen_repeats(reads: Deliveries, now_s: int, parameters: Mapping[str, int]) -> Mask | None:  # noqa: ARG001
    at_s, value, channel_id, source = reads.measured_at_s, reads.value, reads.channel_id, reads.source
    again = np.flatnonzero(at_s[1:] == at_s[:-1])
    if not len(again):
        return None
    is_same = (value[again] == value[again + 1]) & (channel_id[again] == channel_id[again + 1])
    if source is not None:
        is_same &= source[again] == source[again + 1]
    doubtful = np.zeros(len(value), dtype=np.bool_)
    doubtful[again[is_same]] = True
    return doubtful


def _screen_status(reads: Deliveries, now_s: int, parameters: Mapping[str, int]) -> Mask | None:  # noqa: ARG001
    result: Mask = (reads.flags & np.int32(parameters["failing_flags"] & FLAGS)) != 0
    return result


def _screen_instants(reads: Deliveries, now_s: int, parameters: Mapping[str, int]) -> Mask | None:
    latest_s = now_s + parameters["future_tolerance_s"]
    return reads.measured_at_s > latest_s if reads.measured_at_s.max() > latest_s else None


SCREENS: Mapping[str, Screen] = {
    "vee.duplicate": _screen_repeats,
    "vee.device-status": _screen_status,
    "vee.impossible-instant": _screen_instants,
}
