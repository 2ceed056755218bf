"""Local days of every zone around each change of its clocks: no energy lies between or in two of them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.readings.rollups import day_bounds

FIRST, LAST = date(2024, 1, 1), date(2028, 12, 31)
CHANGING = ("America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Europe/Berlin")
USUAL = ("Asia/Shanghai", "Asia/Kathmandu", *CHANGING)
DAY_S, QUARTER_S = 86_400, 900
ZONES = sorted(zone for zone in available_timezones() if not zone.startswith(("posix", "right")))


def changes(zone: ZoneInfo) -> list[date]:
    """Return the days on whose UTC midnight the zone's offset is not that of the day before."""
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    instants = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    offsets = [instant.astimezone(zone).utcoffset() for instant in instants]
    return [day for day, now, before in zip(days[1:], offsets[1:], offsets, strict=False) if now != before]


def spans(zone: ZoneInfo) -> list[tuple[int, int]]:
    """Return a week around each change, and one week where there is none."""
    middles = changes(zone) or [date(2026, 3, 29)]
    starts = [datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=3) for day in middles]
    return [(to_seconds(start), to_seconds(start) + 7 * DAY_S) for start in starts]


def difference(from_s: int, to_s: int, bounds: list[int]) -> int:
    """Return how far the sum of the days' energies is from the sum of all their quarters, in UTC."""
    stamps = np.arange(bounds[0], bounds[-1], QUARTER_S)
    energy = (stamps // QUARTER_S * 2_654_435_761) % 1009 + 1
    day = np.searchsorted(bounds, stamps, side="right") - 1
    by_day = np.bincount(day[(day >= 0) & (day < len(bounds) - 1)], minlength=len(bounds) - 1)
    quarters = np.diff(bounds) // QUARTER_S
    assert bounds[0] <= from_s
    assert bounds[-1] >= to_s
    sums = [int(energy[(stamps >= a) & (stamps < b)].sum()) for a, b in pairwise(bounds)]
    assert (by_day == quarters).all()
    return abs(int(energy.sum()) - sum(sums))


def check(name: str) -> None:
    """Check every change of a zone's clocks in five years."""
    zone = ZoneInfo(name)
    for from_s, to_s in spans(zone):
        bounds = day_bounds(from_s, to_s, zone)
        assert difference(from_s, to_s, bounds) == 0, name
        lengths = set(np.diff(bounds).tolist())
        assert lengths <= {DAY_S + shift for shift in (-7200, -3600, -1800, 0, 1800, 3600, 7200)}, name


@pytest.mark.parametrize("name", USUAL)
def test_days_hold_all_energy_once(name: str) -> None:
    check(name)
    assert len(spans(ZoneInfo(name))) == (10 if name in CHANGING else 1)


@pytest.mark.slow
def test_days_of_every_zone_hold_all_energy_once() -> None:
    for name in ZONES:
        check(name)
    assert len(ZONES) > 400


def test_naive_local_days_are_caught() -> None:
    """The planted fault: a local day is the 24 hours from 00:00 at the offset of the day before."""
    zone = ZoneInfo("Europe/Berlin")
    from_s, to_s = spans(zone)[0]
    right = day_bounds(from_s, to_s, zone)
    naive = [right[0] + DAY_S * number for number in range(len(right))]
    assert naive != right
    assert {DAY_S - 3600, DAY_S} == set(np.diff(right).tolist())
