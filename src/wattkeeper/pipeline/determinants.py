"""The determinants of a run: of each series and local day on which any value changed, by its calendars.

They are appended before the values they sum: a run that is interrupted between the two finds the values
changed again and writes both anew.
"""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.determinants import RateDayRows, sum_rates
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain_table import IntervalTable
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.core.vee.plain_validate import local_day_bounds
from wattkeeper.pipeline.ports import MeasurementRows, Rates

Part = tuple[IntervalTable, MeasurementRows, ZoneInfo]


def append_determinants(rates: Rates, run_id: int, parts: Sequence[Part]) -> int:
    """Append the determinants of tables whose rows change, and return how many rows that were."""
    rows = RateDayRows.concatenate([found for part in parts for found in _of_table(rates, *part)])
    if len(rows):
        rates.append(run_id, rows)
    return len(rows)


def _of_table(
    rates: Rates, table: IntervalTable, changed: MeasurementRows, zone: ZoneInfo
) -> Sequence[RateDayRows]:
    bounds_s = _day_bounds(table, zone)
    if len(bounds_s) < 2 or not len(changed):
        return ()
    is_touched = _touched_days(table, changed, bounds_s)
    touched_id = table.series_id[is_touched.any(axis=1)]
    found = []
    for dated in rates.get_calendars(touched_id, table.from_s, table.to_s):
        place = np.searchsorted(table.series_id, dated.series_id)
        at = slice(None) if len(place) == len(table) else place
        rows = sum_rates(
            dated.series_id,
            table.starts_at_s,
            table.value_milliwh[at],
            table.provenance[at],
            table.flags[at],
            day_bounds_s=bounds_s,
            rates=dated.calendar,
        )
        is_held = (rows.starts_at_s >= dated.from_s) & (rows.starts_at_s < dated.to_s)
        row = np.searchsorted(table.series_id, rows.series_id)
        is_held &= is_touched[row, np.searchsorted(bounds_s, rows.starts_at_s)]
        found.append(rows.take(is_held))
    return found


def _day_bounds(table: IntervalTable, zone: ZoneInfo) -> Int64s:
    """Return the starts of the table's local days, and the end of the last, whole or not."""
    bounds_s = local_day_bounds(table.from_s, table.to_s, DayCalendar(zone))
    return bounds_s if len(bounds_s) and bounds_s[-1] == table.to_s else np.append(bounds_s, table.to_s)


def _touched_days(table: IntervalTable, changed: MeasurementRows, bounds_s: Int64s) -> NDArray[np.bool_]:
    """Which days of which series of a table hold a changed value, shape (series, days)."""
    if len(changed) == table.provenance.size:
        return np.ones((len(table), len(bounds_s)), dtype=np.bool_)
    is_touched = np.zeros((len(table), len(bounds_s)), dtype=np.bool_)
    is_first = np.diff(changed.series_id, prepend=-1) != 0
    day: NDArray[np.signedinteger[Any]] = np.zeros(len(changed), dtype=np.int8)
    if len(bounds_s) > 2:
        day = np.searchsorted(bounds_s, changed.starts_at_s, side="right") - 1
        is_first[1:] |= day[1:] != day[:-1]
    firsts = np.flatnonzero(is_first)
    is_touched[np.searchsorted(table.series_id, changed.series_id[firsts]), day[firsts]] = True
    return is_touched
