"""The standard profile of a class of customers: what a slot of a day holds of 1000 kWh a year (rule E6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.candidates import PROFILE_YEAR_MILLIWH, Candidate, from_class_profile
from wattkeeper.core.vee.like_days import DAY_S, SUNDAY, to_wall

SATURDAY = 5
DAYS_OF_YEAR = 365
TOLERANCE_PERMILLE = 10
MILLIWH_PER_KWH = 10**6
FEBRUARY_29 = 60  # the day of a leap year that takes the one before


class InvalidProfile(WattkeeperError):
    """Raised when numbers are no profile."""


@dataclass(frozen=True, slots=True)
class ClassProfile:
    """A class uses `annual_kwh` a year, as its curves say: milliwatt-hours of 1000 kWh a year, by slot.

    `curves`: a working day, a Saturday, a Sunday or holiday; or the 365 days of a year. All have as many
    slots, which part a day evenly.

    :raises InvalidProfile: ``vee.profile-shape``, ``vee.profile-sum`` if it is off 1000 kWh by more than 1 %
    """

    annual_kwh: int
    curves: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        slots = {len(curve) for curve in self.curves}
        if len(self.curves) not in (3, DAYS_OF_YEAR) or len(slots) != 1 or 0 in slots or DAY_S % max(slots):
            raise InvalidProfile("vee.profile-shape", curves=len(self.curves), slots=max(slots, default=0))
        sums = [sum(curve) for curve in self.curves]
        year = (
            sum(sums) if len(sums) == DAYS_OF_YEAR else (5 * sums[0] + sums[1] + sums[2]) * DAYS_OF_YEAR // 7
        )
        if abs(year - PROFILE_YEAR_MILLIWH) * 1000 > PROFILE_YEAR_MILLIWH * TOLERANCE_PERMILLE:
            raise InvalidProfile("vee.profile-sum", milliwh=year)

    def candidate(
        self, starts_at_s: Int64s, interval_s: int, zone: ZoneInfo, holidays: Iterable[date] = ()
    ) -> Candidate:
        """Return what the class uses in intervals, by wall time; a slot is spread evenly over its time."""
        curves = np.array(self.curves, dtype=np.int64)
        slots_count = curves.shape[1]
        until = np.concatenate((np.zeros((len(curves), 1), dtype=np.int64), curves.cumsum(axis=1)), axis=1)
        day, wall_s = to_wall(starts_at_s, zone)
        row = self._rows(day, {each.toordinal() for each in holidays})

        def position(at_s: Int64s) -> Int64s:
            slot, rest_s = np.divmod(at_s, DAY_S // slots_count)
            in_slot = curves[row, np.minimum(slot, slots_count - 1)] * rest_s // (DAY_S // slots_count)
            found: Int64s = until[row, slot] + in_slot
            return found

        profile = position(np.minimum(wall_s + interval_s, DAY_S)) - position(wall_s)
        return from_class_profile(profile, self.annual_kwh * MILLIWH_PER_KWH)

    def _rows(self, day: Int64s, holidays: set[int]) -> Int64s:
        days, place = np.unique(day, return_inverse=True)
        rows = [self._row(date.fromordinal(own), is_holiday=own in holidays) for own in days.tolist()]
        return np.array(rows, dtype=np.int64)[place]

    def _row(self, day: date, *, is_holiday: bool) -> int:
        if len(self.curves) == DAYS_OF_YEAR:
            own = day.timetuple().tm_yday
            is_leap = date(day.year, 12, 31).timetuple().tm_yday > DAYS_OF_YEAR
            return own - 1 - (is_leap and own >= FEBRUARY_29)
        weekday = SUNDAY if is_holiday else day.weekday()
        return max(0, weekday - SATURDAY + 1)
