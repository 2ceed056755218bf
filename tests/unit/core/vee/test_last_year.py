"""Estimates from the same days a year ago and from the daily load of the last actual period."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from unit.core.vee.energy_tables import series
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Method
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.candidates import Candidate, from_previous_year
from wattkeeper.core.vee.daily_load import forecast_by_daily_load, from_daily_load
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.last_year import day_of_last_year, days_told_by, from_last_year
from wattkeeper.core.vee.like_days import to_wall

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
CALENDAR = DayCalendar(BERLIN)
HOUR_S, DAY = 3600, 24
FIRST = date(2030, 2, 25)
KNOWN_DAYS = 28


def midnight(day: date) -> int:
    return to_seconds(local_midnight(day, BERLIN))


def this_year(gap_days: int, *, registers: bool = False, known: int = 30) -> Intervals:
    """Return hours from FIRST on: 28 days of so much, then a gap."""
    hours = (midnight(FIRST + timedelta(days=KNOWN_DAYS + gap_days)) - midnight(FIRST)) // HOUR_S
    first = (midnight(FIRST + timedelta(days=KNOWN_DAYS)) - midnight(FIRST)) // HOUR_S
    found = series([known] * first + [None] * (hours - first), interval_s=HOUR_S, registers=registers)
    return replace(found, starts_at_s=found.starts_at_s + midnight(FIRST))


def last_year(days: int, value: int | None = None) -> tuple[Int64s, Int64s]:
    """Return hours of the days 364 days before; without a value each is its wall-clock hour plus ten."""
    then = FIRST - timedelta(days=364)
    starts_s = np.arange(midnight(then), midnight(then + timedelta(days=days)), HOUR_S, dtype=np.int64)
    hours = [10 + from_seconds(at_s).astimezone(BERLIN).hour for at_s in starts_s.tolist()]
    return starts_s, np.array(hours, dtype=np.int64) if value is None else np.full(len(starts_s), value)


def in_gap(found: Candidate, intervals: Intervals) -> list[int | None]:
    (gap,) = intervals.gaps
    places = range(gap.first_index, gap.end_index)
    return [int(found.energy_milliwh[i]) if found.is_known[i] else None for i in places]


def test_hours_meet_by_the_wall_clock_across_a_change_of_time() -> None:
    """Clocks change on 31 March in 2030, on 25 March in 2029: between, days begin elsewhere in UTC."""
    intervals = this_year(2, registers=True)
    found = from_last_year(intervals, CALENDAR, *last_year(40))
    assert found.method == Method.PREVIOUS_YEAR
    assert in_gap(found, intervals) == [10 + hour for hour in range(24)] * 2


def test_growth_is_that_of_the_last_actual_period() -> None:
    intervals = this_year(1, known=30)
    assert in_gap(from_last_year(intervals, CALENDAR, *last_year(40, 20)), intervals) == [30] * DAY
    assert (
        in_gap(from_last_year(this_year(1, known=10), CALENDAR, *last_year(40, 20)), intervals) == [10] * DAY
    )


def test_where_registers_say_how_much_was_used_growth_is_not_asked() -> None:
    intervals = this_year(1, registers=True, known=30)
    assert in_gap(from_last_year(intervals, CALENDAR, *last_year(40, 20)), intervals) == [20] * DAY


@pytest.mark.parametrize(("days", "knows"), [(7, True), (6, False)])
def test_less_than_a_week_in_common_tells_no_growth(days: int, *, knows: bool) -> None:
    intervals = this_year(1)
    starts_s, values = last_year(40, 20)
    kept = (starts_s < starts_s[0] + days * DAY * HOUR_S) | (starts_s >= starts_s[KNOWN_DAYS * DAY] - HOUR_S)
    kept[KNOWN_DAYS * DAY - 1] = False
    found = from_last_year(intervals, CALENDAR, starts_s[kept], values[kept])
    assert bool(found.is_known.any()) is knows


def test_doubtful_hours_of_this_year_tell_no_growth() -> None:
    intervals = this_year(1)
    intervals.flags[:] = int(Flag.SUSPECT)
    assert not from_last_year(intervals, CALENDAR, *last_year(40, 20)).is_known.any()


def test_what_was_not_measured_a_year_ago_stays_unknown() -> None:
    intervals = this_year(2, registers=True)
    starts_s, values = last_year(KNOWN_DAYS + 1, 20)
    assert (
        in_gap(from_last_year(intervals, CALENDAR, starts_s, values), intervals) == [20] * DAY + [None] * DAY
    )
    nothing = np.zeros(0, dtype=np.int64)
    assert not from_last_year(intervals, CALENDAR, nothing, nothing).is_known.any()


GAP_DAY = FIRST + timedelta(days=KNOWN_DAYS + 7)  # Monday 1 April 2030, a day after the clocks change
THEN = GAP_DAY - timedelta(days=364)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("holidays", "then"),
    [
        ((), THEN),
        ((GAP_DAY, THEN), THEN),
        ((THEN,), THEN - WEEK),
        ((THEN, THEN - WEEK), None),
        ((GAP_DAY,), THEN - timedelta(days=1)),  # the Sunday
        ((THEN - WEEK, GAP_DAY - WEEK), THEN),
    ],
)
def test_a_holiday_of_either_year_is_like_no_working_day(
    holidays: tuple[date, ...], then: date | None
) -> None:
    starts_s, _ = last_year(50)
    day = np.array([from_seconds(at_s).astimezone(BERLIN).toordinal() for at_s in starts_s.tolist()])
    intervals = this_year(8, registers=True)
    calendar = DayCalendar(BERLIN, frozenset(holidays))
    wanted = [None if then is None else then.toordinal()] * DAY
    assert in_gap(from_last_year(intervals, calendar, starts_s, day), intervals)[-DAY:] == wanted
    if holidays not in ((), (GAP_DAY, THEN), (THEN - WEEK, GAP_DAY - WEEK)):  # the plant: who knows of none
        assert in_gap(from_last_year(intervals, CALENDAR, starts_s, day), intervals)[-DAY:] != wanted


def test_a_holiday_that_is_a_sunday_is_itself() -> None:
    sunday = date(2030, 3, 24).toordinal()
    assert day_of_last_year(sunday, {sunday}) == sunday - 364


def test_a_holiday_tells_of_no_other_days_than_it_says() -> None:
    days = range(THEN.toordinal() - 30, THEN.toordinal() + 420)
    for others in (set(), {THEN.toordinal() - 7}, {THEN.toordinal() + 7}, {GAP_DAY.toordinal()}):
        told = {
            date.fromordinal(day)
            for day in days
            if day_of_last_year(day, others) != day_of_last_year(day, others | {THEN.toordinal()})
        }
        assert told <= {*days_told_by(THEN), THEN}


def without_growth(*given: Any, **_: Any) -> Candidate:
    return from_previous_year(*given, recent_milliwh=1, recent_last_year_milliwh=1)


FAULTS: list[tuple[str, Any, Callable[[], None]]] = [
    (
        "to_wall",
        lambda at_s, _: to_wall(at_s, UTC),
        test_hours_meet_by_the_wall_clock_across_a_change_of_time,
    ),
    ("YEAR_DAYS", 365, partial(test_a_holiday_of_either_year_is_like_no_working_day, (), THEN)),
    ("WEEK_DAYS", 0, partial(test_a_holiday_of_either_year_is_like_no_working_day, (THEN,), THEN - WEEK)),
    ("from_previous_year", without_growth, test_growth_is_that_of_the_last_actual_period),
    ("ACTUAL_DAYS", 1, test_growth_is_that_of_the_last_actual_period),
    ("_recent", lambda *_: np.zeros(0, int), test_where_registers_say_how_much_was_used_growth_is_not_asked),
    ("LEAST_DAYS", 0, partial(test_less_than_a_week_in_common_tells_no_growth, 6, knows=False)),
    ("UNUSABLE_FLAGS", 0, test_doubtful_hours_of_this_year_tell_no_growth),
]


@pytest.mark.parametrize(("name", "fault", "test"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_each_planted_fault_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, fault: object, test: Callable[[], None]
) -> None:
    test()
    monkeypatch.setattr(f"wattkeeper.core.vee.last_year.{name}", fault)
    with pytest.raises(AssertionError):
        test()


def test_the_average_daily_load_carries_on() -> None:
    assert forecast_by_daily_load(energy_milliwh=310, period_s=31 * 86_400, forecast_s=3 * 86_400) == 30
    with pytest.raises(UnableToEstimate, match="no-daily-load"):
        forecast_by_daily_load(energy_milliwh=300, period_s=0, forecast_s=1)


def test_the_daily_load_goes_on_to_the_milliwatt_hour() -> None:
    intervals = this_year(3)
    found = from_daily_load(intervals, 1000, KNOWN_DAYS * DAY * HOUR_S)
    values = in_gap(found, intervals)
    assert found.method == Method.DAILY_AVERAGE
    assert sum(each or 0 for each in values) == 1000 * 3 // KNOWN_DAYS
    assert set(values) == {1, 2}
    with pytest.raises(UnableToEstimate, match="no-daily-load"):
        from_daily_load(intervals, -1, KNOWN_DAYS * DAY * HOUR_S)
