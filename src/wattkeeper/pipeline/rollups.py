"""The roll-ups of a run: whatever differs from what is stored, so an interrupted run leaves nothing behind.

A day's figures come from the derived values of the whole day, a month's from these and its other stored days.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import (
    DAY,
    FIGURES,
    MONTH,
    RollUpRows,
    SpanDays,
    count_expected,
    month_bounds,
)
from wattkeeper.pipeline.ports import RollUps

_INSTANT_BITS = 34


def refresh(roll_ups: RollUps, run_id: int, spans: Sequence[SpanDays]) -> int:
    """Append what differs from the stored days and months, and return how many rows that were.

    Spans are of the same series or share none.
    """
    together: dict[bytes, list[SpanDays]] = {}
    for days in spans:
        together.setdefault(days.series_id.tobytes(), []).append(days)
    rows = RollUpRows.concatenate([part for own in together.values() for part in _changes(roll_ups, own)])
    if len(rows):
        roll_ups.append(run_id, rows)
    return len(rows)


def _changes(roll_ups: RollUps, own: Sequence[SpanDays]) -> Iterator[RollUpRows]:
    """Yield what to append for some series, derived over one span or several."""
    series_id = own[0].series_id
    spans = [(days.from_s, days.to_s) for days in own]
    bounds_s = month_bounds(min(span[0] for span in spans), max(span[1] for span in spans), own[0].zone)
    stored = roll_ups.read(series_id, spans, bounds_s[:-1])
    others = roll_ups.sum_days(series_id, bounds_s, spans)
    derived = RollUpRows.concatenate([days.rows for days in own])
    bounds = np.array(bounds_s, dtype=np.int64)
    months = _months(series_id, bounds, own[0].interval_s, (derived, others))
    new = RollUpRows.concatenate([derived, months])
    yield _differing(new, stored, series_id)
    yield _gone(new, stored, series_id)


def _months(series_id: Int64s, bounds: Int64s, interval_s: int, parts: Sequence[RollUpRows]) -> RollUpRows:
    """Return the months between consecutive bounds as sums of days, or of sums of days."""
    count = len(bounds) - 1
    totals = np.zeros((len(FIGURES), len(series_id) * count), dtype=np.int64)
    for part in parts:
        month = np.searchsorted(bounds, part.starts_at_s, side="right") - 1
        place = np.searchsorted(series_id, part.series_id) * count + month
        for total, name in zip(totals, FIGURES, strict=True):
            np.add.at(total, place, getattr(part, name))
    return RollUpRows(
        np.full(totals.shape[1], MONTH, dtype=np.int64),
        np.repeat(series_id, count),
        np.tile(bounds[:-1], len(series_id)),
        np.tile(count_expected(bounds, interval_s), len(series_id)),
        *totals,
    )


def _differing(new: RollUpRows, stored: RollUpRows, series_id: Int64s) -> RollUpRows:
    """Return the rows that are not stored as they are; one that counts nothing need not be stored."""
    keys = _keys(stored, series_id)
    order = np.argsort(keys)
    wanted = _keys(new, series_id)
    is_held = np.isin(wanted, keys)
    at = order[np.searchsorted(keys, wanted[is_held], sorter=order)]
    differs = np.zeros(int(is_held.sum()), dtype=np.bool_)
    for name in ("expected_count", *FIGURES):
        differs |= getattr(new, name)[is_held] != getattr(stored, name)[at]
    is_changed = _counted(new) > 0
    is_changed[is_held] = differs
    return new.take(is_changed)


def _gone(new: RollUpRows, stored: RollUpRows, series_id: Int64s) -> RollUpRows:
    """Return stored days that begin where none begins any more, counting nothing now."""
    is_stale = (stored.grain == DAY) & (_counted(stored) > 0)
    is_stale &= ~np.isin(_keys(stored, series_id), _keys(new, series_id))
    stale = stored.take(is_stale)
    nothing = np.zeros(len(stale), dtype=np.int64)
    return RollUpRows(
        stale.grain, stale.series_id, stale.starts_at_s, stale.expected_count, *(nothing for _ in FIGURES)
    )


def _counted(rows: RollUpRows) -> Int64s:
    counts = [getattr(rows, name) for name in FIGURES[1:]]
    total: Int64s = np.sum(counts, axis=0, dtype=np.int64)
    return total


def _keys(rows: RollUpRows, series_id: Int64s) -> Int64s:
    """Return one number a row: grain, place of the series and start."""
    place = np.searchsorted(series_id, rows.series_id)
    return ((place * MONTH + rows.grain - DAY) << _INSTANT_BITS) + rows.starts_at_s
