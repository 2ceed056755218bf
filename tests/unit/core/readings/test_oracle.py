"""The readings code against a physical model in exact fractions, interval by interval."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pytest

from unit.core.readings.physical_meter import Clock, Life, live
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import positions, trace
from wattkeeper.core.readings.intervals import Gap, Intervals, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod, RegisterReset

Row = tuple[int, int, int, int]
QUARTER_S = 900
START_S = 1_767_225_600
DAY_S = 86_400
POWER_MAX_W = 5000
SEEDS = range(16)


def installations_of(life: Life) -> list[ChannelInstallation]:
    """Return the facts that somebody who watched the life would have written down."""
    starts = [life.from_s, *life.exchanges]
    found = []
    for place, starts_at_s in enumerate(starts):
        ends_at_s = starts[place + 1] if place + 1 < len(starts) else None
        dial = next(each.dial for each in life.segments if each.from_s == starts_at_s)
        periods = []
        for index, (from_s, ratio) in enumerate(life.changes):
            until_s = life.changes[index + 1][0] if index + 1 < len(life.changes) else None
            periods.append(MultiplierPeriod(from_s, until_s, ratio))
        resets = [
            RegisterReset(at_s, before, after)
            for channel_id, at_s, before, after in life.resets
            if channel_id == dial.channel_id
        ]
        own = (dial.step_milliwh, dial.modulus, tuple(periods), tuple(resets))
        found.append(ChannelInstallation(dial.channel_id, starts_at_s, ends_at_s, *own))
    return found


def reads_of(life: Life) -> dict[int, list[Row]]:
    """Return what the dials showed on the grid, and to the person who came, by channel."""
    rows: dict[int, list[Row]] = {each.dial.channel_id: [] for each in life.segments}
    told_s = {at_s for _, at_s, _, _ in life.resets}
    for each in life.segments:
        stamps = dict.fromkeys(range(life.from_s, life.to_s + 1, QUARTER_S), Source.PROFILE)
        stamps |= dict.fromkeys({each.from_s, each.to_s} - told_s, Source.FIELD)
        for at_s, source in stamps.items():
            is_set = each.to_s in told_s and at_s == each.to_s
            if each.from_s <= at_s <= each.to_s and not is_set:
                rows[each.dial.channel_id].append((at_s, each.shows(life.load, at_s), 0, int(source)))
    return rows


def derive(life: Life, rows: dict[int, list[Row]]) -> Intervals:
    return derive_intervals(
        installations=installations_of(life),
        reads={channel_id: ReadColumns.of(own) for channel_id, own in rows.items()},
        from_s=life.from_s,
        to_s=life.to_s,
        interval_s=QUARTER_S,
        power_max_w=POWER_MAX_W,
    )


def damage(rows: dict[int, list[Row]], chance: Random, life: Life) -> dict[int, list[Row]]:
    """Return the reads with outages, some twice, in any order; what a person read stays."""
    spans = []
    for _ in range(chance.randrange(1, 4)):
        first_s = chance.randrange(life.from_s + 1, life.to_s)
        spans.append((first_s, min(first_s + chance.randrange(1, 60) * QUARTER_S, life.to_s)))

    def is_lost(row: Row) -> bool:
        return row[3] == Source.PROFILE and any(a <= row[0] < b for a, b in spans)

    damaged = {}
    for channel_id, own in rows.items():
        kept = [row for row in own if not is_lost(row)]
        kept += chance.sample(kept, len(kept) // 3)
        chance.shuffle(kept)
        damaged[channel_id] = kept
    return damaged


def slack_milliwh(life: Life, from_s: int, to_s: int) -> int:
    """Return the milliwatt-hours that rounding down at cuts and turns may move."""
    return 2 * len(life.segments_within(from_s, to_s)) + 2


def stretches(found: Intervals) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and energy of everything known: measured intervals one by one, gaps as a whole.

    What was read at resets and exchanges divides only outages of more than a day, between two instants of the
    grid and not at one: the parts together are exact.
    """
    for i in np.flatnonzero(found.provenance != Provenance.MISSING).tolist():
        at_s = int(found.starts_at_s[i])
        yield at_s, at_s + found.interval_s, int(found.value_milliwh[i])
    outages: list[list[Gap]] = []
    for gap in found.gaps:
        is_next = bool(outages) and outages[-1][-1].end_index == gap.first_index
        if is_next and not gap.is_exact and not outages[-1][-1].is_exact:
            outages[-1].append(gap)
        else:
            outages.append([gap])
    for parts in outages:
        from_s, to_s = (
            int(found.starts_at_s[0]) + index * found.interval_s
            for index in (parts[0].first_index, parts[-1].end_index)
        )
        energies = [gap.energy_milliwh for gap in parts if gap.energy_milliwh is not None]
        assert len(energies) == len(parts)
        assert parts[0].is_exact or (len(parts) > 1 and to_s - from_s > DAY_S)
        yield from_s, to_s, sum(energies)


