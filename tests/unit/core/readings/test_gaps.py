"""What a backfill asks for is exactly what is not held."""

from fractions import Fraction

from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings.gaps import find_gaps
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

ALWAYS = ChannelInstallation(1, 0, None, Fraction(1), None, (MultiplierPeriod(0, None, Fraction(1)),))
SHORT = ChannelInstallation(1, 950, 3600, Fraction(1), None, (MultiplierPeriod(0, None, Fraction(1)),))


def held(*instants_s: int, source: Source = Source.PROFILE) -> ReadColumns:
    return ReadColumns.of([(at_s, 1, 0, int(source)) for at_s in instants_s])


def test_nothing_is_missing_where_every_stamp_is_held() -> None:
    assert find_gaps(held(0, 900, 1800), ALWAYS, 0, 2700, 900) == []


def test_gaps_cover_exactly_the_missing_stamps() -> None:
    gaps = find_gaps(held(0, 2700, 3600), ALWAYS, 0, 6300, 900)
    assert gaps == [(900, 2700), (4500, 6300)]
    assert sum((ends - starts) // 900 for starts, ends in gaps) == 4


def test_live_reads_and_reads_beside_the_stamp_hold_nothing() -> None:
    assert find_gaps(held(0, source=Source.LIVE), ALWAYS, 0, 900, 900) == [(0, 900)]
    assert find_gaps(held(1), ALWAYS, 0, 900, 900) == [(0, 900)]


def test_only_the_time_of_the_installation_is_asked_for() -> None:
    assert find_gaps(held(), SHORT, 0, 9000, 900) == [(1800, 4500)]
    assert find_gaps(held(), ALWAYS, 10, 10, 900) == []
