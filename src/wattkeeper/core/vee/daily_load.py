"""The average daily load: what is used until a register is read again, by the last actual period (E8)."""

import numpy as np

from wattkeeper.core.kernel.quality import Method
from wattkeeper.core.readings.intervals import Intervals
from wattkeeper.core.vee.apportion import UnableToEstimate
from wattkeeper.core.vee.candidates import Candidate
from wattkeeper.core.vee.like_days import DAY_S

LEAST_PERIOD_S = 27 * DAY_S  # the least that reads of a month lie apart
LONGEST_PERIOD_S = 100 * DAY_S  # the most that reads of a quarter do


def forecast_by_daily_load(*, energy_milliwh: int, period_s: int, forecast_s: int) -> int:
    """Return the energy of a coming period by the average daily load of the last actual one (rule E8).

    AEMO methods 25 and 65: ``ADL = energy / days``, estimate ``ADL * days``; in seconds, rounded down once.

    :raises UnableToEstimate: if the actual period has no length or went backwards
    """
    if period_s <= 0 or energy_milliwh < 0:
        raise UnableToEstimate("vee.no-daily-load", period_s=period_s)
    return energy_milliwh * forecast_s // period_s


def from_daily_load(intervals: Intervals, energy_milliwh: int, period_s: int) -> Candidate:
    """Return the load of a period, `energy_milliwh` in `period_s`, for the last gap of `intervals` (E8).

    Spread evenly: whatever the interval, the estimate of a span is the same to the milliwatt-hour, also where
    intervals in the midst of the gap are left out.

    :raises UnableToEstimate: if the period has no length or went backwards
    """
    gap = intervals.gaps[-1]
    inside = slice(gap.first_index, gap.end_index)
    since_s = intervals.starts_at_s[inside] - int(intervals.starts_at_s[gap.first_index])
    from_start, from_end = (
        [
            forecast_by_daily_load(energy_milliwh=energy_milliwh, period_s=period_s, forecast_s=each)
            for each in elapsed_s.tolist()
        ]
        for elapsed_s in (since_s, since_s + intervals.interval_s)
    )
    energy, is_known = np.zeros(len(intervals), dtype=np.int64), np.zeros(len(intervals), dtype=np.bool_)
    energy[inside] = np.array(from_end, dtype=np.int64) - np.array(from_start, dtype=np.int64)
    is_known[inside] = True
    return Candidate(Method.DAILY_AVERAGE, energy, is_known)
