"""An outage in which a meter was exchanged, reset or multiplied otherwise: each side has what was read."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from random import Random

import pytest

from pipeline_street import Row, Street, Value
from unit.pipeline.test_beside_the_grid import DAY_S, QUARTER_S, REGISTER, START_S, facts
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.readings import intervals
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.readings.knots import Knots
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod, RegisterReset
from wattkeeper.core.vee.edits import Edit, apply_edits
from wattkeeper.pipeline.ports import SeriesFacts
from wattkeeper.pipeline.series_intervals import derive_span

DAYS = 10
NOW_S = START_S + DAYS * DAY_S
MIDNIGHT_S = START_S + 7 * DAY_S
STEP_MILLIWH = 1000
FIRST = START_S - DAY_S
PROFILE = 90
EDITED = 3  # a world of one cut in the midst of one gap
Delivery = tuple[int, Row]
KINDS = ("exchange", "reset", "multiplier")


@dataclass(frozen=True)
class Piece:
    """A register between two cuts: its channel, its multiplier and what it showed when the piece began.

    It was read at its two ends, or up to five minutes inside of them.
    """

    channel_id: int
    from_s: int
    to_s: int
    ratio: int
    shown: int
    late_s: int = 0
    early_s: int = 0


@dataclass(frozen=True)
class World:
    """What truly went through, and how it was read."""

    facts: SeriesFacts
    pieces: tuple[Piece, ...]
    outage_s: tuple[int, int]
    watts: tuple[tuple[int, int], ...]  # (from second on, watts), piece by piece

    def used_milliwh(self, from_s: int, to_s: int) -> Fraction:
        """Return what was used, by hours and pieces of constant load."""
        return self._until(to_s) - self._until(from_s)

    def _until(self, to_s: int) -> Fraction:
        place = bisect_right(self.watts, to_s, key=lambda each: each[0]) - 1
        at_s, watts = self.watts[place]
        return Fraction(self._totals[place] + watts * (to_s - at_s) * 1000, 3600)

    @cached_property
    def _totals(self) -> list[int]:
        parts = pairwise(self.watts)
        return [0, *accumulate(watts * (next_s - at_s) * 1000 for (at_s, watts), (next_s, _) in parts)]

    def shows(self, piece: Piece, at_s: int) -> int:
        used = self.used_milliwh(piece.from_s, at_s)
        return piece.shown + int(used / (STEP_MILLIWH * piece.ratio))

    def told_milliwh(self, piece: Piece, from_s: int, to_s: int) -> int:
        """Return what the register said between two reads of one piece."""
        return (self.shows(piece, to_s) - self.shows(piece, from_s)) * STEP_MILLIWH * piece.ratio

    def known(self) -> Iterator[tuple[int, int]]:
        """Yield each read from the last before the outage to the first after: when, and the energy since."""
        from_s, to_s = self.outage_s
        total = 0
        for piece in self.pieces:
            first_s = max(from_s, piece.from_s + piece.late_s)
            last_s = min(to_s, piece.to_s - piece.early_s)
            if first_s < last_s:
                yield first_s, total
                total += self.told_milliwh(piece, first_s, last_s)
                yield last_s, total


def make_world(seed: int) -> World:
    """Return a life of one or two cuts in an outage of 2 to 30 hours, anything but at rest on both sides."""
    chance = Random(seed)
    hours = chance.randrange(2, 31)
    from_s = MIDNIGHT_S - chance.randrange(1, 4 * min(hours, 23)) * QUARTER_S
    outage_s = from_s, from_s + hours * 3600
    cuts_s = sorted({_cut(chance, outage_s) for _ in range(chance.choice((1, 1, 2)))})
    own = facts().installations[0]
    installations = [replace(own, starts_at_s=FIRST, multipliers=_periods([(FIRST, chance.choice((1, 40)))]))]
    ratio = installations[0].multipliers[0].ratio
    pieces = [Piece(REGISTER, FIRST, NOW_S, int(ratio), 0)]
    watts = [(FIRST, 0)]
    for cut_s in cuts_s:
        kind, last = chance.choice(KINDS), pieces[-1]
        new = _next(chance, kind, last, cut_s, installations)
        pieces[-1] = replace(last, to_s=cut_s)
        if kind == "exchange":
            room_s = min(cut_s - last.from_s, cut_s - outage_s[0], outage_s[1] - cut_s) // 3
            away_s, late_s, early_s = (min(room_s, chance.choice((0, 0, 0, 47, 300))) for _ in range(3))
            new = replace(new, from_s=cut_s + away_s, late_s=late_s)
            installations[-1] = replace(installations[-1], starts_at_s=new.from_s)
            pieces[-1] = replace(pieces[-1], early_s=early_s)
        pieces.append(new)
    mean = chance.randrange(100, 15_000)
    watts, factor = [], 1.0
    edges = sorted({*range(FIRST, NOW_S, 3600), *cuts_s})
    for at_s in edges:
        if at_s in cuts_s:
            factor = chance.choice((0.0, 0.02, 0.2, 1.0, 3.0))
        hour = (at_s - FIRST) // 3600 % 24
        watts.append((at_s, int(mean * factor * (0.3 + (hour % 7) / 6) * chance.uniform(0.9, 1.1))))
    world = World(
        replace(facts(), installations=tuple(installations), power_max_w=100_000),
        tuple(pieces),
        outage_s,
        tuple(watts),
    )
    return _with_shown(world, installations)


def _cut(chance: Random, outage_s: tuple[int, int]) -> int:
    """Return when somebody came: at any second, mostly not on the grid, now and then on it."""
    at_s = chance.randrange(outage_s[0] + 1, outage_s[1])
    on_grid_s = at_s - at_s % QUARTER_S
    return on_grid_s if chance.random() < 0.15 and on_grid_s > outage_s[0] else at_s


def _periods(told: Sequence[tuple[int, int]]) -> tuple[MultiplierPeriod, ...]:
    ends = [*(at_s for at_s, _ in told[1:]), None]
    return tuple(
        MultiplierPeriod(at_s, end_s, Fraction(ratio))
        for (at_s, ratio), end_s in zip(told, ends, strict=True)
    )


def _next(
    chance: Random, kind: str, last: Piece, cut_s: int, installations: list[ChannelInstallation]
) -> Piece:
    """Return the piece after a cut and write down what happened; what a register goes on from comes later."""
    own = installations[-1]
    if kind == "reset":
        installations[-1] = replace(own, resets=(*own.resets, RegisterReset(cut_s, 0, 0)))
        return Piece(last.channel_id, cut_s, NOW_S, last.ratio, 0)
    ratio = chance.choice([each for each in (1, 7, 40) if each != last.ratio])
    if kind == "multiplier":
        told = [(each.starts_at_s, int(each.ratio)) for each in own.multipliers]
        installations[-1] = replace(own, multipliers=_periods([*told, (cut_s, ratio)]))
        return Piece(last.channel_id, cut_s, NOW_S, ratio, -1)
    installations[-1] = replace(own, ends_at_s=cut_s)
    shown = chance.randrange(100_000)
    new = replace(own, channel_id=last.channel_id + 1, starts_at_s=cut_s, resets=())
    installations.append(replace(new, multipliers=_periods([(cut_s, ratio)])))
    return Piece(new.channel_id, cut_s, NOW_S, ratio, shown)


def _with_shown(world: World, installations: list[ChannelInstallation]) -> World:
    """Return the world with what registers showed when they were multiplied otherwise or set anew."""
    pieces: list[Piece] = []
    for piece in world.pieces:
        if piece.shown < 0:
            piece = replace(piece, shown=world.shows(pieces[-1], piece.from_s))
        pieces.append(piece)
    ends = {each.to_s: world.shows(each, each.to_s) for each in pieces}
    known = tuple(
        replace(
            each,
            resets=tuple(replace(reset, value_before=ends[reset.at_s]) for reset in each.resets),
        )
        for each in installations
    )
    return replace(world, facts=replace(world.facts, installations=known), pieces=tuple(pieces))


def reads_of(world: World) -> list[Delivery]:
    """Return each quarter but in the outage, and what was read off the display at a cut."""
    rows: list[Delivery] = []
    resets = {each.at_s for own in world.facts.installations for each in own.resets}
    for piece in world.pieces:
        for at_s in range(START_S, NOW_S, QUARTER_S):
            is_lost = world.outage_s[0] < at_s < world.outage_s[1]
            if piece.from_s <= at_s < piece.to_s and not is_lost:
                rows.append((piece.channel_id, (at_s, world.shows(piece, at_s), 0, int(Source.PROFILE))))
    for old, new in pairwise(world.pieces):
        at_s, until_s = new.from_s + new.late_s, old.to_s - old.early_s
        if new.from_s not in resets:
            rows.append((new.channel_id, (at_s, world.shows(new, at_s), 0, int(Source.FIELD))))
        if old.channel_id != new.channel_id:
            rows.append((old.channel_id, (until_s, world.shows(old, until_s), 0, int(Source.FIELD))))
    return rows


def with_profile(world: World, read_at_s: int) -> tuple[World, list[Delivery]]:
    """Return the same life where registers are read once a day, and a load profile holds each quarter."""
    own = replace(world.facts.installations[0], channel_id=PROFILE, ends_at_s=None, resets=())
    profile = replace(own, multipliers=_periods([(FIRST, 1)]))
    rows = [
        (channel_id, row)
        for channel_id, row in reads_of(world)
        if row[3] == Source.FIELD or (row[0] - START_S) % DAY_S == read_at_s
    ]
    for at_s in range(START_S, NOW_S, QUARTER_S):
        if not world.outage_s[0] <= at_s < world.outage_s[1]:
            used = int(world.used_milliwh(at_s, at_s + QUARTER_S) / STEP_MILLIWH)
            rows.append((PROFILE, (at_s, used, 0, int(Source.PROFILE))))
    first_s = world.outage_s[0] - (world.outage_s[0] - START_S - read_at_s) % DAY_S
    end_s = world.outage_s[1] + (START_S + read_at_s - world.outage_s[1]) % DAY_S
    known = replace(world.facts, profiles=(profile,))
    return replace(world, facts=known, outage_s=(first_s, end_s)), rows


def live(world: World, parts: Sequence[Sequence[Delivery]], *, is_many: bool = True) -> Street:
    street = Street([world.facts], is_many=is_many)
    for part in parts:
        for channel_id, row in part:
            street.deliver(1, channel_id, [row])
        street.run(NOW_S)
    return street


def values_of(world: World, street: Street) -> list[Value]:
    """Return what stands between the last read before the outage and the first after it."""
    values = street.current()[1]
    return [values[at_s] for at_s in range(*world.outage_s, QUARTER_S)]


def misplaced_milliwh(world: World, street: Street, *, tolerated_milliwh: int = 0) -> int:
    """Return how much lies on the wrong side of a cut, beyond the interval that holds it."""
    totals = [0, *accumulate(value[0] for value in values_of(world, street))]
    assert abs(totals[-1] - list(world.known())[-1][1]) <= tolerated_milliwh
    found = 0
    for at_s, told in world.known():
        before, rest_s = divmod(at_s - world.outage_s[0], QUARTER_S)
        after = before + (rest_s > 0)
        found += max(0, totals[before] - told - tolerated_milliwh, told - totals[after] - tolerated_milliwh)
    return found


def check(seed: int) -> None:
    world = make_world(seed)
    rows = reads_of(world)
    at_once = live(world, [rows])
    assert misplaced_milliwh(world, at_once) == 0
    chance = Random(seed)
    told = [row for row in rows if row[1][3] == Source.FIELD]
    newest = max(rows, key=lambda row: row[1][0])
    late = [*chance.sample(told, (len(told) + 1) // 2), newest]
    mixed = chance.sample(late, len(late))
    for parts in (
        [[row for row in rows if row not in late], mixed[::2], mixed[1::2]],
        [rows[len(rows) * 4 // 5 :], rows[: len(rows) * 4 // 5]],
    ):
        street = live(world, parts, is_many=chance.random() < 0.5)
        assert street.current() == at_once.current()
        assert street.recorded == at_once.recorded


@pytest.mark.parametrize("seed", range(24))
def test_each_side_of_a_cut_has_what_was_read_of_it(seed: int) -> None:
    """One gap, spread as one: of 150 worlds 105 had energy beyond the cut, up to 340 kWh in one."""
    check(seed)


@pytest.mark.slow
def test_each_side_of_a_cut_has_what_was_read_of_it_in_many_worlds() -> None:
    for seed in range(24, 100):
        check(seed)
        check_profile(seed, seed % 2 * DAY_S // 2)


def test_no_estimate_is_looser_than_without_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = [make_world(seed) for seed in range(12)]
    with_cuts = [values_of(world, live(world, [reads_of(world)])) for world in worlds]
    monkeypatch.setattr(intervals, "_find_cuts", lambda _knots: ())
    without = [values_of(world, live(world, [reads_of(world)])) for world in worlds]
    assert [[value[1:3] for value in own] for own in with_cuts] == [
        [value[1:3] for value in own] for own in without
    ]
    assert with_cuts != without
    held = {(Provenance.ESTIMATED, Flag.REGISTER_BRACKETED)}
    assert sum({value[1:3] for value in own} == held for own in with_cuts) >= 4


def check_profile(seed: int, read_at_s: int) -> None:
    """A profile may be 200 of its steps off; registers interpolated beside a cut an interval, too."""
    world, rows = with_profile(make_world(seed), read_at_s)
    at_once = live(world, [rows])
    values = values_of(world, at_once)
    is_loose = any(value[1:3] == (Provenance.ESTIMATED, Flag.NONE) for value in values)
    tolerated_milliwh = 200 * STEP_MILLIWH + is_loose * max(value[0] for value in values)
    assert misplaced_milliwh(world, at_once, tolerated_milliwh=tolerated_milliwh) == 0
    mixed = Random(seed).sample(rows, len(rows))
    assert live(world, [mixed[::2], mixed[1::2]]).current() == at_once.current()


@pytest.mark.parametrize("read_at_s", [0, DAY_S // 2])
@pytest.mark.parametrize("seed", range(6))
def test_what_a_profile_leaves_of_each_side_is_what_was_read_of_it(seed: int, read_at_s: int) -> None:
    """Shared by length over both sides before: of 60 worlds 30, or 32, had energy beyond the cut."""
    check_profile(seed, read_at_s)


def test_an_edit_on_one_side_leaves_the_other_as_it_was() -> None:
    """What is edited is taken from the side that it lies in."""
    world = make_world(EDITED)
    street = live(world, [reads_of(world)])
    span = world.outage_s[0] - DAY_S, world.outage_s[1] + DAY_S
    derived = derive_span(street.ports(), world.facts, span, register_advance)
    (gap,) = derived.gaps
    assert len(gap.cuts) == 1
    assert gap.cuts[0][0] > 4 * QUARTER_S
    edit = Edit(1, world.outage_s[0] + QUARTER_S, (1_000,), (None,), 0, 1, NOW_S, None, "read by hand")
    edited, _ = apply_edits(derived, [edit], has_registers=True)
    first, rest = edited.gaps
    (at_s, until), energy = gap.cuts[0], gap.energy_milliwh or 0
    assert (first.energy_milliwh or 0) + (rest.energy_milliwh or 0) == energy - 1_000
    assert rest.cuts == ((at_s - 2 * QUARTER_S, until - 1_000 - (first.energy_milliwh or 0)),)
    assert first.cuts == ()
    assert rest.is_exact == gap.is_exact


@pytest.mark.parametrize("plant", ["cuts forgotten", "at the interval before"])
def test_cuts_elsewhere_are_caught(monkeypatch: pytest.MonkeyPatch, plant: str) -> None:
    def earlier(knots: Knots) -> Iterator[tuple[int, int]]:
        yield from ((max(1, at_s - 2 * QUARTER_S), energy) for at_s, energy in find(knots))

    find = intervals._find_cuts
    monkeypatch.setattr(intervals, "_find_cuts", earlier if "before" in plant else lambda _knots: ())
    with pytest.raises(AssertionError):
        check(EDITED)
