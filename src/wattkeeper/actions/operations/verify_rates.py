"""What the rates of a calendar held on a day: against the day's own figures, and against its values."""

from collections.abc import Callable
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.actions.operations.verify_days import place_of
from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.core.billing.determinants import ENERGY_BOUND, RateDayRows, sum_rates
from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, RollUpRows, day_bounds
from wattkeeper.pipeline.ports import Ports, Rates
from wattkeeper.store import verify_queries
from wattkeeper.store.rate_days import FIGURES, SUMS
from wattkeeper.store.verify import Check

_OF_DAY = ("energy_milliwh", "held_count", "estimated_count")
_COUNTED = (*FIGURES[1:], *SUMS)
_Columns = dict[str, Int64s]
_Bools = NDArray[np.bool_]


def check_rates(scope: Scope, check: Check, ports_of: Callable[[int], Ports]) -> None:
    """
    The rates of each day come to the day, and each is what the day's values come to in its hours.

    Rows of a calendar that was not in force any more when the day last changed say what it was before, and
    are left out. Of one that has left since then only the first is proved.
    """
    rates = ports_of(scope.tenant_id).rates
    assert rates is not None
    for zone, ids, bounds_s in scope.chunks():
        for span in pairwise(bounds_s):
            rows = scope.store.select(verify_queries.rate_days(scope.tenant_id, ids, *span))
            if rows.num_rows:
                columns = {name: rows[name].to_numpy() for name in rows.column_names}
                _check_month(scope, check, zone, columns, rates, span)


def _check_month(
    scope: Scope, check: Check, zone: ZoneInfo, columns: _Columns, rates: Rates, span: Span
) -> None:
    series_id = np.unique(columns["series_id"])
    days = scope.store.roll_ups(scope.tenant_id, series_id.tolist(), [span])
    held, run_id = _by_day(days)
    days_s = np.array(day_bounds(*span, zone), dtype=np.int64)
    first = _firsts(columns)
    at = _find(days, columns["series_id"][first], columns["starts_at_s"][first])
    is_of_now = np.maximum.reduceat(columns["run_id"], first) >= run_id[at]
    sums = {name: np.add.reduceat(columns[name], first) for name in _OF_DAY}
    is_wrong = is_of_now & np.any([sums[name] != held[name][at] for name in _OF_DAY], axis=0)
    check.examined_count += int(is_of_now.sum())
    for index in np.flatnonzero(is_wrong).tolist():
        figures = int(sums["energy_milliwh"][index]), int(held["energy_milliwh"][at[index]])
        _tell(scope, check, "verify.rates-wrong", zone, days_s, columns, int(first[index]), figures)
    wanted = _recounted(scope, rates, series_id, days_s)
    differs, energy = _differing(columns, wanted, days_s)
    differs &= np.repeat(is_of_now & ~is_wrong, np.diff(first, append=len(differs)))
    for row in np.flatnonzero(differs).tolist():
        figures = int(columns["energy_milliwh"][row]), int(energy[row])
        _tell(scope, check, "verify.rate-wrong", zone, days_s, columns, row, figures)


def _tell(
    scope: Scope,
    check: Check,
    code: str,
    zone: ZoneInfo,
    days_s: Int64s,
    columns: _Columns,
    row: int,
    figures: tuple[int, int],
) -> None:
    at_s, series_id = int(columns["starts_at_s"][row]), int(columns["series_id"][row])
    place = place_of(zone, series_id, DAY, at_s)
    to_s = int(days_s[np.searchsorted(days_s[:-1], at_s, side="right")])
    if scope.is_dirty(series_id, at_s, to_s):
        scope.wait(check, series_id, place["date"])
    elif not scope.is_away(at_s, to_s):
        rate = {"rate_index": int(columns["rate_index"][row])} if code == "verify.rate-wrong" else {}
        calendar_id = int(columns["calendar_id"][row])
        check.fault(code, calendar_id=calendar_id, stored=figures[0], wanted=figures[1], **rate, **place)


def _by_day(days: RollUpRows) -> tuple[_Columns, Int64s]:
    """Return the figures of days and who wrote them; a last one stands for days that hold nothing."""
    counts = (days.measured_count, days.edited_count, days.derived_count)
    estimated = days.estimated_count + days.projected_count
    figures = (days.energy_milliwh, np.sum(counts, axis=0) + estimated, estimated)
    held = {name: np.append(each, 0) for name, each in zip(_OF_DAY, figures, strict=True)}
    return held, np.append(days.run_id, 0)


