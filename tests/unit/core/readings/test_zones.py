"""Local days of every zone around each change of its clocks: no energy lies between or in two of them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.readings.rollups import day_bounds

FIRST, LAST = date(2024, 1, 1), date(2028, 12, 31)
CHANGING = ("America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Europe/Berlin")
AT_MIDNIGHT = (
    "America/Havana",
    "Asia/Beirut",
)  # their clocks change at 00:00: a day begins at 01:00, or twice
USUAL = ("Asia/Shanghai", "Asia/Kathmandu", *CHANGING, *AT_MIDNIGHT)
DAY_S, QUARTER_S = 86_400, 900
ZONES = sorted(zone for zone in available_timezones() if not zone.startswith(("posix", "right")))
Bounds = Callable[[int, int, ZoneInfo], list[int]]


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


def energy_of(stamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """An energy for each quarter that none near it has."""
    found: NDArray[np.int64] = (stamps // QUARTER_S * 2_654_435_761) % 1009 + 1
    return found


def by_calendar(from_s: int, to_s: int, zone: ZoneInfo) -> dict[int, tuple[int, int, int]]:
    """
    Return start, quarters and energy of each local day, by its number, of whole days around the span.

    Each quarter is asked for its own date, in local time, from UTC: nothing here looks for a midnight.
    """
    stamps = np.arange(from_s - 2 * DAY_S, to_s + 2 * DAY_S, QUARTER_S)
    numbers = [from_seconds(int(stamp)).astimezone(zone).toordinal() for stamp in stamps]
    assert numbers == sorted(numbers), "a day that comes again after the next has begun"
    days, firsts, counts = np.unique(numbers, return_index=True, return_counts=True)
    energy = np.add.reduceat(energy_of(stamps), firsts)
    rows = zip(days, stamps[firsts], counts, energy, strict=True)
    return {int(day): (int(start), int(count), int(sum_)) for day, start, count, sum_ in rows}


def faults(from_s: int, to_s: int, zone: ZoneInfo, bounds_of: Bounds) -> list[str]:
    """Return what is wrong with the days of a span: where they begin, how long they are, what they hold."""
    bounds, days = bounds_of(from_s, to_s, zone), by_calendar(from_s, to_s, zone)
    first = from_seconds(from_s).astimezone(zone).toordinal()
    last = from_seconds(to_s - 1).astimezone(zone).toordinal()
    expected = [days[number] for number in range(first, last + 1) if number in days]
    stamps = np.arange(bounds[0], bounds[-1], QUARTER_S)
    energy, place = energy_of(stamps), np.searchsorted(bounds, stamps, side="right") - 1
    found = {
        "starts": (bounds, [start for start, _, _ in expected] + [days[last + 1][0]]),
        "quarters": (np.bincount(place).tolist(), [count for _, count, _ in expected]),
        "energy": (np.bincount(place, energy).astype(int).tolist(), [sum_ for _, _, sum_ in expected]),
    }
    return [name for name, (one, other) in found.items() if one != other]


def check(name: str) -> None:
    """Check every change of a zone's clocks in five years."""
    zone = ZoneInfo(name)
    for from_s, to_s in spans(zone):
        assert faults(from_s, to_s, zone, day_bounds) == [], (name, from_s)


@pytest.mark.parametrize("name", USUAL)
def test_days_hold_all_energy_once(name: str) -> None:
    check(name)
    assert len(spans(ZoneInfo(name))) == (1 if name in ("Asia/Shanghai", "Asia/Kathmandu") else 10)


@pytest.mark.slow
def test_days_of_every_zone_hold_all_energy_once() -> None:
    for name in ZONES:
        check(name)
    assert len(ZONES) > 400


def test_the_day_a_clock_changes_has_92_or_100_quarters() -> None:
    zone = ZoneInfo("Europe/Berlin")
    days = [list(by_calendar(*span, zone).values())[1:-1] for span in spans(zone)]
    assert [{count for _, count, _ in span} for span in days] == [{92, 96}, {96, 100}] * 5


def of_24_hours(from_s: int, to_s: int, zone: ZoneInfo) -> list[int]:
    """The planted fault: a local day is the 24 hours after the one before."""
    right = day_bounds(from_s, to_s, zone)
    return [right[0] + DAY_S * number for number in range(len(right))]


def of_utc(from_s: int, to_s: int, _zone: ZoneInfo) -> list[int]:
    """The planted fault: days of UTC."""
    return list(range(from_s // DAY_S * DAY_S, to_s + DAY_S, DAY_S))


def of_second_midnight(from_s: int, to_s: int, zone: ZoneInfo) -> list[int]:
    """The planted fault: where midnight comes twice, or never, the later offset counts."""
    days = [from_seconds(bound).astimezone(zone).date() for bound in day_bounds(from_s, to_s, zone)]
    return [to_seconds(datetime(d.year, d.month, d.day, fold=1, tzinfo=zone).astimezone(UTC)) for d in days]


@pytest.mark.parametrize(
    ("plant", "name", "caught_count"),
    [
        (of_24_hours, "Europe/Berlin", 10),
        (of_24_hours, "Australia/Lord_Howe", 10),
        (of_utc, "Asia/Shanghai", 1),
        (of_second_midnight, "America/Havana", 10),
        (of_second_midnight, "Europe/Berlin", 0),
    ],
)
def test_naive_local_days_are_caught(plant: Bounds, name: str, caught_count: int) -> None:
    zone = ZoneInfo(name)
    assert sum(bool(faults(*span, zone, plant)) for span in spans(zone)) == caught_count
