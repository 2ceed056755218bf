"""What each series of a table held on the days around: like days and means of comparable days, in arrays.

`DayTable` for one series, `PlainDays` for many on one grid: the same days stand in for each other.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain_table import IntervalTable
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.like_days import (
    AHEAD_DAYS,
    DAY_S,
    SUNDAY,
    UNUSABLE_FLAGS,
    WEEK_COUNT,
    iter_like_days,
    to_wall,
)
from wattkeeper.core.vee.table import Mask

Rows = NDArray[np.intp]
NO_DAY = -1


@dataclass(frozen=True, slots=True, eq=False)
class PlainDays:
    """What was measured at each wall-clock slot of each local day; arrays of shape (series, days, slots).

    `day` and `slot` (intervals,): where each interval lies. `is_regular` and `is_whole` (series, days) as in
    `DayTable`.
    """

    first_ordinal: int
    energy_milliwh: Int64s
    is_valid: Mask
    is_regular: Mask
    is_whole: Mask
    day: Int64s
    slot: Int64s
    holidays: frozenset[date]

    @classmethod
    def of(cls, table: IntervalTable, calendar: DayCalendar) -> "PlainDays":
        """Return the days of all series of a table; slots are matched by wall time."""
        ordinals, wall_s = to_wall(table.starts_at_s, calendar.zone)
        day, slot = ordinals - ordinals[0], wall_s // table.interval_s
        days_count, slots_count = int(day[-1]) + 1, max(1, DAY_S // table.interval_s)
        is_measured = table.provenance == Provenance.MEASURED
        is_measured &= (table.flags & np.int32(UNUSABLE_FLAGS)) == 0
        energy = np.zeros((len(table), days_count, slots_count), dtype=np.int64)
        is_valid = np.zeros(energy.shape, dtype=np.bool_)
        energy[:, day, slot] = np.where(is_measured, table.value_milliwh, 0)
        is_valid[:, day, slot] = is_measured
        is_lost = (table.flags & np.int32(Flag.POWER_LOST)) != 0
        firsts = np.searchsorted(day, np.arange(days_count))
        dates = [date.fromordinal(int(ordinals[0]) + i) for i in range(days_count)]
        is_ordinary = np.bincount(day, minlength=days_count) == slots_count
        is_ordinary &= np.array([each not in calendar.holidays for each in dates])
        is_regular = ~np.logical_or.reduceat(is_lost, firsts, axis=1) & is_ordinary
        is_whole = is_regular & is_valid.all(axis=2)
        return cls(int(ordinals[0]), energy, is_valid, is_regular, is_whole, day, slot, calendar.holidays)

    def find_like_days(self, rows: Rows, day: int) -> Int64s:
        """Return for each of `rows` the best whole like day of `day`, `NO_DAY` where there is none."""
        target = date.fromordinal(self.first_ordinal + day)
        likes = iter_like_days(target, is_holiday=target in self.holidays)
        places = [each.toordinal() - self.first_ordinal for each in likes]
        inside = [place for place in places if 0 <= place < self.is_whole.shape[1] and place != day]
        if not inside:
            return np.full(len(rows), NO_DAY, dtype=np.int64)
        is_whole = self.is_whole[rows[:, np.newaxis], inside]
        best = np.array(inside, dtype=np.int64)[np.argmax(is_whole, axis=1)]
        return np.where(is_whole.any(axis=1), best, NO_DAY)

    def average(self, rows: Rows, day: int) -> tuple[Int64s, Mask]:
        """Return means over comparable days and where there is one, shape (rows, slots); as `DayTable`."""
        slots_count = self.energy_milliwh.shape[2]
        mean = np.zeros((len(rows), slots_count), dtype=np.int64)
        has = np.zeros(mean.shape, dtype=np.bool_)
        for places in self._comparable(day):
            at = rows[:, np.newaxis], places
            is_valid = self.is_valid[at] & self.is_regular[at][:, :, np.newaxis]
            count = is_valid.sum(axis=1)
            total = np.where(is_valid, self.energy_milliwh[at], 0).sum(axis=1)
            fills = ~has & (count > 0)
            mean[fills] = total[fills] // count[fills]
            has |= fills
        return mean, has

    def _comparable(self, day: int) -> tuple[Rows, Rows, Rows]:
        """Return the places of days with the same weekday, of the same kind, and of any near ones."""
        places = np.arange(self.is_whole.shape[1])
        target = date.fromordinal(self.first_ordinal + day)
        weekday = (places + self.first_ordinal - 1) % 7
        wanted = SUNDAY if target in self.holidays else target.weekday()
        is_near = (places >= day - 7 * WEEK_COUNT) & (places < day + AHEAD_DAYS) & (places != day)
        is_kind = is_near & ((weekday >= 5) == (wanted >= 5))
        same, kind, near = (
            np.flatnonzero(mask) for mask in (is_near & (weekday == wanted), is_kind, is_near)
        )
        return same, kind, near
