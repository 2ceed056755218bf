"""The same days a year ago: which interval stands in for which, and how much more is used since (rule E5)."""

from collections.abc import Set
from datetime import date, timedelta

import numpy as np

from wattkeeper.core.kernel.quality import Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.candidates import Candidate, from_previous_year
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.like_days import DAY_S, SUNDAY, UNUSABLE_FLAGS, to_wall
from wattkeeper.core.vee.table import Mask

YEAR_DAYS = 364  # whole weeks, so that weekdays meet
ACTUAL_DAYS = 28  # the last actual period
LEAST_DAYS = 7  # less of it, measured in both years, tells no growth
WEEK_DAYS = 7  # how much farther back a day may lie that stands in because of a holiday
NO_DAY = -1


def day_of_last_year(day: int, holidays: Set[int]) -> int:
    """Return the day a year ago that a day is like, both proleptic ordinals; `NO_DAY` where none is.

    364 days before. A holiday that was none then is the Sunday before; where there was one that is none now,
    the week before it stands in, unless that was one too.
    """
    then = day - YEAR_DAYS
    if (day in holidays) == (then in holidays):
        return then
    if day in holidays:
        return then - (date.fromordinal(then).weekday() - SUNDAY) % 7
    return NO_DAY if then - WEEK_DAYS in holidays else then - WEEK_DAYS


def days_told_by(day: date) -> tuple[date, date]:
    """Return the days a year later whose `day_of_last_year` a holiday changes."""
    return day + timedelta(days=YEAR_DAYS), day + timedelta(days=YEAR_DAYS + WEEK_DAYS)


def from_last_year(
    intervals: Intervals, calendar: DayCalendar, then_s: Int64s, then_milliwh: Int64s
) -> Candidate:
    """Return what the like days of last year hold of the gaps of `intervals`, times the growth since (E5).

    `then_s` (n,), rising: starts of intervals of the same length that were measured a year ago,
    `then_milliwh` their energy; they are matched by wall time. `calendar`: with the holidays of both years.
    The last actual period are the 28 days before a gap, holidays or not, as far as they were measured in both
    years, at least a week of it. Where registers bracket a gap they say how much was used, so growth is not
    asked.
    """
    day, wall_s = to_wall(intervals.starts_at_s, calendar.zone)
    holidays = {each.toordinal() for each in calendar.holidays}
    days, place_of = np.unique(day, return_inverse=True)
    like = np.array([day_of_last_year(each, holidays) for each in days.tolist()], dtype=np.int64)[place_of]
    then = to_wall(then_s, calendar.zone)
    energy, is_there = _matched(day - YEAR_DAYS, wall_s, *then, then_milliwh)
    like_energy, is_like = _matched(like, wall_s, *then, then_milliwh)
    is_now = (intervals.provenance == Provenance.MEASURED) & ((intervals.flags & UNUSABLE_FLAGS) == 0)
    found = Candidate(
        Method.PREVIOUS_YEAR,
        np.zeros(len(intervals), dtype=np.int64),
        np.zeros(len(intervals), dtype=np.bool_),
    )
    for gap in intervals.gaps:
        recent = _recent(intervals, gap, is_now & is_there)
        inside = slice(gap.first_index, gap.end_index)
        try:
            grown = from_previous_year(
                like_energy[inside],
                is_like[inside],
                recent_milliwh=1 if recent is None else int(intervals.value_milliwh[recent].sum()),
                recent_last_year_milliwh=1 if recent is None else int(energy[recent].sum()),
            )
        except UnableToEstimate:
            continue  # nothing was used then, or too little is measured
        found.energy_milliwh[inside], found.is_known[inside] = grown.energy_milliwh, grown.is_known
    return found


def _recent(intervals: Intervals, gap: Gap, is_both: Mask) -> Int64s | None:
    """Return the places that tell the growth up to a gap, none if they are too few; None: none is needed."""
    if gap.energy_milliwh is not None:
        return None
    first = max(0, gap.first_index - ACTUAL_DAYS * DAY_S // intervals.interval_s)
    places: Int64s = first + np.flatnonzero(is_both[first : gap.first_index])
    return places if len(places) * intervals.interval_s >= LEAST_DAYS * DAY_S else places[:0]


def _matched(
    day: Int64s, wall_s: Int64s, then_day: Int64s, then_wall_s: Int64s, then_milliwh: Int64s
) -> tuple[Int64s, Mask]:
    """Return the energy of last year at the same wall time of a day, and where there is any."""
    if not len(then_day):
        return np.zeros(len(day), dtype=np.int64), np.zeros(len(day), dtype=np.bool_)
    wanted = day * DAY_S + wall_s
    known, place_of = np.unique(then_day * DAY_S + then_wall_s, return_index=True)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return then_milliwh[place_of[place]], known[place] == wanted
