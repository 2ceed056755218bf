"""Intervals of a series: as rows that show the quality of each, and as a load profile to draw."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds, interval_start_s, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.data.registry.models import Series
from wattkeeper.store.api import Measurements, ReadingStore

_WH_PER_MILLIWH = 1000
_DAY_S = 86_400
NEWEST_COUNT = 12
POINTS_MAX_COUNT = 7000
RANGES_S = {"24h": _DAY_S, "7d": 7 * _DAY_S, "31d": 31 * _DAY_S}
WHOLE = "all"
_BADGES = {Provenance.MEASURED: "good", Provenance.DERIVED: "good", Provenance.MISSING: "bad"}


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One interval with the quality of its value; `part_milliwh`: what of it a bill line holds."""

    series_id: int
    starts_at_s: int
    energy_milliwh: int
    provenance: Provenance
    flags: tuple[Flag, ...]
    method: int
    run_id: int
    part_milliwh: int | None = None

    @property
    def starts_at(self) -> datetime:
        """When the interval begins."""
        return from_seconds(self.starts_at_s)

    @property
    def is_missing(self) -> bool:
        """Whether nothing is known of it: its energy is not zero but unknown."""
        return self.provenance is Provenance.MISSING

    @property
    def flags_code(self) -> int:
        """Its flags as one number, VALIDATED left out."""
        return sum(self.flags)

    @property
    def badge(self) -> str:
        """How its quality is coloured."""
        return _BADGES.get(self.provenance, "warn")


def get_series(*, tenant_id: int, series_id: int) -> Series | None:
    """Return a series with its usage point and site, None where the tenant has none of that id."""
    rows = Series.objects.select_related("usage_point__site").filter(tenant_id=tenant_id, id=series_id)
    return rows.first()


def rows_of(values: Measurements) -> list[IntervalRow]:
    """Return values as rows, in their order."""
    return [
        IntervalRow(series_id, starts_at_s, value, Provenance(provenance), flags_of(flags), method, run_id)
        for series_id, starts_at_s, value, provenance, flags, method, run_id in zip(
            *(column.tolist() for column in _columns(values)), strict=True
        )
    ]


def flags_of(code: int) -> tuple[Flag, ...]:
    """Return the flags of a set that tell the reader something."""
    return tuple(flag for flag in Flag if flag & code and flag is not Flag.VALIDATED)


def newest_intervals(store: ReadingStore, *, series: Series, now: datetime) -> list[IntervalRow]:
    """Return the newest intervals of the last two days, newest first."""
    now_s = int(now.timestamp())
    values = store.measurements(series.tenant_id, [series.id], now_s - 2 * _DAY_S, now_s + 1)
    return rows_of(values)[: -NEWEST_COUNT - 1 : -1]


def intervals_between(
    store: ReadingStore,
    *,
    series: Series,
    starts_at: datetime,
    ends_at: datetime,
    as_of_run_id: int | None = None,
) -> list[IntervalRow]:
    """Return the intervals that start in [starts_at, ends_at), in time order, as of a run or as of now."""
    span = to_seconds(starts_at), to_seconds(ends_at)
    return rows_of(store.measurements(series.tenant_id, [series.id], *span, as_of_run_id=as_of_run_id))


def sum_milliwh(rows: Iterable[IntervalRow]) -> int:
    """Return the energy of what is known."""
    return sum(row.energy_milliwh for row in rows if not row.is_missing)


def load_profile(store: ReadingStore, *, series: Series, range_code: str, now: datetime) -> dict[str, Any]:
    """Return a load profile as parallel arrays; an interval of which nothing is known is null, never zero.

    More points than a screen can show are summed by hours.
    """
    to_s = int(now.timestamp()) + 1
    from_s = to_s - RANGES_S[range_code] if range_code in RANGES_S else _first_s(series, to_s)
    values = store.measurements(series.tenant_id, [series.id], from_s, to_s)
    return _drawn(values, series.interval_s, ZoneInfo(series.usage_point.site.time_zone))


def _first_s(series: Series, to_s: int) -> int:
    first = series.usage_point.installations.order_by("starts_at").values_list("starts_at", flat=True).first()
    return to_s if first is None else int(first.timestamp())


def _drawn(values: Measurements, interval_s: int, zone: ZoneInfo) -> dict[str, Any]:
    is_known = values.provenance != Provenance.MISSING
    starts_at_s, value = values.starts_at_s[is_known], values.value_milliwh[is_known]
    is_estimated = ~np.isin(values.provenance[is_known], (Provenance.MEASURED, Provenance.DERIVED))
    if not len(starts_at_s):
        return {"starts_at_s": [], "energy_wh": [], "is_estimated": [], "interval_s": interval_s}
    if len(starts_at_s) > POINTS_MAX_COUNT:
        interval_s = max(interval_s, 3600)
    first_s = interval_start_s(int(starts_at_s[0]), interval_s, zone)
    grid = np.arange(first_s, int(starts_at_s[-1]) + 1, interval_s)
    places = (starts_at_s - first_s) // interval_s
    energy_milliwh = np.zeros(len(grid), dtype=np.int64)
    np.add.at(energy_milliwh, places, value)
    return {
        "starts_at_s": grid.tolist(),
        "energy_wh": _null_unless(np.isin(np.arange(len(grid)), places), energy_milliwh),
        "is_estimated": np.isin(np.arange(len(grid)), places[is_estimated]).tolist(),
        "interval_s": interval_s,
    }


def _null_unless(
    is_there: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], value: Int64s
) -> list[float | None]:
    return [
        milliwh / _WH_PER_MILLIWH if there else None
        for there, milliwh in zip(is_there.tolist(), value.tolist(), strict=True)
    ]


def _columns(values: Measurements) -> tuple[Int64s, ...]:
    return (
        values.series_id,
        values.starts_at_s,
        values.value_milliwh,
        values.provenance,
        values.flags,
        values.method,
        values.run_id,
    )
