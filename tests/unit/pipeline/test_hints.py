"""Gaps filled from elsewhere: any order of arrival, on either path, ends in the same values."""

from collections.abc import Iterator, Mapping, Sequence, Set
from random import Random

import pytest

from pipeline_street import Row, Street, StreetHints
from unit.pipeline.test_metamorphic import LOOK_BACK_S, Delivery, shuffled
from unit.pipeline.test_plain import DAY_S, DAYS, FEATURES, make_series, start_of
from wattkeeper.core.kernel.quality import Method
from wattkeeper.pipeline import single_derive
from wattkeeper.pipeline.ports import CheckMeter, NodeMeters, SeriesFacts
from wattkeeper.pipeline.rederive import _DryHints

MAIN, CHECK = 1, 2
GAPS = ("gaps", "long-gap")


class Checked(StreetHints):
    """A street's second series checks its first; `is_forgetful` plants marks that are lost.

    `claimed`: what another run holds; `nodes`: what is balanced instead.
    """

    def __init__(self, street: Street, *, is_forgetful: bool = False) -> None:
        super().__init__(street)
        self.is_forgetful = is_forgetful
        self.claimed: set[int] = set()
        self.nodes: list[NodeMeters] = []

    def get_check_meters(self) -> Mapping[int, Sequence[CheckMeter]]:
        return {} if self.nodes else {MAIN: [CheckMeter(CHECK, 3600, 3600)]}

    def get_nodes(self) -> Sequence[NodeMeters]:
        return self.nodes

    def find_claimed(self, series_ids: Sequence[int]) -> Set[int]:
        return self.claimed & set(series_ids)

    def mark(self, spans: Mapping[int, Sequence[tuple[int, int]]]) -> None:
        if not self.is_forgetful:
            super().mark(spans)


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


NODE = NodeMeters(CHECK, ((MAIN, 0, None),), {MAIN: 3600, CHECK: 3600}, 20_000)


def outcome(
    world: tuple[list[SeriesFacts], list[Delivery], int],
    chance: Random | None,
    *,
    is_forgetful: bool = False,
    is_node: bool = False,
) -> object:
    """Return the values that a world ends in: delivered as it is, or shuffled with runs in between."""
    facts, deliveries, now_s = world
    street = Street(facts, is_many=chance is None or chance.random() < 0.5)
    street.hints = hints = Checked(street, is_forgetful=is_forgetful)
    hints.nodes = [NODE] if is_node else []
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


def different(
    *, is_forgetful: bool = False, is_node: bool, seeds: range = range(15)
) -> Iterator[tuple[int, int]]:
    """Yield (world, shuffle) of each that ends otherwise than the plain order does."""
    for seed in seeds:
        world = make_world(seed)
        plain = outcome(world, None, is_node=is_node)
        for index in range(4):
            chance = Random(seed * 7919 + index)
            if outcome(world, chance, is_forgetful=is_forgetful, is_node=is_node) != plain:
                yield seed, index


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(4, 15), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "is_node", [pytest.param(False, id="check meter"), pytest.param(True, id="node", marks=pytest.mark.slow)]
)
def test_the_order_in_which_meters_that_tell_of_each_other_arrive_changes_nothing(
    *, is_node: bool, seeds: range
) -> None:
    assert list(different(is_node=is_node, seeds=seeds)) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_node", [False, True], ids=["check meter", "node"])
def test_marks_that_are_lost_are_caught(*, is_node: bool) -> None:
    assert any(different(is_forgetful=True, is_node=is_node))


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
    monkeypatch.setattr(single_derive, "candidates_before", lambda *_: ())
    assert Method.CHECK_METER not in methods()


class Overtaken(Street):
    """While the run that holds the main meter is about to append, another derives what its check meter tells.

    `is_seen`: whether that other one sees who holds what.
    """

    late: tuple[int, list[Row]] | None = None
    is_seen, now_s = True, 0

    def step(self, name: str) -> None:
        super().step(name)
        if name == "append" and self.late is not None:
            assert isinstance(self.hints, Checked)
            (channel_id, rows), self.late = self.late, None
            held, self.dirty = self.dirty, {}
            self.hints.claimed = {MAIN} if self.is_seen else set()
            self.deliver(CHECK, channel_id, rows)
            self.run(self.now_s)
            self.hints.claimed = set()
            self.dirty |= held


@pytest.mark.parametrize("is_seen", [True, False])
@pytest.mark.parametrize("is_many", [True, False])
def test_a_main_meter_that_loses_what_it_measured_while_its_check_meter_changes(
    *, is_many: bool, is_seen: bool
) -> None:
    """It is asked again, since another run holds it. The planted fault: who does not see that, skips it."""
    chance = Random(7)
    made = [make_series(own, [], chance) for own in (MAIN, CHECK)]
    street = Overtaken([facts for facts, _ in made], is_many=is_many)
    street.hints, street.is_seen = Checked(street), is_seen
    (channel, rows), (check_channel, check_rows) = (next(iter(reads.items())) for _, reads in made)
    gap_s = range(rows[40][0], rows[60][0])
    late = [row for row in check_rows if row[0] in gap_s]
    now_s = street.now_s = rows[-1][0]
    street.deliver(MAIN, channel, rows)
    street.deliver(CHECK, check_channel, [row for row in check_rows if row not in late])
    settle(street, now_s)
    street.raw[channel] = {row for row in rows if row[0] not in gap_s}  # as if a person rejected them
    street.mark(MAIN, gap_s.start, gap_s.stop)
    street.late = check_channel, late
    settle(street, now_s)
    assert street.late is None
    found = {value[3] for at_s, value in street.current()[MAIN].items() if at_s in gap_s}
    assert (Method.CHECK_METER in found) is is_seen


def test_what_is_looked_at_without_writing_marks_nothing() -> None:
    street = Street([], is_many=True)
    dry = _DryHints(Checked(street))
    dry.begin()
    dry.mark({MAIN: [(0, 900)]})
    assert not street.dirty
    assert dry.get_check_meters()[MAIN] == [CheckMeter(CHECK, 3600, 3600)]
    assert dry.get_holidays([MAIN], 0, 1) == {}
    assert not dry.get_nodes()
    assert not dry.get_off_spans()
    assert not dry.find_claimed([MAIN])
