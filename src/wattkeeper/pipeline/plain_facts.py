"""From the facts of single series to the columns of the plain ones among them."""

from collections.abc import Iterable, Iterator

import numpy as np

from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.readings.plain import NO_MODULUS, PlainFacts
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.pipeline.plain_groups import REACH_S
from wattkeeper.pipeline.ports import PlainSeries, SeriesFacts

OPEN_S = 2**62  # the end of what has none
NUMBER_MAX = 2**62


def to_plain(facts: Iterable[tuple[SeriesFacts, int]]) -> PlainSeries:
    """Return the plain ones among series, each by the facts in force at the instant beside it (UTC seconds).

    Plain is a series of registers alone that one installation with one multiplier and no reset measured at
    that instant, whose meter tells no other, and nobody edited.
    """
    kinds: dict[tuple[DayCalendar, str | None], int] = {}
    rule_sets: list[RuleSet | None] = []
    rows = []
    for each, at_s in facts:
        for installation, period in _in_force(each, at_s):
            rate = installation.step_milliwh * period.ratio
            shown = rate.numerator * installation.shown_count
            if max(shown, rate.denominator, installation.register_modulus or 0) >= NUMBER_MAX:
                continue
            starts_at_s = max(installation.starts_at_s, period.starts_at_s)
            ends_at_s = min(_end(installation.ends_at_s), _end(period.ends_at_s))
            rules = None
            if each.rules is not None:
                rules, (from_s, to_s) = each.rules.at(at_s), each.rules.held(at_s)
                starts_at_s = max(starts_at_s, from_s - REACH_S)  # reads around a window know no rules
                ends_at_s = min(ends_at_s, to_s + REACH_S)
            kind = DayCalendar(each.zone, each.holidays), rules.code if rules else None
            place = kinds.setdefault(kind, len(kinds))
            if place == len(rule_sets):
                rule_sets.append(rules)
            modulus = installation.register_modulus or NO_MODULUS
            own = (each.series_id, installation.channel_id, rate.numerator, rate.denominator, modulus)
            limits = (each.power_max_w, installation.shown_count)
            rows.append((*own, *limits, starts_at_s, ends_at_s, each.interval_s, place))
    table = np.array(rows, dtype=np.int64).reshape(-1, 11).T.copy()
    calendars = tuple(calendar for calendar, _ in kinds)
    columns = PlainFacts(*table[:7])
    return PlainSeries(columns, table[7], table[8], table[9], table[10], calendars, tuple(rule_sets))


def _in_force(facts: SeriesFacts, at_s: int) -> Iterator[tuple[ChannelInstallation, MultiplierPeriod]]:
    """Yield the installation and the multiplier that hold at an instant, if there is one of each."""
    if facts.kind is not Kind.CUMULATIVE or facts.profiles or facts.edits:
        return
    for installation in facts.installations:
        if installation.resets or installation.is_told_otherwise:
            continue
        if installation.starts_at_s <= at_s < _end(installation.ends_at_s):
            for period in installation.multipliers:
                if period.starts_at_s <= at_s < _end(period.ends_at_s):
                    yield installation, period


def _end(ends_at_s: int | None) -> int:
    return OPEN_S if ends_at_s is None else ends_at_s
