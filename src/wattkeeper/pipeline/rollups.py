"""The roll-ups of a run: whatever differs from what is stored, so an interrupted run leaves nothing behind.

A day's figures come from the derived values of the whole day. A month moves by what its days have changed by.
Whenever a day is written, so is its month, by the same run; a month that is older than one of its days was
cut off by an interruption and is summed anew.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

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
_NO_RUN = -1


def refresh(roll_ups: RollUps, run_id: int, spans: Sequence[SpanDays]) -> int:
    """Append what differs from the stored days and months, and return how many rows that were.

    Spans are of the same series or share none.
    """
    rows = RollUpRows.concatenate([_changes(roll_ups, own) for own in _together(spans)])
    if len(rows):
        roll_ups.append(run_id, rows)
    return len(rows)


def _together(spans: Sequence[SpanDays]) -> Iterator[list[SpanDays]]:
    """Yield what can be asked for at once: the spans of the same series, of all that have the same ones."""
    of_series: dict[bytes, list[SpanDays]] = defaultdict(list)
    for days in spans:
        of_series[days.series_id.tobytes()].append(days)
    alike: dict[Hashable, list[list[SpanDays]]] = defaultdict(list)
    for own in of_series.values():
        places = tuple((days.from_s, days.to_s) for days in own)
        alike[places, own[0].interval_s, own[0].zone.key].append(own)
    for groups in alike.values():
        yield [_join(parts) for parts in zip(*groups, strict=True)]


def _join(parts: Sequence[SpanDays]) -> SpanDays:
    if len(parts) == 1:
        return parts[0]
    series_id = np.sort(np.concatenate([days.series_id for days in parts]))
    return replace(parts[0], series_id=series_id, rows=RollUpRows.concatenate([days.rows for days in parts]))


def _changes(roll_ups: RollUps, own: Sequence[SpanDays]) -> RollUpRows:
    """Return what to append for some series, derived over one span or several."""
    series_id, interval_s = own[0].series_id, own[0].interval_s
    spans = [(days.from_s, days.to_s) for days in own]
    bounds_s = month_bounds(min(span[0] for span in spans), max(span[1] for span in spans), own[0].zone)
    stored = roll_ups.read(series_id, spans, bounds_s[:-1])
    derived = RollUpRows.concatenate([days.rows for days in own])
    days = RollUpRows.concatenate([_differing(derived, stored, series_id), _gone(derived, stored, series_id)])
    table = _Months(series_id, np.array(bounds_s, dtype=np.int64))
    table.begin_with(stored, derived)
    is_cut = table.is_older_than_its_days()
    if is_cut.any():
        cut_id = series_id[is_cut]
        table.sum_anew(is_cut, [roll_ups.sum_days(cut_id, bounds_s, spans), derived])
    return RollUpRows.concatenate([days, table.rows(interval_s, table.holding(days) | is_cut[:, None])])


class _Months:
    """The months of some series: figures, shape (figures, series, months), and who wrote what."""

    def __init__(self, series_id: Int64s, bounds: Int64s) -> None:
        self._series_id, self._bounds = series_id, bounds
        shape = (len(series_id), len(bounds) - 1)
        self._figures = np.zeros((len(FIGURES), *shape), dtype=np.int64)
        self._run_id = np.full(shape, _NO_RUN, dtype=np.int64)
        self._newest_day_run_id = np.full(shape, _NO_RUN, dtype=np.int64)

    def begin_with(self, stored: RollUpRows, derived: RollUpRows) -> None:
        """Take the stored months and move them by what the derived days differ from the stored ones."""
        is_day = stored.grain == DAY
        months, days = stored.take(~is_day), stored.take(is_day)
        self._add(months, 1)
        self._run_id[self._places(months)] = months.run_id
        self._add(derived, 1)
        self._add(days, -1)
        np.maximum.at(self._newest_day_run_id, self._places(days), days.run_id)

    def is_older_than_its_days(self) -> NDArray[np.bool_]:
        """Which series have a month that was not written with one of its days, shape (series,)."""
        found = np.zeros(len(self._series_id), dtype=np.bool_)
        found[np.nonzero(self._newest_day_run_id > self._run_id)[0]] = True
        return found

    def sum_anew(self, chosen: NDArray[np.bool_], parts: Sequence[RollUpRows]) -> None:
        """Make the months of some series the sums of days, or of sums of days."""
        self._figures[:, chosen] = 0
        for part in parts:
            self._add(part.take(chosen[np.searchsorted(self._series_id, part.series_id)]), 1)

    def holding(self, days: RollUpRows) -> NDArray[np.bool_]:
        """Which months hold one of the days, shape (series, months)."""
        found = np.zeros(self._run_id.shape, dtype=np.bool_)
        found[self._places(days)] = True
        return found

    def rows(self, interval_s: int, chosen: NDArray[np.bool_]) -> RollUpRows:
        """Return the months of a mask."""
        series, month = np.nonzero(chosen)
        columns = [
            np.full(len(series), MONTH, dtype=np.int64),
            self._series_id[series],
            self._bounds[month],
            count_expected(self._bounds, interval_s)[month],
            *(figure[series, month] for figure in self._figures),
            np.zeros(len(series), dtype=np.int64),
        ]
        return RollUpRows(*columns)

    def _add(self, rows: RollUpRows, sign: int) -> None:
        places = self._places(rows)
        for figure, name in zip(self._figures, FIGURES, strict=True):
            np.add.at(figure, places, sign * getattr(rows, name))

    def _places(self, rows: RollUpRows) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        month = np.searchsorted(self._bounds, rows.starts_at_s, side="right") - 1
        return np.searchsorted(self._series_id, rows.series_id), month


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
    stale = stored.take((stored.grain == DAY) & (_counted(stored) > 0))
    stale = stale.take(~np.isin(_keys(stale, series_id), _keys(new, series_id))) if len(stale) else stale
    nothing = np.zeros(len(stale), dtype=np.int64)
    kept = [stale.grain, stale.series_id, stale.starts_at_s, stale.expected_count]
    return RollUpRows(*kept, *([nothing] * (len(FIGURES) + 1)))


def _counted(rows: RollUpRows) -> Int64s:
    counts = [getattr(rows, name) for name in FIGURES[1:]]
    total: Int64s = np.sum(counts, axis=0, dtype=np.int64)
    return total


def _keys(rows: RollUpRows, series_id: Int64s) -> Int64s:
    """Return one number a row: grain, place of the series and start."""
    place = np.searchsorted(series_id, rows.series_id)
    return ((place * MONTH + rows.grain - DAY) << _INSTANT_BITS) + rows.starts_at_s
