"""Reference days for estimation: which day stands in for which, and what it held at each wall-clock slot."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Intervals

DAY_S = 86_400
WEEK_COUNT = 4  # how many weeks back a like day may lie
HISTORY_DAYS = 7 * WEEK_COUNT + 3
AHEAD_DAYS = 3
SUNDAY = 6
UNUSABLE_FLAGS = Flag.POWER_LOST | Flag.SUSPECT | Flag.CLOCK_INVALID

# AEMO method 14: days in order of preference, as offsets from the day to fill (Monday first)
LIKE_DAY_OFFSETS: tuple[tuple[int, ...], ...] = (
    (-7,),
    (-7, -6, -5, 1, 2),
    (-7, -8, -6, -1, 1),
    (-7, -8, -9, -1, -2),
    (-7,),
    (-7,),
    (-7,),
)


def iter_like_days(target: date, *, is_holiday: bool) -> Iterator[date]:
    """Yield the days that may stand in for `target`, best first (AEMO metering data substitution, method 14).

    A holiday is a Sunday. After the table come the same weekdays of earlier weeks.
    """
    if is_holiday:
        to_sunday = (target.weekday() - SUNDAY) % 7 or 7
        yield from (target - timedelta(days=to_sunday + 7 * week) for week in range(WEEK_COUNT))
        return
    yield from (target + timedelta(days=offset) for offset in LIKE_DAY_OFFSETS[target.weekday()])
    yield from (target - timedelta(days=7 * week) for week in range(2, WEEK_COUNT + 1))


def to_wall(starts_at_s: Int64s, zone: ZoneInfo) -> tuple[Int64s, Int64s]:
    """Return the local day (proleptic ordinal) and the wall-clock second of that day of each instant."""
    if len(starts_at_s) > 1 and bool((np.diff(starts_at_s) == starts_at_s[1] - starts_at_s[0]).all()):
        step_s = int(starts_at_s[1] - starts_at_s[0])
        return _wall_of_grid(int(starts_at_s[0]), step_s, len(starts_at_s), zone)
    return _wall_of(starts_at_s, zone)


@lru_cache(maxsize=16)
def _wall_of_grid(first_s: int, step_s: int, count: int, zone: ZoneInfo) -> tuple[Int64s, Int64s]:
    """Return the walls of a grid, the same arrays for every series on it; they can't be written to."""
    walls = _wall_of(first_s + step_s * np.arange(count, dtype=np.int64), zone)
    for column in walls:
        column.flags.writeable = False
    return walls


def _wall_of(starts_at_s: Int64s, zone: ZoneInfo) -> tuple[Int64s, Int64s]:
    offset_s = np.empty_like(starts_at_s)
    chunks = starts_at_s // DAY_S
    for chunk in np.unique(chunks).tolist():
        inside = chunks == chunk
        at_start, at_end = (_offset_s(edge * DAY_S, zone) for edge in (chunk, chunk + 1))
        is_constant = at_start == at_end
        instants_s = starts_at_s[inside].tolist()
        offset_s[inside] = at_start if is_constant else [_offset_s(at_s, zone) for at_s in instants_s]
    local_s = starts_at_s + offset_s
    return local_s // DAY_S + date(1970, 1, 1).toordinal(), local_s % DAY_S


@lru_cache(maxsize=4096)
def _offset_s(at_s: int, zone: ZoneInfo) -> int:
    offset = from_seconds(at_s).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


@dataclass(frozen=True, slots=True, eq=False)
class DayTable:
    """What was measured at each wall-clock slot of each local day; arrays of shape (days, slots).

    `day` and `slot`: where each interval lies. `is_regular` (days,): 24 hours, no holiday, no power failure.
    `is_whole` (days,): regular and all measured: only such a day may be a like day.
    """

    first_ordinal: int
    energy_milliwh: Int64s
    is_valid: NDArray[np.bool_]
    is_regular: NDArray[np.bool_]
    is_whole: NDArray[np.bool_]
    day: Int64s
    slot: Int64s
    holidays: frozenset[date]

    @classmethod
    def build(cls, intervals: Intervals, zone: ZoneInfo, holidays: frozenset[date]) -> "DayTable":
        """Return the table of all `intervals`; slots are matched by wall time."""
        ordinals, wall_s = to_wall(intervals.starts_at_s, zone)
        day, slot = ordinals - ordinals[0], wall_s // intervals.interval_s
        shape = (int(day[-1]) + 1, max(1, DAY_S // intervals.interval_s))
        is_measured = intervals.provenance == Provenance.MEASURED
        is_measured &= (intervals.flags & UNUSABLE_FLAGS) == 0
        energy, is_valid = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
        energy[day, slot] = np.where(is_measured, intervals.value_milliwh, 0)
        is_valid[day, slot] = is_measured
        is_lit = np.bincount(day, (intervals.flags & Flag.POWER_LOST) != 0, shape[0]) == 0
        dates = [date.fromordinal(int(ordinals[0]) + i) for i in range(shape[0])]
        is_regular = np.bincount(day, minlength=shape[0]) == shape[1]
        is_regular &= is_lit & np.array([each not in holidays for each in dates])
        is_whole = is_regular & is_valid.all(axis=1)
        return cls(int(ordinals[0]), energy, is_valid, is_regular, is_whole, day, slot, holidays)

    def date_of(self, day: int) -> date:
        """Return the local date of row `day`."""
        return date.fromordinal(self.first_ordinal + day)

    def find_like_day(self, day: int) -> int | None:
        """Return the row of the best whole like day of row `day`, None where there is none."""
        target = self.date_of(day)
        for candidate in iter_like_days(target, is_holiday=target in self.holidays):
            row = candidate.toordinal() - self.first_ordinal
            if 0 <= row < len(self.is_whole) and row != day and self.is_whole[row]:
                return row
        return None

    def average(self, day: int) -> tuple[Int64s, NDArray[np.bool_]]:
        """Return, by slot, the mean over comparable days and whether there is one (AEMO method 15).

        Same weekday first; slots it lacks come from days of the same kind (working, weekend or holiday), then
        from any regular day.
        """
        energy = np.zeros(self.energy_milliwh.shape[1], dtype=np.int64)
        has = np.zeros(len(energy), dtype=np.bool_)
        for rows in self._comparable(day):
            count = self.is_valid[rows].sum(axis=0)
            fills = ~has & (count > 0)
            energy[fills] = self.energy_milliwh[rows].sum(axis=0)[fills] // count[fills]
            has |= fills
        return energy, has

    def _comparable(self, day: int) -> Iterator[NDArray[np.bool_]]:
        places = np.arange(len(self.is_regular))
        weekday = (places + self.first_ordinal - 1) % 7
        target = self.date_of(day)
        wanted = SUNDAY if target in self.holidays else target.weekday()
        near = (
            self.is_regular & (places >= day - 7 * WEEK_COUNT) & (places < day + AHEAD_DAYS) & (places != day)
        )
        yield near & (weekday == wanted)
        yield near & ((weekday >= 5) == (wanted >= 5))
        yield near