def _firsts(columns: _Columns) -> NDArray[np.intp]:
    """Return where the rates of another day or calendar begin."""
    keys = [columns[name] for name in ("series_id", "starts_at_s", "calendar_id")]
    return np.flatnonzero(np.any([np.diff(key, prepend=key[0] - 1) != 0 for key in keys], axis=0))


def _find(days: RollUpRows, series_id: Int64s, starts_at_s: Int64s) -> Int64s:
    """Return the place of each (series, day) among days in that order; their count where there is none."""
    key = (days.series_id << 34) + days.starts_at_s
    wanted = (series_id << 34) + starts_at_s
    at = np.searchsorted(key, wanted)
    is_found = np.append(key, -1)[at] == wanted
    return np.where(is_found, at, len(key)).astype(np.int64)


def _recounted(scope: Scope, rates: Rates, series_id: Int64s, days_s: Int64s) -> RateDayRows:
    """Return what the current values of a span of days come to, by the calendars in force on each day.

    A value that can't be added up counts as the largest that can: no rate comes to it.
    """
    from_s, to_s = int(days_s[0]), int(days_s[-1])
    values = scope.store.measurements(scope.tenant_id, series_id.tolist(), from_s, to_s)
    interval_s = np.array([scope.interval_s[own] for own in series_id.tolist()], dtype=np.int64)
    calendars, found = rates.get_calendars(series_id, from_s, to_s), []
    for step_s in np.unique(interval_s).tolist():
        own, starts_at_s = series_id[interval_s == step_s], np.arange(from_s, to_s, step_s, dtype=np.int64)
        value, provenance, flags = np.zeros((3, len(own), len(starts_at_s)), dtype=np.int64)
        provenance[:] = Provenance.MISSING
        is_own = np.isin(values.series_id, own) & ((values.starts_at_s - from_s) % step_s == 0)
        row = np.searchsorted(own, values.series_id[is_own])
        place = row, (values.starts_at_s[is_own] - from_s) // step_s
        for matrix, name in ((value, "value_milliwh"), (provenance, "provenance"), (flags, "flags")):
            matrix[place] = getattr(values, name)[is_own]
        most_milliwh = (ENERGY_BOUND - 1) // len(starts_at_s)
        value.clip(-most_milliwh, most_milliwh, out=value)
        for dated in calendars:
            is_dated = np.isin(own, dated.series_id)
            matrices = (value[is_dated], provenance[is_dated], flags[is_dated])
            rows = sum_rates(own[is_dated], starts_at_s, *matrices, day_bounds_s=days_s, rates=dated.calendar)
            found.append(rows.take((rows.starts_at_s >= dated.from_s) & (rows.starts_at_s < dated.to_s)))
    return RateDayRows.concatenate(found)


def _differing(columns: _Columns, wanted: RateDayRows, days_s: Int64s) -> tuple[_Bools, Int64s]:
    """Return which rows of calendars in force are not as wanted, and what energy each should hold.

    How many intervals a rate has is known where each has a value: a day may have been summed before its end.
    """
    calendars = np.union1d(columns["calendar_id"], wanted.calendar_id)
    rates_count = 1 + max(int(columns["rate_index"].max()), int(wanted.rate_index.max(initial=0)))

    def key_of(series_id: Int64s, starts_at_s: Int64s, calendar_id: Int64s, rate_index: Int64s) -> Int64s:
        day = series_id * len(days_s) + np.searchsorted(days_s, starts_at_s)
        place = day * len(calendars) + np.searchsorted(calendars, calendar_id)
        return place * rates_count + rate_index

    names = ("series_id", "starts_at_s", "calendar_id", "rate_index")
    key = key_of(*(columns[name] for name in names))
    wanted_key = key_of(*(getattr(wanted, name) for name in names))
    order = np.argsort(wanted_key)
    at = np.append(order, 0)[np.searchsorted(wanted_key, key, sorter=order)]
    is_in_force = np.isin(key // rates_count, wanted_key // rates_count)
    if not len(wanted):
        return is_in_force, np.zeros(len(key), dtype=np.int64)
    is_found = wanted_key[at] == key
    is_whole = wanted.held_count == wanted.expected_count
    is_other = np.any([columns[name] != getattr(wanted, name)[at] for name in _COUNTED], axis=0)
    is_other |= is_whole[at] & (columns["expected_count"] != wanted.expected_count[at])
    return is_in_force & (~is_found | is_other), np.where(is_found, wanted.energy_milliwh[at], 0)