def check(life: Life, found: Intervals) -> None:
    """Every interval and gap is what the dials counted; the whole is what went through, by a count a dial."""
    for from_s, to_s, energy_milliwh in stretches(found):
        counted = life.counted_milliwh(from_s, to_s)
        assert abs(energy_milliwh - counted) <= slack_milliwh(life, from_s, to_s), (from_s, to_s)
    for gap in found.gaps:
        from_s = int(found.starts_at_s[gap.first_index])
        for cut_s, energy_milliwh in gap.cuts if gap.is_exact else ():
            counted = life.counted_milliwh(from_s, from_s + cut_s)
            assert abs(energy_milliwh - counted) <= slack_milliwh(life, from_s, from_s + cut_s)
    total = sum(energy for _, _, energy in stretches(found))
    most = sum(each.rate_milliwh for each in life.segments) + slack_milliwh(life, life.from_s, life.to_s)
    assert abs(total - life.true_milliwh(life.from_s, life.to_s)) <= most
    allowed = {"readings.rollover", "readings.register-reset"}
    assert {finding.rule for finding in found.findings} <= allowed
    assert sum(f.rule == "readings.register-reset" for f in found.findings) == len(life.resets)


def make(seed: int, digits: int | None) -> tuple[Life, dict[int, list[Row]], Random]:
    chance = Random(seed * 100 + (digits or 0))
    events = {"exchange": chance.randrange(3), "ratio": chance.randrange(3), "reset": chance.randrange(3)}
    end_s = START_S + chance.randrange(40, 200) * QUARTER_S
    life = live(chance, START_S, end_s, digits, events=events)
    return life, reads_of(life), chance


@pytest.mark.parametrize("digits", [4, 5, 6, 7, 8, None])
def test_what_the_dials_counted_is_what_is_derived(digits: int | None) -> None:
    for seed in SEEDS:
        life, rows, chance = make(seed, digits)
        check(life, derive(life, rows))
        check(life, derive(life, damage(rows, chance, life)))


@pytest.mark.slow
@pytest.mark.parametrize("digits", [4, 5, 6, 7, 8, None])
def test_what_the_dials_counted_is_what_is_derived_in_many_lives(digits: int | None) -> None:
    for seed in range(100, 350):
        life, rows, chance = make(seed, digits)
        check(life, derive(life, damage(rows, chance, life)))


def test_import_and_export_do_not_touch_each_other() -> None:
    """Two directions are two series: each is exact by itself, whatever the other does."""
    for seed in range(10):
        for direction in (2 * seed, 2 * seed + 1):
            life, rows, chance = make(direction, 6)
            check(life, derive(life, damage(rows, chance, life)))


def test_a_ratio_told_late_gives_what_one_told_in_time_gives() -> None:
    for seed in SEEDS:
        life, rows, _ = make(seed, 6)
        if len(life.changes) > 1:
            found = derive(life, rows)
            only_first = [life.changes[0]]
            changes, life.changes = life.changes, only_first
            derive(life, rows)  # as it stood before anybody told
            life.changes = changes
            again = derive(life, rows)
            np.testing.assert_array_equal(found.value_milliwh, again.value_milliwh)
            check(life, again)


def test_a_reset_nobody_read_loses_only_its_own_stretch() -> None:
    life = live(Random(5), START_S, START_S + 40 * QUARTER_S, 6, events={"reset": 1})
    channel_id, at_s, _, after = life.resets[0]
    installation = installations_of(life)[0]
    unread = ChannelInstallation(
        channel_id,
        installation.starts_at_s,
        None,
        installation.step_milliwh,
        installation.register_modulus,
        installation.multipliers,
        (RegisterReset(at_s, None, after),),
    )
    found = derive_intervals(
        installations=[unread],
        reads={channel_id: ReadColumns.of(reads_of(life)[channel_id])},
        from_s=life.from_s,
        to_s=life.to_s,
        interval_s=QUARTER_S,
        power_max_w=POWER_MAX_W,
    )
    place = (at_s - life.from_s) // QUARTER_S
    assert [(gap.first_index, gap.end_index, gap.energy_milliwh) for gap in found.gaps] == [
        (place, place + 1, None)
    ]
    assert [f.evidence["value_before"] for f in found.findings if f.rule == "readings.register-reset"] == [-1]


PLANTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "turns forgotten": (positions, "_unwrap", lambda values, chains: values),
    "one ratio for all": (
        positions,
        "_cut_at_multipliers",
        lambda installation, counts, between: (counts, []),
    ),
    "exchanges not joined": (
        trace,
        "_chain_up",
        lambda pieces, own=trace._chain_up: [
            piece for i, piece in enumerate(own(pieces)) if i == 0 or len(piece.knots)
        ][:1],
    ),
    "resets not heard of": (
        trace,
        "cut_at_resets",
        lambda installation, reads, own=trace.cut_at_resets: list(own(installation, reads))[:1],
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault = PLANTS[name]
    monkeypatch.setattr(owner, attribute, fault)
    for seed in range(30):
        life, rows, _ = make(seed, 5)
        try:
            check(life, derive(life, rows))
        except (AssertionError, IndexError, ValueError):
            return
    pytest.fail(f"nobody noticed: {name}")


def clocked(life: Life, clock: Clock) -> list[Row]:
    """Return the entries of a profile whose stamps come from a clock that was set."""
    rows = [(life.from_s, life.segments[0].shows(life.load, life.from_s), 0, int(Source.FIELD))]
    for stamp, true_s, is_first in clock.stamps(life.from_s, life.to_s, QUARTER_S):
        flags = int(Flag.CLOCK_ADJUSTED) if is_first else 0
        rows.append((stamp, life.segments[0].shows(life.load, true_s), flags, int(Source.PROFILE)))
    return rows


@pytest.mark.parametrize("offset_s", [-3000, -1000, -420, -60, -1, 1, 60, 420, 899, 900, 1000, 3000])
def test_a_clock_that_is_set_loses_no_energy_and_moves_none_further_than_it_was_wrong(offset_s: int) -> None:
    for seed in range(12):
        chance = Random(seed)
        life = live(chance, START_S, START_S + 60 * QUARTER_S, 6, events={})
        set_at_s = START_S + chance.randrange(20 * QUARTER_S, 40 * QUARTER_S)
        found = derive(life, {1: clocked(life, Clock(offset_s, set_at_s))})
        total = sum(energy for _, _, energy in stretches_within(found))
        first_s = first_known_s(found)
        assert abs(total - life.counted_milliwh(true_of(first_s, offset_s), life.to_s)) <= 2
        is_around = [near(at_s, set_at_s, offset_s) for at_s in found.starts_at_s.tolist()]
        for i, at_s in enumerate(found.starts_at_s.tolist()):
            if found.provenance[i] == Provenance.MEASURED and not is_around[i]:
                shift_s = offset_s if at_s < set_at_s + offset_s else 0
                own = life.counted_milliwh(max(at_s - shift_s, START_S), at_s + QUARTER_S - shift_s)
                assert at_s <= START_S + QUARTER_S or abs(int(found.value_milliwh[i]) - own) <= 2
        is_flagged = (found.flags & Flag.CLOCK_ADJUSTED) != 0
        is_open = found.provenance == Provenance.MISSING
        assert any(
            near and (flagged or gap)
            for near, flagged, gap in zip(is_around, is_flagged, is_open, strict=True)
        )


def stretches_within(found: Intervals) -> Iterator[tuple[int, int, int]]:
    """Yield what is known from the first known boundary on; nothing after it may be unknown."""
    for i in np.flatnonzero(found.provenance != Provenance.MISSING).tolist():
        yield i, i + 1, int(found.value_milliwh[i])
    for gap in found.gaps:
        if gap.first_index > 0 or found.position_chain[0] >= 0:
            assert gap.energy_milliwh is not None, gap
            yield gap.first_index, gap.end_index, gap.energy_milliwh


def first_known_s(found: Intervals) -> int:
    place = int(np.flatnonzero(found.position_chain >= 0)[0])
    return int(found.starts_at_s[0]) + place * found.interval_s


def true_of(stamp_s: int, offset_s: int) -> int:
    return START_S if stamp_s == START_S else stamp_s - offset_s


def near(at_s: int, set_at_s: int, offset_s: int) -> bool:
    """Whether an interval may hold what was used while the clock jumped."""
    least_s, most_s = sorted((set_at_s, set_at_s + offset_s))
    return least_s - QUARTER_S < at_s < most_s + QUARTER_S


def test_energy_is_a_fraction_until_it_is_asked_for() -> None:
    life = live(Random(1), START_S, START_S + 8 * QUARTER_S, 6, events={})
    whole = life.true_milliwh(life.from_s, life.to_s)
    assert whole == sum(
        (life.true_milliwh(at_s, at_s + 60) for at_s in range(life.from_s, life.to_s, 60)), Fraction(0)
    )
