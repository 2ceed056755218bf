"""Rates by the wall clock, against a slow oracle that asks the zone for each instant."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import shared_path
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.tariffs import calendar as calendar_module
from wattkeeper.core.tariffs.calendar import rate_of_intervals, utc_offsets
from wattkeeper.core.tariffs.model import Calendar, DayType, Season, Switch

WEEKDAY = (Switch(0, 0), Switch(120, 1), Switch(150, 2), Switch(480, 3), Switch(1320, 0))
WEEKEND = (Switch(0, 4),)
HOLIDAY = (Switch(0, 5), Switch(720, 4))
YEAR = Season(
    (1, 1), (12, 31), {DayType.WEEKDAY: WEEKDAY, DayType.WEEKEND: WEEKEND, DayType.HOLIDAY: HOLIDAY}
)
CALENDAR = Calendar((YEAR,), frozenset({date(2026, 3, 30)}))
ZONES = [
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Shanghai",
    "Asia/Kathmandu",
]


def slow_rate(at_s: int, calendar: Calendar, zone: ZoneInfo) -> int:
    """Return the rate by asking the zone for the wall clock."""
    local = from_seconds(at_s).astimezone(zone)
    season = next(s for s in calendar.seasons if s.contains((local.month, local.day)))
    minute = local.hour * 60 + local.minute
    return [s.rate_index for s in season.days[calendar.day_type(local.date())] if s.minute <= minute][-1]


@given(
    st.sampled_from(ZONES),
    st.integers(0, 365 * 60),
    st.integers(1, 5),
    st.sampled_from([300, 900, 1800, 3600]),
)
@settings(max_examples=60, deadline=None)
def test_against_the_zone(name: str, day: int, days: int, interval_s: int) -> None:
    zone, from_s = ZoneInfo(name), day * 86_400
    starts = np.arange(from_s, from_s + days * 86_400, interval_s, dtype=np.int64)
    expected = [slow_rate(int(at_s), CALENDAR, zone) for at_s in starts]
    assert rate_of_intervals(starts, CALENDAR, zone).tolist() == expected


@pytest.mark.parametrize("name", ZONES)
def test_every_clock_change_of_ten_years(name: str) -> None:
    zone = ZoneInfo(name)
    starts = np.arange(
        to_seconds(datetime(2016, 1, 1, tzinfo=UTC)), to_seconds(datetime(2026, 12, 31, tzinfo=UTC)), 21600
    )
    offsets = utc_offsets(starts, zone)
    for at_s, offset in zip(starts.tolist(), offsets.tolist(), strict=True):
        assert from_seconds(at_s).astimezone(zone).utcoffset() == timedelta(seconds=offset)


def test_a_repeated_hour_has_its_rates_twice() -> None:
    zone = ZoneInfo("Europe/Berlin")
    weekdays = Calendar((Season((1, 1), (12, 31), dict.fromkeys(DayType, WEEKDAY)),))
    from_s = to_seconds(local_midnight(date(2026, 10, 25), zone)) + 3600
    starts = np.arange(from_s, from_s + 4 * 3600, 1800, dtype=np.int64)
    assert rate_of_intervals(starts, weekdays, zone).tolist() == [0, 0, 1, 2, 1, 2, 2, 2]
    from_s = to_seconds(local_midnight(date(2026, 3, 29), zone)) + 3600
    starts = np.arange(from_s, from_s + 2 * 3600, 1800, dtype=np.int64)
    assert rate_of_intervals(starts, weekdays, zone).tolist() == [0, 0, 2, 2]


def test_seasons_wrap_over_the_new_year() -> None:
    winter = Season((11, 1), (2, 29), dict.fromkeys(DayType, (Switch(0, 1),)))
    rest = Season((3, 1), (10, 31), dict.fromkeys(DayType, (Switch(0, 0),)))
    days = [date(2024, 2, 29), date(2024, 3, 1), date(2024, 10, 31), date(2024, 11, 1), date(2025, 1, 1)]
    zone = ZoneInfo("Asia/Shanghai")
    starts = np.array([to_seconds(local_midnight(day, zone)) for day in days], dtype=np.int64)
    assert rate_of_intervals(starts, Calendar((rest, winter)), zone).tolist() == [1, 0, 0, 1, 1]


def test_no_intervals() -> None:
    assert rate_of_intervals(np.zeros(0, dtype=np.int64), CALENDAR, ZoneInfo("Asia/Shanghai")).tolist() == []


def test_each_day_of_the_shared_list_is_covered() -> None:
    """Every quarter-hour of a day lies on that local day, also where a day has 23.5 hours."""
    for case in json.loads(shared_path("vectors/calendar/day_lengths.json").read_text()):
        zone, day = ZoneInfo(case["tz"]), date.fromisoformat(case["day"])
        from_s = to_seconds(local_midnight(day, zone))
        to_s = to_seconds(local_midnight(day + timedelta(days=1), zone))
        starts = np.arange(from_s, to_s, 900, dtype=np.int64)
        assert len(starts) == case["n15"]
        local_days = set(((starts + utc_offsets(starts, zone)) // 86_400).tolist())
        assert local_days <= {(day - date(1970, 1, 1)).days}


def test_teeth_one_offset_for_all_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed offset, as of the first interval, gives another answer across a clock change."""
    zone = ZoneInfo("Europe/Berlin")
    from_s = to_seconds(datetime(2026, 10, 23, tzinfo=UTC))
    starts = np.arange(from_s, from_s + 4 * 86_400, 900, dtype=np.int64)
    right = rate_of_intervals(starts, CALENDAR, zone).tolist()

    def fixed(starts_at_s: Any, _zone: ZoneInfo) -> Any:
        return np.full(len(starts_at_s), 7200, dtype=np.int64)

    monkeypatch.setattr(calendar_module, "utc_offsets", fixed)
    assert rate_of_intervals(starts, CALENDAR, zone).tolist() != right
    assert right == [slow_rate(int(at_s), CALENDAR, zone) for at_s in starts]
