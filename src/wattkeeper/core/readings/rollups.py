"""Roll-ups: the energy and quality of local days and months of a series, from its current values.

A period is named by the instant it starts at in the zone of the usage point. A month is the sum of its days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s

DAY, MONTH = 1, 2
COUNTED = (
    Provenance.MEASURED,
    Provenance.ESTIMATED,
    Provenance.EDITED,
    Provenance.DERIVED,
    Provenance.PROJECTED,
)
FIGURES = ("energy_milliwh", *(f"{provenance.name.lower()}_count" for provenance in COUNTED))


@dataclass(frozen=True, slots=True, eq=False)
class RollUpRows:
    """Figures of local days (`grain` DAY) and months (MONTH) of series; arrays of shape (n,), int64.

    A period is named by the instant it starts at. `expected_count`: how many intervals it has; what is in no
    other count is missing. `energy_milliwh` sums the values that are there. `run_id`: who wrote it, 0 where
    nobody has yet.
    """

    grain: Int64s
    series_id: Int64s
    starts_at_s: Int64s
    expected_count: Int64s
    energy_milliwh: Int64s
    measured_count: Int64s
    estimated_count: Int64s
    edited_count: Int64s
    derived_count: Int64s
    projected_count: Int64s
    run_id: Int64s

    def __len__(self) -> int:
        return len(self.series_id)

    def take(self, chosen: "NDArray[np.bool_] | NDArray[np.intp]") -> "RollUpRows":
        """Return the rows of a mask or at some places."""
        return RollUpRows(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def concatenate(cls, parts: "Sequence[RollUpRows]") -> "RollUpRows":
        """Return the rows of all `parts`, in their order."""
        if not parts:
            return cls(*(np.zeros(0, dtype=np.int64) for _ in cls.__slots__))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The highest value of series between bounds; arrays of shape (n,), int64, in order of series and bound.

    It began at `starts_at_s`, in the span that begins at the bound `from_s`.
    """

    series_id: Int64s
    from_s: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class SpanDays:
    """The day figures of some series over one span of whole local days; `series_id` rises."""

    series_id: Int64s
    from_s: int
    to_s: int
    zone: ZoneInfo
    interval_s: int
    rows: RollUpRows


def find_days(
    series_id: Int64s,
    starts_at_s: Int64s,
    value_milliwh: Int64s,
    provenance: NDArray[np.signedinteger[Any]],
    *,
    interval_s: int,
    zone: ZoneInfo,
) -> SpanDays:
    """
    Return the days of series from their values, shape (series, intervals), over whole local days.

    The last day may lack intervals that are not over yet; they count as missing.
    """
    from_s, to_s = int(starts_at_s[0]), int(starts_at_s[-1]) + interval_s
    bounds_s = np.array(list(_bounds(from_s, to_s, zone)), dtype=np.int64)
    firsts = np.searchsorted(starts_at_s, bounds_s[:-1])
    shape = (len(series_id), len(firsts))
    is_there = provenance != Provenance.MISSING
    energy = np.add.reduceat(np.where(is_there, value_milliwh, 0), firsts, axis=1, dtype=np.int64)
    columns = [
        np.add.reduceat(provenance == each, firsts, axis=1, dtype=np.int64).ravel() for each in COUNTED
    ]
    columns.append(np.zeros(energy.size, dtype=np.int64))  # the run that will write them
    rows = RollUpRows(
        np.full(energy.size, DAY, dtype=np.int64),
        np.repeat(series_id, shape[1]),
        np.tile(bounds_s[:-1], shape[0]),
        np.tile(count_expected(bounds_s, interval_s), shape[0]),
        energy.ravel(),
        *columns,
    )
    return SpanDays(series_id, from_s, int(bounds_s[-1]), zone, interval_s, rows)


def count_expected(bounds_s: Int64s, interval_s: int) -> Int64s:
    """Return how many intervals lie between consecutive bounds."""
    return (np.diff(bounds_s) + interval_s // 2) // interval_s


def month_bounds(from_s: int, to_s: int, zone: ZoneInfo) -> list[int]:
    """Return the starts of the local months that ``[from_s, to_s)`` touches, and the end of the last."""
    day = from_seconds(from_s).astimezone(zone).date().replace(day=1)
    bounds_s = [_at(day, zone)]
    while bounds_s[-1] < to_s:
        day = (day + timedelta(days=32)).replace(day=1)
        bounds_s.append(_at(day, zone))
    return bounds_s


def day_bounds(from_s: int, to_s: int, zone: ZoneInfo) -> list[int]:
    """Return the starts of the local days that ``[from_s, to_s)`` touches, and the end of the last."""
    return list(_bounds(from_s, to_s, zone))


def find_day_firsts(starts_at_s: Int64s, zone: ZoneInfo) -> NDArray[np.intp]:
    """Return for each of rising instants, shape (n,), the place of the first that lies on its local day."""
    bounds_s = np.array(day_bounds(int(starts_at_s[0]), int(starts_at_s[-1]) + 1, zone), dtype=np.int64)
    day = np.searchsorted(bounds_s, starts_at_s, side="right") - 1
    return np.searchsorted(starts_at_s, bounds_s)[day]


def _bounds(from_s: int, to_s: int, zone: ZoneInfo) -> Iterator[int]:
    day = from_seconds(from_s).astimezone(zone).date()
    while (start_s := _at(day, zone)) < to_s:
        yield start_s
        day += timedelta(days=1)
    yield start_s


def _at(day: date, zone: ZoneInfo) -> int:
    return to_seconds(local_midnight(day, zone))
