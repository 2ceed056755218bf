"""Any order, any repetition, any batching of the same deliveries ends in the identical state (trust A8, A9).

The state is one hash: current values, findings, roll-ups, the bill and the set of raw reads; no run ids, no
receive times. A shuffle draws its own order, batches, repetitions and runs in between.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from pipeline_street import Row, Street, StreetHints
from unit.pipeline.test_plain import AHEADS, DAY_S, DAYS, FEATURES, ZONES, make_series, start_of
from unit.pipeline.test_rollups import RollUpsOf, held
from wattkeeper.core.billing.compute import compute_bill
from wattkeeper.core.billing.intervals import IntervalColumns
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.tariffs.parse import parse_tariff
from wattkeeper.pipeline import derive, plain_groups, single_derive
from wattkeeper.pipeline.ports import SeriesFacts

SHUFFLES_A_WORLD = 20
SLOW_SHUFFLES = ((40, 60), (1000, 1000))  # first and count
SOAK_SHUFFLES, SOAK_SEED = 100_000, 10_000
SOAK_PART_SHUFFLES = 10_000  # some five minutes; a part can be run alone
SHUFFLED = tuple(name for name in FEATURES if name != "silent")  # of no reads there is one order only
CAUGHT_WITHIN = 100
LOOK_BACK_S = 2 * DAY_S
CALENDAR = {"weekday": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}
DERIVE_SERIES = derive.derive_series
Delivery = tuple[int, int, Row]


class LastDeliveryWins(Street):
    """The fault to catch: of several reads at one instant the one that came last is kept."""

    def deliver(self, series_id: int, channel_id: int, rows: Any) -> None:
        for row in rows:
            self.raw[channel_id] = {old for old in self.raw[channel_id] if old[0] != row[0]}
            super().deliver(series_id, channel_id, [row])


def make_world(seed: int, always: tuple[str, ...] = ()) -> tuple[list[SeriesFacts], list[Delivery], int]:
    """Return a series with some and with drawn features, all its reads, and the instant of judgement."""
    chance = Random(seed)
    facts, reads = make_series(1, ["double", *always, *chance.sample(SHUFFLED, 3)], chance)
    deliveries = [(1, channel_id, row) for channel_id, rows in reads.items() for row in rows]
    return [facts], deliveries, start_of(facts.zone) + (DAYS + 3) * DAY_S


def live(street: Street, facts: list[SeriesFacts], batches: Iterator[list[Delivery]], now_s: int) -> str:
    """Deliver the batches, a run after each, and return the hash of the state."""
    street.facts = {own.series_id: own for own in facts}
    street.hints = StreetHints(street, {own.series_id: off_of(own) for own in facts})
    street.roll_ups = roll_ups = RollUpsOf(street)
    for own in facts:  # what its installation marks, before anything is read
        street.mark(own.series_id, start_of(own.zone) - DAY_S, now_s)
    street.run(now_s)
    for batch in batches:
        for series_id, channel_id, row in batch:
            street.deliver(series_id, channel_id, [row])
        street.run(now_s)
    for own in facts:  # the look that the worker takes again and again, and no farther back than it looks
        street.mark(own.series_id, now_s - LOOK_BACK_S, now_s)
    street.run(now_s)
    return state_of(street, roll_ups)


def off_of(facts: SeriesFacts) -> list[tuple[int, int]]:
    """Return when the supply of a series was off: in one zone for a day, which some worlds lose reads of."""
    off_s = start_of(facts.zone) + 30 * 3600 + 420
    return [(off_s, off_s + DAY_S)] if facts.zone == ZONES[0] else []


def shuffled(deliveries: list[Delivery], chance: Random) -> Iterator[list[Delivery]]:
    """Yield the deliveries in another order, some of them again, in batches."""
    again = chance.sample(deliveries, chance.randrange(1 + len(deliveries) // 4))
    every = [*deliveries, *again]
    chance.shuffle(every)
    cuts = [0, *sorted(chance.randrange(len(every) + 1) for _ in range(chance.randrange(3))), len(every)]
    for first, end in pairwise(cuts):
        yield every[first:end]


def state_of(street: Street, roll_ups: RollUpsOf) -> str:
    """Return the hash of everything that the deliveries leave behind."""
    findings = sorted(json.dumps(astuple(found), default=str) for found in street.recorded.values())
    raw = {channel_id: sorted(rows) for channel_id, rows in sorted(street.raw.items())}
    state = [street.current(), findings, sorted(held(roll_ups, street).items()), raw]
    state.append([bill_of(street, own) for own in street.facts.values()])
    return hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()


def bill_of(street: Street, facts: SeriesFacts) -> list[Any]:
    """Return total and lines of a time-of-use bill of the days, or why there is none."""
    from_s = start_of(facts.zone)
    period = Period(from_seconds(from_s), from_seconds(from_s + DAYS * DAY_S))
    current = street.current().get(facts.series_id, {})
    starts = np.arange(from_s, from_s + DAYS * DAY_S, facts.interval_s, dtype=np.int64)
    rows = np.array([current.get(at_s, (0, 0, 0, 0))[:3] for at_s in starts.tolist()], dtype=np.int64)
    try:
        bill = compute_bill(
            tariffs=[tariff_of(str(facts.zone))],
            period=period,
            intervals=IntervalColumns(starts, rows[:, 0], rows[:, 1], rows[:, 2]),
            interval_s=facts.interval_s,
            usage_point="1",
            series_id=facts.series_id,
            run_id=0,
            data_version="",
        )
    except WattkeeperError as error:
        return [error.code]
    return [bill.total_minor, *map(str, bill.lines)]


def tariff_of(zone: str) -> Any:
    """Return a tariff of two rates."""
    rates = [{"code": "peak", "price_per_kwh": "0.8123"}, {"code": "valley", "price_per_kwh": "0.3"}]
    seasons = [{"from": "01-01", "to": "12-31", "days": CALENDAR}]
    energy = {"id": "energy", "kind": "energy", "rates": rates, "calendar": {"seasons": seasons}}
    return parse_tariff(
        {
            "format": 1,
            "code": "test",
            "version": 1,
            "currency": "CNY",
            "zone": zone,
            "valid_from": "2000-01-01",
            "components": [energy],
        }
    )


def differs(
    kind: type[Street], shuffles: int, *, seed: int = 0, always: tuple[str, ...] = ()
) -> Iterator[bool]:
    """Yield of each of so many shuffles whether it ends in another state than the plain order does."""
    for first in range(0, shuffles, SHUFFLES_A_WORLD):
        facts, deliveries, now_s = make_world(seed + first, always)
        plain = live(kind([], is_many=True), facts, iter([deliveries]), now_s)
        for index in range(first, min(first + SHUFFLES_A_WORLD, shuffles)):
            chance = Random((seed + index) * 7919 + 1)
            street = kind([], is_many=chance.random() < 0.5)
            yield live(street, facts, shuffled(deliveries, chance), now_s) != plain


@pytest.mark.parametrize(
    ("seed", "shuffles"), [(0, 40), *(pytest.param(*more, marks=pytest.mark.slow) for more in SLOW_SHUFFLES)]
)
def test_the_order_of_arrival_changes_nothing(seed: int, shuffles: int) -> None:
    assert sum(differs(Street, shuffles, seed=seed)) == 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SOAK_SEED, SOAK_SEED + SOAK_SHUFFLES, SOAK_PART_SHUFFLES))
def test_the_order_of_arrival_changes_nothing_in_a_hundred_thousand_shuffles(seed: int) -> None:
    shuffles = enumerate(differs(Street, SOAK_PART_SHUFFLES, seed=seed), seed)
    assert next((index for index, is_other in shuffles if is_other), None) is None


@pytest.mark.slow
def test_every_world_of_the_soak_can_be_made() -> None:
    """What would end it after half an hour is known in a second."""
    worlds = [make_world(SOAK_SEED + first) for first in range(0, SOAK_SHUFFLES, SHUFFLES_A_WORLD)]
    assert min(len(deliveries) for _, deliveries, _ in worlds) > 10


def test_worlds_hold_zeros_of_supplies_that_were_off() -> None:
    methods = set()
    for seed in range(0, 400, SHUFFLES_A_WORLD):
        facts, deliveries, now_s = make_world(seed)
        street = Street([], is_many=True)
        live(street, facts, iter([deliveries]), now_s)
        methods |= {value[3] for own in street.current().values() for value in own.values()}
    assert Method.KNOWN_ZERO in methods


@pytest.mark.parametrize(("seed", "shuffles"), [(500, 20), pytest.param(520, 80, marks=pytest.mark.slow)])
def test_whether_a_read_ahead_comes_before_the_true_one_changes_nothing(seed: int, shuffles: int) -> None:
    assert sum(differs(Street, shuffles, seed=seed, always=AHEADS)) == 0


@pytest.mark.parametrize("always", [(), AHEADS], ids=["drawn", "ahead"])
def test_a_winner_by_arrival_is_caught(always: tuple[str, ...]) -> None:
    assert any(differs(LastDeliveryWins, CAUGHT_WITHIN, always=always))


@pytest.mark.slow
def test_a_window_that_is_not_widened_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: estimates that learnt from what is dirty are left as they were."""
    monkeypatch.setattr(single_derive, "widen_to_estimates", lambda ports, facts, span, now_s: span)
    monkeypatch.setattr(plain_groups, "span_with", lambda span, *_: span)
    assert any(differs(Street, CAUGHT_WITHIN, seed=340)), "the 17th of these did, the first of 400 from 0 on"


def test_a_window_that_displaces_an_earlier_one_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: of two windows that widen into each other only the later is kept."""

    def later_only(*asked: Any) -> list[Any]:
        ports, series_id, windows, *rest = asked
        kept: list[Any] = []
        for window in windows:
            result = DERIVE_SERIES(ports, series_id, [window], *rest)
            kept = [old for old in kept if all(old.span[1] <= new.span[0] for new in result)] + result
        return kept

    monkeypatch.setattr(derive, "derive_series", later_only)
    assert any(differs(Street, SHUFFLES_A_WORLD))
