"""Gaps filled from elsewhere: any order of arrival, on either path, ends in the same values."""

from collections.abc import Mapping, Sequence
from datetime import date
from random import Random

import pytest

from pipeline_street import Street
from unit.pipeline.test_metamorphic import LOOK_BACK_S, Delivery, shuffled
from unit.pipeline.test_plain import DAY_S, DAYS, FEATURES, make_series, start_of
from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.vee.candidates import NO_CANDIDATES
from wattkeeper.pipeline import derive, plain_derive
from wattkeeper.pipeline.ports import CheckMeter, SeriesFacts
from wattkeeper.pipeline.rederive import _DryHints

MAIN, CHECK = 1, 2
GAPS = ("gaps", "long-gap")


class Checked:
    """A street's second series checks its first; `is_forgetful` plants marks that are lost."""

    def __init__(self, street: Street, *, is_forgetful: bool = False) -> None:
        self.street = street
        self.is_forgetful = is_forgetful
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1

    def get_holidays(
        self, series_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, frozenset[date]]:
        return {}

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        return {MAIN: [CheckMeter(CHECK, 3600, 3600)]}

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        for series_id, own in spans.items():
            for span in () if self.is_forgetful else own:
                self.street.mark(series_id, *span)


def make_world(seed: int) -> tuple[list[SeriesFacts], list[Delivery], int]:
    """Return a series with gaps and one that checks it, their reads, and the instant they are judged at."""
    chance = Random(seed)
    made = [make_series(own, [*GAPS, *chance.sample(FEATURES, 2)], chance) for own in (MAIN, CHECK)]
    while made[0][0].zone != made[1][0].zone:
        made[1] = make_series(CHECK, [*GAPS, *chance.sample(FEATURES, 2)], chance)
    facts = [own for own, _ in made]
    deliveries = [
        (own.series_id, channel_id, row)
        for own, reads in made
        for channel_id, rows in reads.items()
        for row in rows
    ]
    return facts, deliveries, max(start_of(own.zone) for own in facts) + (DAYS + 3) * DAY_S


def settle(street: Street, now_s: int) -> None:
    """Run until nothing is dirty."""
    for _ in range(6):
        street.run(now_s)
        if not street.dirty:
            return
    raise AssertionError


def outcome(
    world: tuple[list[SeriesFacts], list[Delivery], int], chance: Random | None, *, is_forgetful: bool = False
) -> object:
    """Return the values that a world ends in: delivered as it is, or shuffled with runs in between."""
    facts, deliveries, now_s = world
    street = Street(facts, is_many=chance is None or chance.random() < 0.5)
    street.hints = Checked(street, is_forgetful=is_forgetful)
    for own in facts:  # what its installation marks
        street.mark(own.series_id, start_of(own.zone) - DAY_S, now_s)
    settle(street, now_s)
    for batch in [deliveries] if chance is None else shuffled(deliveries, chance):
        for series_id, channel_id, row in batch:
            street.deliver(series_id, channel_id, [row])
        settle(street, now_s)
    for own in facts:  # the look that the worker takes again and again
        street.mark(own.series_id, now_s - LOOK_BACK_S, now_s)
    settle(street, now_s)
    return street.current()


def count_different(worlds: int, *, shuffles: int = 4, is_forgetful: bool = False) -> int:
    """Return how many shuffles of so many worlds end otherwise than the plain order does."""
    different = 0
    for seed in range(worlds):
        world = make_world(seed)
        plain = outcome(world, None)
        for index in range(shuffles):
            chance = Random(seed * 7919 + index)
            different += outcome(world, chance, is_forgetful=is_forgetful) != plain
    return different


def test_the_order_in_which_a_meter_and_its_check_meter_arrive_changes_nothing() -> None:
    assert count_different(25) == 0


def test_marks_that_are_lost_are_caught() -> None:
    assert count_different(25, is_forgetful=True) > 0


@pytest.mark.parametrize("is_many", [True, False])
def test_gaps_are_filled_from_the_check_meter(*, is_many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the planted fault: candidates that are left out change the method."""

    def methods() -> set[int]:
        facts, deliveries, now_s = make_world(2)
        street = Street(facts, is_many=is_many)
        street.hints = Checked(street)
        for series_id, channel_id, row in deliveries:
            street.deliver(series_id, channel_id, [row])
        settle(street, now_s)
        return {value[3] for value in street.current()[MAIN].values()}

    assert Method.CHECK_METER in methods()
    for module in (derive, plain_derive):
        monkeypatch.setattr(module, "candidates_for", lambda *_: NO_CANDIDATES)
    assert Method.CHECK_METER not in methods()


def test_what_is_looked_at_without_writing_marks_nothing() -> None:
    street = Street([], is_many=True)
    dry = _DryHints(Checked(street))
    dry.begin()
    dry.mark({MAIN: [(0, 900)]})
    assert not street.dirty
    assert dry.get_check_meters()[MAIN] == [CheckMeter(CHECK, 3600, 3600)]
    assert dry.get_holidays([MAIN], 0, 1) == {}
