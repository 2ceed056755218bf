"""A multiplier that changed where nobody read the register: a profile beside it tells what it showed."""

from fractions import Fraction
from random import Random

import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_plain import DAY_S, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.readings.between import ByProfile, by_time
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline import window
from wattkeeper.pipeline.ports import SeriesFacts

REGISTER, PROFILE, RATIO = 10, 11, 10
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


PLANTS = {
    "a straight line": (ByProfile, "__call__", lambda _self, *given: by_time(*given)),
    "late profiles that tell one side alone": (window, "_unread_changes", lambda _: []),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, attribute, fault = PLANTS[name]
    monkeypatch.setattr(owner, attribute, fault)
    with pytest.raises(AssertionError):
        check_all()
