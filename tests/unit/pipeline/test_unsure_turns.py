"""A gap in which a register may have come round once more than it shows is billed by nobody unasked."""

from dataclasses import replace
from fractions import Fraction
from random import Random

import numpy as np
import pytest

from pipeline_street import Row, Street
from unit.pipeline.test_metamorphic import bill_of
from unit.pipeline.test_plain import DAY_S, DAYS, HOUR_S, ZONES, start_of
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.readings import intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline.ports import SeriesFacts

REGISTER, PROFILE = 10, 11
MODULUS = 10**4  # watt-hours: what 5 kW take round in two hours
HELD = "billing.unbracketed-estimates"


def facts_of(*, has_profile: bool = False) -> SeriesFacts:
    always = (MultiplierPeriod(0, None, Fraction(1)),)
    register = ChannelInstallation(REGISTER, 0, None, Fraction(1000), MODULUS, always)
    profile = replace(register, channel_id=PROFILE, register_modulus=None)
    return SeriesFacts(1, (register,), HOUR_S, ZONES[0], 5000, profiles=(profile,) if has_profile else ())


def live(facts: SeriesFacts, lost: range, *, is_many: bool, stream: int = 0) -> Street:
    """Return hours of 100 to 999 Wh of which the register lacks some reads; `stream`: in which order."""
    chance, shown, rows = Random(1), 500, list[tuple[int, Row]]()
    for hour in range(DAYS * 24 + 1):
        at_s, count = start_of(facts.zone) + hour * HOUR_S, chance.randrange(100, 1000)
        if hour not in lost:
            rows.append((REGISTER, (at_s, shown % MODULUS, 0, int(Source.PROFILE))))
        if facts.profiles and hour < DAYS * 24:
            rows.append((PROFILE, (at_s, count, 0, int(Source.PROFILE))))
        shown += count
    Random(stream).shuffle(rows)
    street = Street([facts], is_many=is_many)
    for batch in (rows[:50], rows[50:]):
        for channel_id, row in batch:
            street.deliver(1, channel_id, [row])
        street.run(start_of(facts.zone) + (DAYS + 3) * DAY_S)
    return street


def unsure_of(street: Street) -> list[dict[str, int | str]]:
    return [
        dict(each.evidence) for each in street.recorded.values() if each.rule == "readings.rollover-ambiguous"
    ]


@pytest.mark.parametrize("is_many", [False, True])
@pytest.mark.parametrize(("lost", "is_unsure"), [(range(30, 31), False), (range(30, 34), True)])
def test_what_may_be_a_turn_more_is_found_and_holds_the_bill(
    lost: range, is_unsure: bool, is_many: bool
) -> None:
    street = live(facts_of(), lost, is_many=is_many)
    assert bool(unsure_of(street)) == is_unsure
    inside = [street.current()[1][start_of(ZONES[0]) + hour * HOUR_S] for hour in lost]
    assert {value[1] for value in inside} == {int(Provenance.ESTIMATED)}
    assert {bool(value[2] & Flag.REGISTER_BRACKETED) for value in inside} == {not is_unsure}
    assert (bill_of(street, street.facts[1]) == [HELD]) == is_unsure


def test_the_finding_says_what_it_may_have_been() -> None:
    """The candidates are the least and so many turns more as the greatest leaves room for."""
    (seen,) = unsure_of(live(facts_of(), range(30, 60), is_many=False))
    least, most = int(seen["advance"]), int(seen["advance_max"])
    chance = Random(1)
    counts = [chance.randrange(100, 1000) for _ in range(DAYS * 24)]
    assert seen["register_modulus"] == MODULUS
    assert sum(counts[29:60]) in range(least, most + 1, MODULUS)
    assert most == 31 * 5000 + 1


def test_a_profile_tells_how_often_it_came_round() -> None:
    street = live(facts_of(has_profile=True), range(30, 60), is_many=False)
    assert unsure_of(street)
    end_s = start_of(ZONES[0]) + DAYS * DAY_S
    own = [value[1] for at_s, value in street.current()[1].items() if at_s < end_s]
    assert own == [int(Provenance.MEASURED)] * DAYS * 24
    assert bill_of(street, street.facts[1]) != [HELD]


def test_hours_that_may_be_a_turn_themselves_are_not_measured() -> None:
    street = live(replace(facts_of(), power_max_w=12_000), range(0), is_many=True)
    assert len(unsure_of(street)) == DAYS * 24
    assert {value[1] for value in street.current()[1].values()} == {int(Provenance.ESTIMATED)}
    assert bill_of(street, street.facts[1]) == [HELD]


@pytest.mark.parametrize("is_many", [False, True])
def test_any_order_ends_in_the_same_state(is_many: bool) -> None:
    plain = live(facts_of(), range(30, 60), is_many=False)
    for stream in range(1, 6):
        other = live(facts_of(), range(30, 60), is_many=is_many, stream=stream)
        assert (other.current(), other.recorded) == (plain.current(), plain.recorded)


def test_a_turn_that_nobody_doubts_would_be_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: what lies between two reads is bracketed, however often the register came round."""
    monkeypatch.setattr(intervals, "_find_unsure", lambda _, bounds: np.zeros(len(bounds) - 1, np.bool_))
    street = live(facts_of(), range(30, 60), is_many=True)
    assert bill_of(street, street.facts[1]) != [HELD]
