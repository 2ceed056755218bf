"""Reads beside the intervals: their energy stays in its day, and what no interval can take is told."""

from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from pipeline_street import Street
from wattkeeper.core.kernel.instants import interval_start_s
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.pipeline.ports import SeriesFacts

DAY_S = 86_400
QUARTER_S = 900
ONE = (MultiplierPeriod(0, None, Fraction(1)),)
KOLKATA = ZoneInfo("Asia/Kolkata")
START_S = interval_start_s(1_790_000_000, DAY_S, KOLKATA)
REGISTER, PROFILE = 10, 11


def facts(
    kind: Kind = Kind.CUMULATIVE, *, interval_s: int = QUARTER_S, has_profile: bool = False
) -> SeriesFacts:
    own = ChannelInstallation(REGISTER, START_S - DAY_S, None, Fraction(1000), None, ONE)
    profile = ChannelInstallation(PROFILE, START_S - DAY_S, None, Fraction(1000), None, ONE)
    profiles = (profile,) if has_profile else ()
    return SeriesFacts(1, (own,), interval_s, KOLKATA, 20_000, kind=kind, profiles=profiles)


def told(street: Street, rule: str) -> list[tuple[int, int, int | None, int]]:
    """Return (first instant, end, channel, count) of each finding of a rule, in order."""
    found = [finding for finding in street.recorded.values() if finding.rule == rule]
    return sorted(
        (each.starts_at_s, each.ends_at_s, each.channel_id, int(each.evidence["read_count"]))
        for each in found
    )


@pytest.mark.parametrize("is_many", [True, False])
@pytest.mark.parametrize("step_s", [901, 1200, 3600, 6 * 3600, DAY_S])
def test_a_register_read_at_odd_instants_keeps_the_energy_of_each_day(step_s: int, *, is_many: bool) -> None:
    """Before, reads 16 minutes to a day apart and off the grid ended nothing: months were one gap."""
    street = Street([facts()], is_many=is_many)
    first_s = START_S + 420
    stamps = range(first_s, START_S + 6 * DAY_S + step_s, step_s)
    street.deliver(1, REGISTER, [(at_s, at_s - first_s, 0, int(Source.LIVE)) for at_s in stamps])
    street.run(START_S + 7 * DAY_S)
    values = street.current()[1]
    for day_s in range(START_S + DAY_S, START_S + 5 * DAY_S, DAY_S):
        own = [value for at_s, value in values.items() if day_s <= at_s < day_s + DAY_S]
        assert len(own) == 96
        assert {value[1] for value in own} == {Provenance.ESTIMATED}
        assert (
            abs(sum(value[0] for value in own) - DAY_S * 1000)
            <= 2 * QUARTER_S * 1000 * (step_s == DAY_S) + 96
        )
    assert told(street, "readings.beside-grid") == []  # polled by our own clock, at any time


@pytest.mark.parametrize("is_many", [True, False])
def test_a_load_profile_beside_the_intervals_is_told_once_a_day(*, is_many: bool) -> None:
    """Hours of UTC lie half an hour beside those of India: a day's energy is kept, hours are estimates."""
    street = Street([facts(interval_s=3600)], is_many=is_many)
    first_s = START_S - 1800
    stamps = range(first_s, START_S + 3 * DAY_S + 3600, 3600)
    street.deliver(1, REGISTER, [(at_s, at_s - first_s, 0, int(Source.PROFILE)) for at_s in stamps])
    street.run(START_S + 3 * DAY_S + 3600)
    days = [START_S + number * DAY_S for number in range(3)]
    assert told(street, "readings.beside-grid")[1:4] == [
        (day_s + 1800, day_s + DAY_S - 1800 + 1, REGISTER, 24) for day_s in days
    ]
    values = street.current()[1]
    for day_s in days:
        own = [value[0] for at_s, value in values.items() if day_s <= at_s < day_s + DAY_S]
        assert (len(own), sum(own)) == (24, DAY_S * 1000)
    street.mark(1, days[1], days[1] + 1)
    street.run(START_S + 4 * DAY_S)
    assert len(told(street, "readings.beside-grid")) >= 3


@pytest.mark.parametrize("has_profile", [True, False])
def test_energy_of_intervals_that_begin_beside_the_grid_is_told_with_its_count(*, has_profile: bool) -> None:
    """It was left out without a word."""
    kind = Kind.CUMULATIVE if has_profile else Kind.INTERVAL
    channel_id = PROFILE if has_profile else REGISTER
    street = Street([facts(kind, has_profile=has_profile)], is_many=False)
    rows = [(START_S + at_s, 5, 0, int(Source.FILE)) for at_s in range(0, DAY_S, QUARTER_S)]
    odd = [(START_S + at_s, 7, 0, int(Source.FILE)) for at_s in (421, 4 * QUARTER_S + 1, DAY_S + 60)]
    street.deliver(1, channel_id, rows + odd)
    street.run(START_S + 2 * DAY_S)
    assert told(street, "readings.off-grid") == [
        (START_S + 421, START_S + 4 * QUARTER_S + 2, channel_id, 2),
        (START_S + DAY_S + 60, START_S + DAY_S + 61, channel_id, 1),
    ]
    assert sum(value[0] for at_s, value in street.current()[1].items() if at_s < START_S + DAY_S) == 96 * 5000
