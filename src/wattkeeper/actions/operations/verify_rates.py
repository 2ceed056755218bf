"""What the rates of a calendar held on a day against the day's own figures."""

import numpy as np

from wattkeeper.actions.operations.verify_days import place_of
from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, RollUpRows, day_bounds
from wattkeeper.store import verify_queries
from wattkeeper.store.verify import Check

_FIGURES = ("energy_milliwh", "held_count", "estimated_count")


def check_rates(scope: Scope, check: Check) -> None:
    """
    The rates of each day come to the day: energy, intervals with a value, estimates among them.

    How a day is shared among its rates is not proved. Rows of a calendar that was not in force any more when
    the day last changed say what it was before, and are left out.
    """
    for zone, ids, bounds_s in scope.chunks():
        days = scope.store.roll_ups(scope.tenant_id, ids, [(bounds_s[0], bounds_s[-1])])
        held, run_id = _by_day(days)
        query = verify_queries.rate_days(scope.tenant_id, ids, bounds_s[0], bounds_s[-1])
        rows = scope.store.select(query)
        ends_s = np.array(day_bounds(bounds_s[0], bounds_s[-1], zone), dtype=np.int64)
        columns = {name: rows[name].to_numpy() for name in rows.column_names}
        at = _find(days, columns["series_id"], columns["starts_at_s"])
        is_of_now = columns["run_id"] >= run_id[at]
        differs = np.any([columns[name] != held[name][at] for name in _FIGURES], axis=0)
        check.examined_count += int(is_of_now.sum())
        for index in np.flatnonzero(is_of_now & differs).tolist():
            series_id, at_s = int(columns["series_id"][index]), int(columns["starts_at_s"][index])
            place = place_of(zone, series_id, DAY, at_s)
            to_s = int(ends_s[np.searchsorted(ends_s[:-1], at_s, side="right")])
            if scope.is_dirty(series_id, at_s, to_s):
                scope.wait(check, series_id, place["date"])
            elif not scope.is_away(at_s, to_s):
                check.fault(
                    "verify.rates-wrong",
                    calendar_id=int(columns["calendar_id"][index]),
                    stored=int(columns["energy_milliwh"][index]),
                    wanted=int(held["energy_milliwh"][at[index]]),
                    **place,
                )


def _by_day(days: RollUpRows) -> tuple[dict[str, Int64s], Int64s]:
    """Return the figures of days and who wrote them; a last one stands for days that hold nothing."""
    counts = (days.measured_count, days.edited_count, days.derived_count)
    estimated = days.estimated_count + days.projected_count
    figures = (days.energy_milliwh, np.sum(counts, axis=0) + estimated, estimated)
    held = {name: np.append(each, 0) for name, each in zip(_FIGURES, figures, strict=True)}
    return held, np.append(days.run_id, 0)


def _find(days: RollUpRows, series_id: Int64s, starts_at_s: Int64s) -> Int64s:
    """Return the place of each (series, day) among days in that order; their count where there is none."""
    key = (days.series_id << 34) + days.starts_at_s
    wanted = (series_id << 34) + starts_at_s
    at = np.searchsorted(key, wanted)
    is_found = np.append(key, -1)[at] == wanted
    return np.where(is_found, at, len(key)).astype(np.int64)
