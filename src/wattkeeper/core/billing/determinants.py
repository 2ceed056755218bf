"""Time-of-use determinants of many series at once: what each rate of a calendar held on each local day.

Sums in 64-bit integers; a day's largest value times its intervals is checked to fit before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.tariffs.calendar import rate_of_intervals
from wattkeeper.core.tariffs.model import Calendar

Int64s = NDArray[np.int64]
ENERGY_BOUND = 2**62
ESTIMATES = (Provenance.ESTIMATED, Provenance.PROJECTED)


@dataclass(frozen=True, slots=True)
class RateCalendar:
    """A calendar in a zone, and how many rates it has. `calendar_id`: 63 bits of what it says."""

    calendar: Calendar
    zone: ZoneInfo
    rates_count: int

    @property
    def calendar_id(self) -> int:
        """The same for calendars that say the same, whatever tariff they stand in."""
        holidays = (sorted(self.calendar.holidays), sorted(self.calendar.workdays))
        seasons = [
            (
                season.first,
                season.last,
                sorted((day.value, switches) for day, switches in season.days.items()),
            )
            for season in self.calendar.seasons
        ]
        text = repr((self.zone.key, self.rates_count, holidays, seasons))
        return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True, eq=False)
class RateDayRows:
    """What a rate held on a local day of a series; int64 of shape (n,), a day named by its first instant.

    `held_count` intervals have a value; of these `estimated_count` are estimates, of `estimated_milliwh`
    together, and `loose_count` of those are bracketed by no registers. `expected_count`: intervals of the
    rate that day.
    """

    series_id: Int64s
    starts_at_s: Int64s
    calendar_id: Int64s
    rate_index: Int64s
    expected_count: Int64s
    held_count: Int64s
    estimated_count: Int64s
    loose_count: Int64s
    energy_milliwh: Int64s
    estimated_milliwh: Int64s

    def __len__(self) -> int:
        return len(self.series_id)

    def take(self, chosen: "NDArray[np.bool_] | NDArray[np.intp]") -> "RateDayRows":
        """Return the rows of a mask or at some places."""
        return RateDayRows(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def concatenate(cls, parts: "Sequence[RateDayRows]") -> "RateDayRows":
        """Return the rows of all `parts`, in their order."""
        if not parts:
            return cls(*(np.zeros(0, dtype=np.int64) for _ in cls.__slots__))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def sum_rates(
    series_id: Int64s,
    starts_at_s: Int64s,
    energy_milliwh: Int64s,
    provenance: NDArray[np.signedinteger[Any]],
    flags: NDArray[np.signedinteger[Any]],
    *,
    day_bounds_s: Int64s,
    rates: RateCalendar,
) -> RateDayRows:
    """Return the determinants of series (series,) from their intervals, matrices (series, intervals).

    `starts_at_s` (intervals,) rising; `day_bounds_s`: starts of the local days within them, and the last
    one's end. Rows come in order of series, day and rate; a rate that has no interval on a day has no row.

    :raises UnableToBill: ``billing.energy-bound``
    """
    if energy_milliwh.size and int(np.abs(energy_milliwh).max()) * len(starts_at_s) >= ENERGY_BOUND:
        raise UnableToBill("billing.energy-bound", most_milliwh=int(np.abs(energy_milliwh).max()))
    rate = rate_of_intervals(starts_at_s, rates.calendar, rates.zone)
    day = np.searchsorted(day_bounds_s, starts_at_s, side="right") - 1
    inside = (day >= 0) & (day < len(day_bounds_s) - 1)
    cell = np.where(inside, day * rates.rates_count + rate, -1)
    cells = np.unique(cell[inside])
    figures = _figures(energy_milliwh, provenance, flags, cell, cells)
    shape = (len(series_id), len(cells))
    return RateDayRows(
        np.repeat(series_id, shape[1]),
        np.tile(day_bounds_s[cells // rates.rates_count], shape[0]),
        np.full(figures[0].size, rates.calendar_id, dtype=np.int64),
        np.tile(cells % rates.rates_count, shape[0]),
        *(np.ascontiguousarray(figure).ravel() for figure in figures),
    )


def _figures(
    energy_milliwh: Int64s,
    provenance: NDArray[np.signedinteger[Any]],
    flags: NDArray[np.signedinteger[Any]],
    cell: Int64s,
    cells: Int64s,
) -> list[Int64s]:
    """Return counts and sums by cell, each of shape (series, cells), in the order of `RateDayRows`."""
    shape = (len(energy_milliwh), len(cells))
    expected, held, estimated, loose, energy, of_estimates = np.zeros((6, *shape), dtype=np.int64)
    for place, own in enumerate(cells.tolist()):
        inside = np.flatnonzero(cell == own)
        at: Any = slice(inside[0], inside[-1] + 1) if inside[-1] - inside[0] < len(inside) else inside
        here, quality = energy_milliwh[:, at], provenance[:, at]
        is_held = quality != Provenance.MISSING
        energy[:, place] = here.sum(axis=1) if is_held.all() else np.where(is_held, here, 0).sum(axis=1)
        expected[:, place], held[:, place] = len(inside), is_held.sum(axis=1)
        is_estimate = np.isin(quality, ESTIMATES)
        rows = np.flatnonzero(is_estimate.any(axis=1))
        is_estimate, bracketed = is_estimate[rows], (flags[:, at][rows] & int(Flag.REGISTER_BRACKETED)) != 0
        estimated[rows, place] = is_estimate.sum(axis=1)
        loose[rows, place] = (is_estimate & ~bracketed).sum(axis=1)
        of_estimates[rows, place] = np.where(is_estimate, here[rows], 0).sum(axis=1)
    return [expected, held, estimated, loose, energy, of_estimates]
