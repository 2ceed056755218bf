"""A multiplier that changed where nobody read the register: a profile beside it tells what it showed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_plain import DAY_S, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.between import ByProfile, by_time
from wattkeeper.core.readings.profile_grid import ProfileGrid
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import widen
from wattkeeper.pipeline.ports import SeriesFacts

REGISTER, PROFILE, ELSEWHERE, RATIO = 10, 11, 12, 10
ZONE = ZONES[0]
START_S = start_of(ZONE)
HOURS = 4 * 24
Delivery = tuple[int, Row]


def make_world(seed: int) -> tuple[SeriesFacts, list[Delivery], int, int]:
    """Return facts, reads, the hour of the change and what the meter itself counted in four days, in
    watt-hours.

    The register is read at both ends, once more perhaps; the profile lacks hours on both sides of the change.
    """
    chance = Random(seed)
    change = chance.choice((24, 48, 48, 72))
    used_wh = [chance.randrange(1, 400) * (9 if hour >= change else 1) for hour in range(HOURS)]
    change_s, long_ago_s = START_S + change * HOUR_S, START_S - 90 * DAY_S
    periods = (
        MultiplierPeriod(long_ago_s, change_s, Fraction(1)),
        MultiplierPeriod(change_s, None, Fraction(RATIO)),
    )
    channels = [
        ChannelInstallation(channel_id, long_ago_s, None, Fraction(1000), modulus, periods)
        for channel_id, modulus in ((REGISTER, 10**9), (PROFILE, None))
    ]
    facts = SeriesFacts(1, (channels[0],), HOUR_S, ZONE, 200_000, profiles=(channels[1],))
    read_at = {0, HOURS, chance.choice((24, change - 3, change - 3, 90))}
    rows: list[Delivery] = [
        (REGISTER, (START_S + hour * HOUR_S, 5000 + sum(used_wh[:hour]), 0, int(Source.FILE)))
        for hour in read_at
    ]
    first = chance.randrange(0, change)
    lost = {change - 1, *range(first, first + chance.choice((1, 30))), *chance.sample(range(HOURS), 3)}
    rows += [
        (PROFILE, (START_S + hour * HOUR_S, wh, 0, int(Source.FILE)))
        for hour, wh in enumerate(used_wh)
        if hour not in lost
    ]
    return facts, rows, change, sum(used_wh)


def live(facts: SeriesFacts, parts: list[list[Delivery]]) -> Street:
    """Return the street after parts were delivered, each followed by a run, and long after."""
    street = Street([facts], is_many=True)
    for part in parts:
        for channel_id, row in part:
            street.deliver(1, channel_id, [row])
        street.run(START_S + HOURS * HOUR_S)
    street.run(START_S + HOURS * HOUR_S + 20 * DAY_S)
    return street


def counted_wh(street: Street, change: int) -> Fraction:
    """Return what the values of four days come to without the multipliers."""
    change_s = START_S + change * HOUR_S
    return sum(
        (
            Fraction(value, 1000 * (RATIO if at_s >= change_s else 1))
            for at_s, (value, provenance, _, _) in street.current()[1].items()
            if provenance != Provenance.MISSING and at_s < START_S + HOURS * HOUR_S
        ),
        Fraction(0),
    )


def check(seed: int) -> None:
    facts, rows, change, used_wh = make_world(seed)
    at_once = live(facts, [rows])
    assert abs(counted_wh(at_once, change) - used_wh) <= 1
    chance = Random(seed)
    mixed = chance.sample(rows, len(rows))
    mixed.sort(key=lambda row: row[1][0] == START_S + (change + 24) * HOUR_S)
    late = live(facts, [mixed[:40], mixed[20:-2], mixed[-2:-1], mixed[-1:]])
    assert late.current() == at_once.current()
    assert late.recorded == at_once.recorded


def check_all() -> None:
    for seed in range(30):
        check(seed)


@pytest.mark.parametrize("seed", range(30))
def test_what_the_meter_counted_is_kept_in_any_order(seed: int) -> None:
    check(seed)


def strange(kind: str, change: int) -> list[Delivery]:
    """Return reads that say nothing of a change, beside those of a world."""
    if kind == "more than a service withstands":
        return [(PROFILE, (START_S + (change - 1) * HOUR_S, 10**9, 0, int(Source.FILE)))]
    channel_id, late_s = (PROFILE, HOUR_S // 2) if kind == "off the grid" else (ELSEWHERE, 0)
    return [
        (channel_id, (START_S + hour * HOUR_S + late_s, 9000 if hour < change else 1, 0, int(Source.FILE)))
        for hour in range(HOURS)
    ]


def check_strange(kind: str, seed: int) -> None:
    """The meter of `ELSEWHERE` was there before the one that is, and measures another usage point now."""
    facts, rows, change, _ = make_world(seed)
    from_s, to_s = START_S - 100 * DAY_S, START_S - 90 * DAY_S
    ones = (MultiplierPeriod(from_s, to_s, Fraction(1)),)
    left = ChannelInstallation(ELSEWHERE, from_s, to_s, Fraction(1000), None, ones)
    facts = replace(facts, profiles=(left, *facts.profiles))
    street = live(facts, [rows])
    assert len(street.current()[1]) >= HOURS
    assert live(facts, [rows + strange(kind, change)]).current() == street.current()


KINDS = ("of a meter that had left", "more than a service withstands", "off the grid")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_read_that_does_not_count_decides_nothing(kind: str, seed: int) -> None:
    check_strange(kind, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_decides_all_the_same_is_seen(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: where the register was not read, every read of a profile counts."""
    true_of = ByProfile.of

    def every_read(
        profiles: Sequence[ChannelInstallation], reads: Mapping[int, ReadColumns], grid: ProfileGrid
    ) -> ByProfile:
        starts_at_s = np.arange(grid.starts_at_s[0], grid.starts_at_s[-1], HOUR_S // 2, dtype=np.int64)
        ones = (MultiplierPeriod(0, None, Fraction(1)),)
        ever = [replace(each, starts_at_s=0, ends_at_s=None, multipliers=ones) for each in profiles]
        return true_of(ever, reads, ProfileGrid(starts_at_s, HOUR_S, 2**62))

    monkeypatch.setattr(ByProfile, "of", every_read)
    with pytest.raises(AssertionError):
        check_strange(kind, 0)


def test_each_meter_tells_of_its_own_part_of_an_interval() -> None:
    """One is exchanged at 02:30: 4 and 6 counts of that hour; the multiplier changes at 03:00."""
    exchange_s, change_s = 5 * HOUR_S // 2, 3 * HOUR_S
    periods = (MultiplierPeriod(0, change_s, Fraction(1)), MultiplierPeriod(change_s, None, Fraction(RATIO)))
    meters = (
        ChannelInstallation(1, 0, exchange_s, Fraction(1000), None, periods[:1]),
        ChannelInstallation(2, exchange_s, None, Fraction(1000), None, periods),
    )
    reads = {
        1: ReadColumns.of([(hour * HOUR_S, 4, 0, int(Source.FILE)) for hour in range(5)]),
        2: ReadColumns.of([(hour * HOUR_S, 6, 0, int(Source.FILE)) for hour in range(5)]),
    }
    between = ByProfile.of(meters, reads, ProfileGrid.over(0, 5 * HOUR_S, HOUR_S, 1000))
    assert between(exchange_s, change_s, 5 * HOUR_S, Fraction(18_000)) == Fraction(1, 3)
    assert between(0, exchange_s, change_s, Fraction(18_000)) == Fraction(12, 18)


PLANTS = {
    "a straight line": (ByProfile, "__call__", lambda _self, *given: by_time(*given)),
    "late profiles that tell one side alone": (widen, "UNREAD_CHANGE", ""),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault = PLANTS[name]
    monkeypatch.setattr(owner, attribute, fault)
    with pytest.raises(AssertionError):
        check_all()


def test_what_a_register_showed_at_a_change_is_told_as_its_digits_were() -> None:
    """It came round two hours before; with that read in view it was told as more than it can show."""
    change_s, long_ago_s = START_S + 3 * HOUR_S, START_S - 90 * DAY_S
    periods = (
        MultiplierPeriod(long_ago_s, change_s, Fraction(1)),
        MultiplierPeriod(change_s, None, Fraction(RATIO)),
    )
    own = ChannelInstallation(REGISTER, long_ago_s, None, Fraction(10**6), 1000, periods)
    shown = {0: 990, HOUR_S: 996, 2 * HOUR_S: 8, 4 * HOUR_S: 30}
    rows = [(REGISTER, (START_S + at_s, value, 0, int(Source.FILE))) for at_s, value in shown.items()]
    street = live(SeriesFacts(1, (own,), HOUR_S, ZONE, 50_000), [rows])
    (found,) = (each for each in street.recorded.values() if each.rule == "readings.multiplier-read-missing")
    assert found.evidence["interpolated_value"] == (8 + 30) // 2
