"""The intervals a bill rests on: complete, once each, on the grid, of a quality that may be billed."""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds, local_midnight, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance

Int64s = NDArray[np.int64]
_ENERGY_BOUND = 2**62


class UnableToBill(WattkeeperError):
    """Raised when a period can't be billed: ``billing.*``."""


@dataclass(frozen=True, slots=True, eq=False)
class IntervalColumns:
    """Intervals of one series, one row each: int64 arrays of shape (n,), in any order.

    `starts_at_s` UTC seconds; `energy_milliwh`; `provenance` a `Provenance`; `flags` a `Flag` set.
    """

    starts_at_s: Int64s
    energy_milliwh: Int64s
    provenance: Int64s
    flags: Int64s

    @property
    def is_estimated(self) -> NDArray[np.bool_]:
        """Which rows are estimates or projections, shape (n,)."""
        return np.isin(self.provenance, (Provenance.ESTIMATED, Provenance.PROJECTED))

    def between(self, first: date, end: date, zone: ZoneInfo) -> "IntervalColumns":
        """Return the rows that start in the local days [first, end)."""
        from_s, to_s = to_seconds(local_midnight(first, zone)), to_seconds(local_midnight(end, zone))
        return self.where((self.starts_at_s >= from_s) & (self.starts_at_s < to_s))

    def where(self, is_kept: NDArray[np.bool_] | Int64s) -> "IntervalColumns":
        """Return the rows of a mask or an index array."""
        return IntervalColumns(
            self.starts_at_s[is_kept],
            self.energy_milliwh[is_kept],
            self.provenance[is_kept],
            self.flags[is_kept],
        )


def local_dates(period: Period, zone: ZoneInfo) -> tuple[date, date]:
    """Return the half-open local dates of the period.

    :raises UnableToBill: ``billing.period-not-local-days`` unless both ends are local midnights
    """
    if period.ends_at is None:
        raise UnableToBill("billing.period-open")
    first, end = (instant.astimezone(zone).date() for instant in (period.starts_at, period.ends_at))
    if local_midnight(first, zone) != period.starts_at or local_midnight(end, zone) != period.ends_at:
        raise UnableToBill("billing.period-not-local-days", zone=zone.key)
    return first, end


def take_billable(
    columns: IntervalColumns, period: Period, interval_s: int, *, accept_estimates: bool
) -> IntervalColumns:
    """Return the period's rows in time order, exactly one for each interval of the period.

    :raises UnableToBill: ``billing.incomplete`` (an interval is absent or MISSING),
        ``billing.unbracketed-estimates``, ``billing.interval-off-grid``, ``billing.interval-twice``,
        ``billing.negative-energy``, ``billing.energy-bound``
    """
    if period.ends_at is None:
        raise UnableToBill("billing.period-open")
    from_s, to_s = to_seconds(period.starts_at), to_seconds(period.ends_at)
    rows = columns.where((columns.starts_at_s >= from_s) & (columns.starts_at_s < to_s))
    rows = rows.where(np.argsort(rows.starts_at_s, kind="stable"))
    _refuse_off_grid(rows, from_s, to_s, interval_s)
    _refuse_gaps(rows, from_s, to_s, interval_s)
    _refuse_unbracketed(rows, accept_estimates=accept_estimates)
    _refuse_bad_energy(rows)
    return rows


def _refuse_off_grid(rows: IntervalColumns, from_s: int, to_s: int, interval_s: int) -> None:
    is_off = (rows.starts_at_s - from_s) % interval_s != 0
    if (to_s - from_s) % interval_s or is_off.any():
        at_s = int(rows.starts_at_s[is_off][0]) if is_off.any() else to_s
        raise UnableToBill("billing.interval-off-grid", at=from_seconds(at_s).isoformat())
    is_again = np.diff(rows.starts_at_s) == 0
    if is_again.any():
        at_s = int(rows.starts_at_s[1:][is_again][0])
        raise UnableToBill("billing.interval-twice", at=from_seconds(at_s).isoformat())


def _refuse_gaps(rows: IntervalColumns, from_s: int, to_s: int, interval_s: int) -> None:
    is_held = np.zeros((to_s - from_s) // interval_s, dtype=np.bool_)
    is_present = rows.provenance != Provenance.MISSING
    is_held[(rows.starts_at_s[is_present] - from_s) // interval_s] = True
    if not is_held.all():
        first_at_s = from_s + int(np.argmin(is_held)) * interval_s
        raise UnableToBill(
            "billing.incomplete",
            missing_count=int((~is_held).sum()),
            first_missing_at=from_seconds(first_at_s).isoformat(),
        )


def _refuse_unbracketed(rows: IntervalColumns, *, accept_estimates: bool) -> None:
    is_loose = rows.is_estimated & ((rows.flags & Flag.REGISTER_BRACKETED) == 0)
    if is_loose.any() and not accept_estimates:
        raise UnableToBill(
            "billing.unbracketed-estimates",
            interval_count=int(is_loose.sum()),
            first_at=from_seconds(int(rows.starts_at_s[is_loose][0])).isoformat(),
        )


def _refuse_bad_energy(rows: IntervalColumns) -> None:
    if len(rows.energy_milliwh) == 0:
        return
    least, most = int(rows.energy_milliwh.min()), int(rows.energy_milliwh.max())
    if least < 0:
        raise UnableToBill("billing.negative-energy", least_milliwh=least)
    if most * len(rows.energy_milliwh) >= _ENERGY_BOUND:
        raise UnableToBill("billing.energy-bound", most_milliwh=most)
