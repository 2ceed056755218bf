"""Interval energy times a fraction through the pipeline: any order ends the same, registers confirm it."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_plain import DAY_S, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.readings import interval_reads
from wattkeeper.core.readings.rollups import day_bounds
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import window
from wattkeeper.pipeline.ports import SeriesFacts

REGISTER, PROFILE = 10, 11
RATIOS = (Fraction(3, 2), Fraction(1, 3), Fraction(100, 7))
DAYS, SHUFFLES = 4, 60
Delivery = tuple[int, Row]


def make_world(seed: int) -> tuple[SeriesFacts, list[Delivery], dict[int, Fraction]]:
    """Return facts, reads by channel, and the exact energy of each local day, in milliwatt-hours.

    The profile counts what its register does; half of the worlds change their ratio in the midst of a day,
    half are of a profile alone.
    """
    chance = Random(seed)
    zone, step = chance.choice(ZONES), chance.choice((Fraction(1), Fraction(1), Fraction(625, 2)))
    bounds_s = day_bounds(start_of(zone), start_of(zone) + (DAYS - 1) * DAY_S, zone)
    change_s = start_of(zone) + chance.randrange(20, 60) * HOUR_S
    first, then = chance.choice(RATIOS), chance.choice(RATIOS)
    periods = (MultiplierPeriod(0, change_s, first), MultiplierPeriod(change_s, None, then))
    if seed % 2:
        periods = (MultiplierPeriod(0, None, first),)
    starts = range(bounds_s[0], bounds_s[-1], HOUR_S)
    counts = {at_s: chance.randrange(1, 999) for at_s in starts}
    rows: list[Delivery] = [(PROFILE, (at_s, own, 0, int(Source.PROFILE))) for at_s, own in counts.items()]
    shown = 500
    for at_s in (*starts, bounds_s[-1]):
        if at_s in bounds_s or at_s == change_s:
            rows.append((REGISTER, (at_s, shown, 0, int(Source.FREEZE_DAILY))))
        shown += counts.get(at_s, 0)
    profile = ChannelInstallation(PROFILE, 0, None, step, None, periods)
    register = replace(profile, channel_id=REGISTER)
    facts = SeriesFacts(1, (register,), HOUR_S, zone, 2_000_000, profiles=(profile,))
    if seed % 4 > 1:
        facts = replace(facts, installations=(profile,), profiles=(), kind=Kind.INTERVAL)
        rows = [each for each in rows if each[0] == PROFILE]
    rate = {at_s: step * (then if at_s >= change_s and not seed % 2 else first) for at_s in starts}
    exact = {
        from_s: sum((rate[at_s] * counts[at_s] for at_s in range(from_s, to_s, HOUR_S)), Fraction(0))
        for from_s, to_s in pairwise(bounds_s)
    }
    return facts, rows, exact


def live(facts: SeriesFacts, batches: list[list[Delivery]]) -> Street:
    """Deliver the batches, a run after each."""
    street = Street([facts], is_many=True)
    for batch in batches:
        for channel_id, row in batch:
            street.deliver(1, channel_id, [row])
        street.run(start_of(facts.zone) + (DAYS + 3) * DAY_S)
    return street


def differs() -> Iterator[bool]:
    """Yield of each of many shuffles, in up to four batches, whether it ends in another state."""
    for seed in range(SHUFFLES):
        facts, rows, _ = make_world(seed)
        chance = Random(seed)
        every = [*rows, *chance.sample(rows, len(rows) // 4)]
        chance.shuffle(every)
        cuts = [0, *sorted(chance.randrange(len(every)) for _ in range(3)), len(every)]
        other = live(facts, [every[first:end] for first, end in pairwise(cuts)])
        plain = live(facts, [rows])
        yield (other.current(), other.recorded) != (plain.current(), plain.recorded)


@pytest.mark.parametrize("seed", range(12))
def test_every_day_is_the_floor_of_its_exact_sum_and_the_registers_confirm_it(seed: int) -> None:
    facts, rows, exact = make_world(seed)
    street = live(facts, [rows])
    own = street.current()[1]
    end_s = max(row[0] for channel_id, row in rows if channel_id == PROFILE) + HOUR_S
    for from_s, to_s in pairwise((*exact, end_s)):
        assert sum(value[0] for at_s, value in own.items() if from_s <= at_s < to_s) == exact[from_s] // 1
    assert not [each for each in street.recorded.values() if each.rule == "vee.sum-check"]


def test_the_order_of_arrival_changes_nothing() -> None:
    assert not any(differs())


def test_remainders_since_the_window_began_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def since_the_window(starts_at_s: "np.ndarray[tuple[int], np.dtype[np.int64]]", _zone: object) -> object:
        return np.zeros(len(starts_at_s), dtype=np.intp)

    monkeypatch.setattr(interval_reads, "find_day_firsts", since_the_window)
    assert any(differs())


def test_a_window_of_less_than_its_days_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what comes late has its own hours derived again, and not the rest of their day."""
    monkeypatch.setattr(window, "floor_to_day", lambda at_s, _facts: at_s - at_s % HOUR_S)
    assert any(differs())


@pytest.mark.parametrize("seed", [2, 8], ids=["a profile alone", "doubted by its registers"])
def test_floors_of_their_own_are_caught(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: of each interval less than a milliwatt-hour is lost."""
    monkeypatch.setattr(interval_reads, "carry_remainders", lambda numerator, *_: numerator * 0)
    with pytest.raises(AssertionError):
        test_every_day_is_the_floor_of_its_exact_sum_and_the_registers_confirm_it(seed)
