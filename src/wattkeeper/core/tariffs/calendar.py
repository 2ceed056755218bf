"""Which rate holds at each instant, by the wall clock of the zone."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.tariffs.model import Calendar, DayType

_DAY_S = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()

Int64s = NDArray[np.int64]


def rate_of_intervals(starts_at_s: Int64s, calendar: Calendar, zone: ZoneInfo) -> NDArray[np.int8]:
    """Return the index of the rate that holds at each instant, shape (n,), int8.

    `starts_at_s`: UTC seconds, shape (n,), in any order. The wall clock decides: an hour that a clock change
    repeats has the same rates twice, one it leaves out has none. Each local day is looked up once.
    """
    if len(starts_at_s) == 0:
        return np.zeros(0, dtype=np.int8)
    local_s = starts_at_s + utc_offsets(starts_at_s, zone)
    day_index = local_s // _DAY_S
    minute = (local_s % _DAY_S) // 60
    first_day = int(day_index.min())
    schedule_of_day = _schedules(calendar, first_day, int(day_index.max()))
    table = _minute_table(calendar)
    rates: NDArray[np.int8] = table[schedule_of_day[day_index - first_day], minute]
    return rates


def utc_offsets(starts_at_s: Int64s, zone: ZoneInfo) -> Int64s:
    """Return the zone's offset from UTC in seconds at each instant, shape (n,).

    A zone changes its offset at most once in a UTC day; the instant is found by bisection.
    """
    days = np.unique(starts_at_s // _DAY_S)
    offsets = np.empty(len(starts_at_s), dtype=np.int64)
    day_of = np.searchsorted(days, starts_at_s // _DAY_S)
    before = np.array([_offset(int(day) * _DAY_S, zone) for day in days], dtype=np.int64)
    after = np.array([_offset((int(day) + 1) * _DAY_S - 1, zone) for day in days], dtype=np.int64)
    offsets[:] = before[day_of]
    for index in np.flatnonzero(before != after):
        changed_at_s = _change(int(days[index]) * _DAY_S, int(days[index] + 1) * _DAY_S - 1, zone)
        is_after = (day_of == index) & (starts_at_s >= changed_at_s)
        offsets[is_after] = after[index]
    return offsets


def _offset(at_s: int, zone: ZoneInfo) -> int:
    offset = from_seconds(at_s).astimezone(zone).utcoffset()
    assert offset is not None
    return offset.days * _DAY_S + offset.seconds


def _change(before_s: int, after_s: int, zone: ZoneInfo) -> int:
    old = _offset(before_s, zone)
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _offset(middle_s, zone) == old:
            before_s = middle_s
        else:
            after_s = middle_s
    return after_s


def _schedules(calendar: Calendar, first_day: int, last_day: int) -> NDArray[np.int64]:
    types = list(DayType)
    found = []
    for day_index in range(first_day, last_day + 1):
        day = date.fromordinal(_EPOCH_ORDINAL + day_index)
        season = next(i for i, s in enumerate(calendar.seasons) if s.contains((day.month, day.day)))
        found.append(season * len(types) + types.index(calendar.day_type(day)))
    return np.array(found, dtype=np.int64)


def _minute_table(calendar: Calendar) -> NDArray[np.int8]:
    table = np.zeros((len(calendar.seasons) * len(DayType), 1440), dtype=np.int8)
    for index, season in enumerate(calendar.seasons):
        for place, day_type in enumerate(DayType):
            for switch in season.days[day_type]:
                table[index * len(DayType) + place, switch.minute :] = switch.rate_index
    return table
