"""The determinants of a run: of each series and local day on which any value changed, by its calendars.

They are appended before the values they sum: a run that is interrupted between the two finds the values
changed again and writes both anew.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np

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
    found = []
    for dated in rates.get_calendars(np.unique(changed.series_id), table.from_s, table.to_s):
        own = table.take(np.searchsorted(table.series_id, dated.series_id))
        rows = sum_rates(
            own.series_id,
            own.starts_at_s,
            own.value_milliwh,
            own.provenance,
            own.flags,
            day_bounds_s=bounds_s,
            rates=dated.calendar,
        )
        is_held = (rows.starts_at_s >= dated.from_s) & (rows.starts_at_s < dated.to_s)
        found.append(rows.take(is_held & _is_changed(rows, changed, bounds_s)))
    return found


def _day_bounds(table: IntervalTable, zone: ZoneInfo) -> Int64s:
    """Return the starts of the table's local days, and the end of the last, whole or not."""
    bounds_s = local_day_bounds(table.from_s, table.to_s, DayCalendar(zone))
    return bounds_s if len(bounds_s) and bounds_s[-1] == table.to_s else np.append(bounds_s, table.to_s)


def _is_changed(
    rows: RateDayRows, changed: MeasurementRows, bounds_s: Int64s
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which rows are of a series and day that hold a changed value."""
    day = np.searchsorted(bounds_s, changed.starts_at_s, side="right") - 1
    series, place = np.unique(changed.series_id, return_inverse=True)
    is_touched = np.zeros((len(series), len(bounds_s)), dtype=np.bool_)
    is_touched[place, day] = True
    return is_touched[np.searchsorted(series, rows.series_id), np.searchsorted(bounds_s, rows.starts_at_s)]
