"""Reads that hold interval energy: multiplied, checked, never invented."""

from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import profile_grid
from wattkeeper.core.readings.interval_reads import collect_intervals
from wattkeeper.core.readings.intervals import Gap, Intervals, InvalidWindow
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod

HOUR_S = 3600
UTC = ZoneInfo("UTC")


def collect(*rows: tuple[int, int], hours: int = 4, flags: Flag = Flag.LATE) -> Intervals:
    change = (MultiplierPeriod(0, 2 * HOUR_S, Fraction(1)), MultiplierPeriod(2 * HOUR_S, None, Fraction(40)))
    installation = ChannelInstallation(1, 0, None, Fraction(1000), None, change)
    reads = ReadColumns.of([(hour * HOUR_S, value, int(flags), int(Source.FILE)) for hour, value in rows])
    return collect_intervals(
        installations=[installation],
        reads={1: reads},
        from_s=0,
        to_s=hours * HOUR_S,
        interval_s=HOUR_S,
        power_max_w=1000,
        zone=UTC,
    )


def test_the_multiplier_in_force_applies() -> None:
    found = collect((0, 1), (1, 2), (2, 3), (3, 4))
    assert found.value_milliwh.tolist() == [1000, 2000, 120_000, 160_000]
    assert set(found.flags.tolist()) == {Flag.LATE}
    assert not found.gaps


def test_what_is_missing_stays_missing() -> None:
    found = collect((1, 2))
    assert found.gaps == (Gap(0, 1, None, is_exact=False), Gap(2, 4, None, is_exact=False))
    assert found.provenance.tolist() == [0, 1, 0, 0]
    assert found.position_chain.tolist() == [-1, 0, 0, -1, -1]


def test_impossible_values_are_not_used() -> None:
    found = collect((0, -1), (1, 2001), (2, 50), (3, 51))
    assert found.provenance.tolist() == [0, 0, 1, 0]
    assert [finding.rule for finding in found.findings] == ["readings.out-of-range"] * 3


def test_reads_that_nobody_vouches_for_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the planted fault: they are."""
    ahead = Flag.SUSPECT | Flag.CLOCK_INVALID
    assert set(collect((0, 1), (1, 2), flags=ahead).provenance.tolist()) == {0}
    monkeypatch.setattr(profile_grid, "is_untrusted", lambda flags: flags < 0)
    assert collect((0, 1), (1, 2), flags=ahead).provenance.tolist() == [1, 1, 0, 0]


def test_a_conflict_is_decided_and_said() -> None:
    found = collect((0, 7), (0, 5))
    assert found.value_milliwh[0] == 7000
    assert [finding.rule for finding in found.findings] == ["readings.conflict"]


def test_a_window_is_whole_intervals() -> None:
    window = {"from_s": 0, "to_s": 5, "interval_s": 2}
    with pytest.raises(InvalidWindow):
        collect_intervals(installations=[], reads={}, power_max_w=1, zone=UTC, **window)
