"""Interval energy times a fraction: a day is the floor of its exact sum, however it is looked at and came.

The oracle adds up fractions, day by day, and shares nothing with what it judges.
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import interval_reads
from wattkeeper.core.readings.interval_reads import collect_intervals
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

ZONES = {
    "Europe/Berlin": (date(2026, 3, 28), date(2026, 10, 24)),
    "Australia/Lord_Howe": (date(2026, 4, 4), date(2026, 10, 3)),
    "Asia/Kathmandu": (date(2026, 1, 5),),
    "America/St_Johns": (date(2026, 3, 7), date(2026, 10, 31)),
}
DAYS = 3
POWER_MAX_W = 10**7
RATES = (Fraction(3, 2), Fraction(1, 3), Fraction(1000, 7), Fraction(5), Fraction(10**9 + 7, 10**9 + 9))
HUGE = Fraction(2**61 - 1, 2**60 + 1)  # sums of its remainders fit no 64 bits
Counts = dict[int, int]


class World:
    """A channel over some local days: when each begins, what each interval counted, which rate held when."""

    def __init__(self, seed: int, rates: tuple[Fraction, ...] = RATES) -> None:
        chance = Random(seed)
        name = chance.choice(list(ZONES))
        self.zone = ZoneInfo(name)
        first = chance.choice(ZONES[name])
        self.days_s = [
            int(datetime(*(first + timedelta(days=i)).timetuple()[:3], tzinfo=self.zone).timestamp())
            for i in range(DAYS + 1)
        ]
        self.interval_s = chance.choice((300, 900, 1800))
        self.step = chance.choice((Fraction(1), Fraction(1000), Fraction(625, 2)))
        cuts = sorted(chance.sample(range(self.days_s[0] + 60, self.days_s[-1], 60), chance.randrange(3)))
        edges = [0, *cuts]
        self.periods = tuple(
            MultiplierPeriod(from_s, to_s, chance.choice(rates))
            for from_s, to_s in zip(edges, [*cuts, None], strict=True)
        )
        starts = range(self.days_s[0], self.days_s[-1], self.interval_s)
        lost = set(chance.sample(starts, chance.randrange(len(starts))))
        self.counts: Counts = {at_s: chance.randrange(2000) for at_s in starts if at_s not in lost}

    def rate(self, at_s: int) -> Fraction:
        """Return the mean of the rates over one interval, by time."""
        end_s = at_s + self.interval_s
        shares = [
            each.ratio * max(0, min(end_s, each.ends_at_s or end_s) - max(at_s, each.starts_at_s))
            for each in self.periods
        ]
        return self.step * sum(shares, Fraction(0)) / self.interval_s

    def expected(self) -> Counts:
        """Return what each interval holds: the floors of what its day has come to, one less the other."""
        found: Counts = {}
        for from_s, to_s in pairwise(self.days_s):
            exact = Fraction(0)
            for at_s in sorted(at_s for at_s in self.counts if from_s <= at_s < to_s):
                before = exact
                exact += self.counts[at_s] * self.rate(at_s)
                found[at_s] = exact // 1 - before // 1
        return found

    def collect(self, first_day: int = 0, end_day: int = DAYS, rows: list[Any] | None = None) -> Intervals:
        """Return the intervals of some of the days."""
        rows = rows or [(at_s, count, 0, int(Source.PROFILE)) for at_s, count in self.counts.items()]
        return collect_intervals(
            installations=[ChannelInstallation(1, 0, None, self.step, None, self.periods)],
            reads={1: ReadColumns.of(rows)},
            from_s=self.days_s[first_day],
            to_s=self.days_s[end_day],
            interval_s=self.interval_s,
            power_max_w=POWER_MAX_W,
            zone=self.zone,
        )


def held(found: Intervals) -> Counts:
    is_held = found.provenance != Provenance.MISSING
    return dict(zip(found.starts_at_s[is_held].tolist(), found.value_milliwh[is_held].tolist(), strict=True))


seeds = st.integers(0, 10**6)


@given(seeds)
def test_every_interval_is_what_fractions_say(seed: int) -> None:
    world = World(seed)
    assert held(world.collect()) == world.expected()


@given(seeds)
def test_a_day_drops_less_than_a_milliwatt_hour(seed: int) -> None:
    world = World(seed)
    found = held(world.collect())
    for from_s, to_s in pairwise(world.days_s):
        inside = [at_s for at_s in world.counts if from_s <= at_s < to_s]
        exact = sum((world.counts[at_s] * world.rate(at_s) for at_s in inside), Fraction(0))
        assert sum(found[at_s] for at_s in inside) == exact // 1


@given(seeds)
def test_products_beyond_64_bits_are_exact_too(seed: int) -> None:
    world = World(seed, (HUGE, Fraction(3, 2)))
    assert held(world.collect()) == world.expected()


@given(seeds)
def test_neither_the_window_nor_the_order_matters(seed: int) -> None:
    world = World(seed)
    whole, chance = held(world.collect()), Random(seed)
    rows = [(at_s, count, 0, int(Source.PROFILE)) for at_s, count in world.counts.items()] * 2
    chance.shuffle(rows)
    assert not rows or held(world.collect(rows=rows)) == whole
    first = chance.randrange(DAYS)
    end = chance.randrange(first + 1, DAYS + 1)
    part = {at_s: own for at_s, own in whole.items() if world.days_s[first] <= at_s < world.days_s[end]}
    assert held(world.collect(first, end)) == part


def test_whole_rates_carry_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interval_reads, "carry_remainders", None)
    world = World(1, (Fraction(4),))
    world.step = Fraction(1000)
    assert held(world.collect()) == {at_s: count * 4000 for at_s, count in world.counts.items()}


def test_what_is_not_used_carries_nothing() -> None:
    world = World(1, (Fraction(3, 2),))
    world.step, world.counts = Fraction(1), dict.fromkeys(sorted(world.counts)[:3], 1)
    at_s = sorted(world.counts)
    suspect = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
    rows = [(at_s[0], 1, suspect, int(Source.FILE)), *((own, 1, 0, int(Source.FILE)) for own in at_s[1:])]
    assert held(world.collect(rows=rows)) == {at_s[1]: 1, at_s[2]: 2}
    rows[0] = (at_s[0], -1, 0, int(Source.FILE))
    assert held(world.collect(rows=rows)) == {at_s[1]: 1, at_s[2]: 2}


def test_what_two_meters_hold_of_one_interval_makes_whole_ones_together() -> None:
    cut_s, half = 450, Fraction(1, 2)
    installations = [
        ChannelInstallation(1, 0, cut_s, half, None, (MultiplierPeriod(0, cut_s, Fraction(1)),)),
        ChannelInstallation(2, cut_s, None, half, None, (MultiplierPeriod(cut_s, None, Fraction(1)),)),
    ]
    found = collect_intervals(
        installations=installations,
        reads={own: ReadColumns.of([(0, 1, 0, int(Source.PROFILE))]) for own in (1, 2)},
        from_s=0,
        to_s=900,
        interval_s=900,
        power_max_w=POWER_MAX_W,
        zone=ZoneInfo("UTC"),
    )
    assert found.value_milliwh.tolist() == [1]


def of_the_window(starts_at_s: Any, _zone: ZoneInfo) -> Any:
    return np.zeros(len(starts_at_s), dtype=np.intp)


PLANTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "carried since the window began": ("find_day_firsts", of_the_window),
    "each floored by itself": ("carry_remainders", lambda numerator, *_: numerator * 0),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    attribute, fault = PLANTS[name]
    monkeypatch.setattr(interval_reads, attribute, fault)
    worlds = map(World, range(100))
    assert any(held(world.collect()) != world.expected() for world in worlds)
