"""Another meter answers at a meter's address for a day or three, then the right one again.

The other's counts step plausibly among themselves. Any way of arrival ends in the state of all at once, on
either path; between the right meter's reads no energy is lost or invented.
"""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import pytest

from pipeline_street import Row, Street, StreetHints
from unit.pipeline.test_plain import DAY_S, HOUR_S, ZONES, start_of
from unit.pipeline.test_rollups import RollUpsOf, held
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings import advance
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import series_intervals, single_derive
from wattkeeper.pipeline.ports import SeriesFacts

DAYS = 12
FIRST_HOURS = 3  # of the right meter before a spell on its first day
CAUGHT_WITHIN = 12
STEP = 1000
MODULI = (None, 10**6, 10**5)
BATCH_S = 8 * HOUR_S
LOOK_BACK_S = 2 * DAY_S
Delivery = tuple[int, int, Row]


class Total(NamedTuple):
    """What a register went in all days; None where it was read off the grid, or nobody can know."""

    series_id: int
    from_s: int
    energy_milliwh: int | None

    def of(self, current: Any) -> int:
        """Return what the values of the days come to."""
        own = current[self.series_id]
        return sum(own[self.from_s + hour * HOUR_S][0] for hour in range(DAYS * 24))


def make_series(series_id: int, chance: Random) -> tuple[SeriesFacts, list[Delivery], Total]:
    """Return a meter read each hour, all that was read at its address, and what its register went in all.

    For one spell or two another meter answers, of its first day perhaps; some meters are polled off the grid.
    """
    zone, modulus, past_s = chance.choice(ZONES), chance.choice(MODULI), chance.choice((0, 0, 420))
    start_s = start_of(zone)
    installed_s = start_s - 90 * DAY_S
    always = (MultiplierPeriod(installed_s, None, Fraction(1)),)
    own = ChannelInstallation(series_id * 10, installed_s, None, Fraction(STEP), modulus, always)
    hours = set[int]()
    begins = chance.choice((FIRST_HOURS, chance.randrange(30, 60)))
    for _ in range(1 if begins == FIRST_HOURS else chance.choice((1, 1, 2))):
        lasts = chance.choice((chance.randrange(26, 60), chance.randrange(60, 73)))
        hours.update(range(begins, begins + lasts))
        begins += lasts + chance.choice((20, 30, chance.randrange(30, 120)))
    shown = first = chance.choice((20_000, 60_000, (modulus or 10**6) - chance.randrange(DAYS * 24 * 40)))
    other = chance.choice((5000, 35_000, 85_000))
    rows = []
    for hour in range(DAYS * 24 + 1):
        value = other if hour in hours else shown
        at_s, source = start_s + hour * HOUR_S + past_s, Source.LIVE if past_s else Source.PROFILE
        rows.append(
            (at_s + chance.randrange(9) * bool(past_s), value % modulus if modulus else value, 0, int(source))
        )
        last, shown, other = shown, shown + chance.randrange(60), other + chance.randrange(60)
    facts = SeriesFacts(series_id, (own,), HOUR_S, zone, 1000)
    is_known = not past_s and min(hours) > FIRST_HOURS  # of a new meter nobody knows which one is right
    total = Total(series_id, start_s, (last - first) * STEP if is_known else None)
    return facts, [(series_id, series_id * 10, row) for row in rows], total


def make_world(seed: int) -> tuple[list[SeriesFacts], list[Delivery], int, list[Total]]:
    chance = Random(seed)
    made = [make_series(1 + place, chance) for place in range(chance.choice((1, 1, 3)))]
    deliveries = [row for _, rows, _ in made for row in rows]
    now_s = max(row[0] for _, _, row in deliveries) + 2 * DAY_S
    return [facts for facts, _, _ in made], deliveries, now_s, [total for _, _, total in made]


def live(
    facts: list[SeriesFacts], batches: Iterator[Sequence[Delivery]], now_s: int, *, is_many: bool
) -> Any:
    street = Street(facts, is_many=is_many)
    street.hints, street.roll_ups = StreetHints(street), RollUpsOf(street)
    for batch in batches:
        for series_id, channel_id, row in batch:
            street.deliver(series_id, channel_id, [row])
        assert not street.run(now_s).failures
    for own in facts:
        street.mark(own.series_id, now_s - LOOK_BACK_S, now_s)
    street.run(now_s)
    findings = sorted(str(astuple(found)) for found in street.recorded.values())
    return street.current(), findings, held(street.roll_ups, street)


def by_shifts(deliveries: list[Delivery]) -> Iterator[list[Delivery]]:
    shifts: dict[int, list[Delivery]] = {}
    for each in deliveries:
        shifts.setdefault(each[2][0] // BATCH_S, []).append(each)
    yield from (shifts[shift] for shift in sorted(shifts))


def shuffled(deliveries: list[Delivery], chance: Random) -> Iterator[list[Delivery]]:
    """Yield shifts in some order, or reads in some order, in batches."""
    batches = list(by_shifts(deliveries))
    if chance.random() < 0.5:
        chance.shuffle(batches)
        yield from batches
        return
    every = list(deliveries)
    chance.shuffle(every)
    cuts = [0, *sorted(chance.randrange(len(every) + 1) for _ in range(chance.randrange(5))), len(every)]
    for first, end in pairwise(cuts):
        yield every[first:end]


def differing(seeds: range) -> Iterator[tuple[int, str]]:
    """Yield worlds and what of them is other than all at once, or than the register went in all."""
    for seed in seeds:
        facts, deliveries, now_s, totals = make_world(seed)
        wanted = live(facts, iter([deliveries]), now_s, is_many=False)
        for total in totals:
            if total.energy_milliwh is not None and total.of(wanted[0]) != total.energy_milliwh:
                yield seed, "energy"
        if live(facts, iter([deliveries]), now_s, is_many=True) != wanted:
            yield seed, "arrays"
        for way, batches in (
            ("shifts", by_shifts(deliveries)),
            ("shuffled", shuffled(deliveries, Random(seed))),
        ):
            if live(facts, batches, now_s, is_many=(seed + len(way)) % 2 == 0) != wanted:
                yield seed, way


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(more, marks=pytest.mark.slow) for more in range(2, 20))]
)
def test_any_way_of_arrival_ends_as_all_at_once(seed: int) -> None:
    assert list(differing(range(seed, seed + 1))) == []


def _every_read(cls: Any, at_s: Any, cuts: Any, middles: Any, runs: Any) -> Any:
    own = COUNT(at_s, cuts, middles, runs)
    return replace(own, count_of=[end - first for first, end in runs])


COUNT = advance._Votes.count
PLANTS: dict[str, tuple[Any, str, Any]] = {
    "judged by the window": (series_intervals, "BREAK_REACH_S", 0),
    "votes change nothing beside them": (single_derive, "widen_to_breaks", lambda span, *_: span),
    "every read has a vote": (advance._Votes, "count", classmethod(_every_read)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*PLANTS[name])
    assert any(differing(range(CAUGHT_WITHIN)))
