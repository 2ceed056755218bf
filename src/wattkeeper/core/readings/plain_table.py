"""Many series over one window as matrices: what `Intervals` is for one series, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap, Intervals

UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class GapColumns:
    """Gaps of many series, one element each: `row` of its table, intervals ``[first_index, end_index)``.

    `energy_milliwh` is `UNKNOWN` where no read brackets the gap; `is_exact` as in `Gap`. In order of row and
    first index.
    """

    row: Int64s
    first_index: Int64s
    end_index: Int64s
    energy_milliwh: Int64s
    is_exact: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: NDArray[np.bool_]) -> "GapColumns":
        """Return the gaps of a mask."""
        return GapColumns(*(getattr(self, name)[chosen] for name in self.__slots__))

    def of_row(self, row: int) -> tuple[Gap, ...]:
        """Return the gaps of one row."""
        first, end = np.searchsorted(self.row, (row, row + 1)).tolist()
        return tuple(
            Gap(
                int(self.first_index[i]),
                int(self.end_index[i]),
                None if self.energy_milliwh[i] == UNKNOWN else int(self.energy_milliwh[i]),
                bool(self.is_exact[i]),
            )
            for i in range(first, end)
        )


def join_gaps(parts: Sequence[GapColumns]) -> GapColumns:
    """Return the gaps of all `parts` in order of row and first index."""
    joined = GapColumns(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in GapColumns.__slots__)
    )
    order = np.lexsort((joined.first_index, joined.row))
    return GapColumns(*(getattr(joined, name)[order] for name in GapColumns.__slots__))


def gaps_of(row: int, gaps: Sequence[Gap]) -> GapColumns:
    """Return the gaps of one series as those of `row`."""
    energy = [UNKNOWN if gap.energy_milliwh is None else gap.energy_milliwh for gap in gaps]
    return GapColumns(
        np.full(len(gaps), row, dtype=np.int64),
        np.array([gap.first_index for gap in gaps], dtype=np.int64),
        np.array([gap.end_index for gap in gaps], dtype=np.int64),
        np.array(energy, dtype=np.int64),
        np.array([gap.is_exact for gap in gaps], dtype=np.bool_),
    )


@dataclass(slots=True, eq=False)
class IntervalTable:
    """Series over one window; matrices of shape (series, intervals), positions (series, intervals + 1).

    Columns mean what they mean in `Intervals`, in the narrowest integers that hold them. `findings` are those
    of the derivation, by row. The table is filled in place, row by row where a series is out of the ordinary,
    and belongs to one caller.
    """

    series_id: Int64s
    interval_s: int
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: NDArray[np.int8]
    flags: NDArray[np.int32]
    method: NDArray[np.int8]
    is_installed: NDArray[np.bool_]
    position_milliwh: Int64s
    position_chain: NDArray[np.int16]
    gaps: GapColumns
    findings: dict[int, tuple[Finding, ...]]
    is_confirmed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.series_id)

    @property
    def from_s(self) -> int:
        """The start of the window."""
        return int(self.starts_at_s[0])

    @property
    def to_s(self) -> int:
        """The end of the window."""
        return int(self.starts_at_s[-1]) + self.interval_s

    @classmethod
    def empty(cls, series_id: Int64s, from_s: int, to_s: int, interval_s: int) -> "IntervalTable":
        """Return a table in which nothing is known yet, every channel installed."""
        starts_at_s = np.arange(from_s, to_s, interval_s, dtype=np.int64)
        shape = (len(series_id), len(starts_at_s))
        bounds = (shape[0], shape[1] + 1)
        return cls(
            series_id=series_id,
            interval_s=interval_s,
            starts_at_s=starts_at_s,
            value_milliwh=np.zeros(shape, dtype=np.int64),
            provenance=np.zeros(shape, dtype=np.int8),
            flags=np.zeros(shape, dtype=np.int32),
            method=np.zeros(shape, dtype=np.int8),
            is_installed=np.ones(shape, dtype=np.bool_),
            position_milliwh=np.zeros(bounds, dtype=np.int64),
            position_chain=np.full(bounds, UNKNOWN, dtype=np.int16),
            gaps=gaps_of(0, ()),
            findings={},
        )

    def take(self, rows: NDArray[np.intp]) -> "IntervalTable":
        """Return a table of the rows at the rising places `rows`."""
        place = np.full(len(self), UNKNOWN, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        kept = self.gaps.where(place[self.gaps.row] >= 0)
        return IntervalTable(
            self.series_id[rows],
            self.interval_s,
            self.starts_at_s,
            self.value_milliwh[rows],
            self.provenance[rows],
            self.flags[rows],
            self.method[rows],
            self.is_installed[rows],
            self.position_milliwh[rows],
            self.position_chain[rows],
            GapColumns(place[kept.row], kept.first_index, kept.end_index, kept.energy_milliwh, kept.is_exact),
            {i: self.findings[row] for i, row in enumerate(rows.tolist()) if row in self.findings},
        )

    def row(self, row: int) -> Intervals:
        """Return one series as `Intervals`."""
        return Intervals(
            interval_s=self.interval_s,
            starts_at_s=self.starts_at_s,
            value_milliwh=self.value_milliwh[row],
            provenance=self.provenance[row].astype(np.int64),
            flags=self.flags[row].astype(np.int64),
            method=self.method[row].astype(np.int64),
            is_installed=self.is_installed[row],
            position_milliwh=self.position_milliwh[row],
            position_chain=self.position_chain[row].astype(np.int64),
            gaps=self.gaps.of_row(row),
            findings=self.findings.get(row, ()),
        )

    def fill(self, row: int, intervals: Intervals) -> None:
        """Put one series, derived by itself over the same window, into its row; gaps are given apart."""
        self.value_milliwh[row] = intervals.value_milliwh
        self.provenance[row] = intervals.provenance
        self.flags[row] = intervals.flags
        self.method[row] = intervals.method
        self.is_installed[row] = intervals.is_installed
        self.position_milliwh[row] = intervals.position_milliwh
        self.position_chain[row] = intervals.position_chain
        self.findings[row] = intervals.findings

    def fill_all(self, rows: NDArray[np.intp], wider: "IntervalTable", first: int) -> None:
        """Put the series of a wider table, from its interval `first` on, into the places `rows`."""
        span = slice(first, first + len(self.starts_at_s))
        for name in ("value_milliwh", "provenance", "flags", "method", "is_installed"):
            getattr(self, name)[rows] = getattr(wider, name)[:, span]
        bounds = slice(first, span.stop + 1)
        self.position_milliwh[rows] = wider.position_milliwh[:, bounds]
        self.position_chain[rows] = wider.position_chain[:, bounds]
        self.findings.update((row, wider.findings.get(i, ())) for i, row in enumerate(rows.tolist()))

    @property
    def is_missing(self) -> NDArray[np.bool_]:
        """Which intervals hold nothing although a channel was installed, shape (series, intervals)."""
        result: NDArray[np.bool_] = self.is_installed & (self.provenance == Provenance.MISSING)
        return result


def find_gap_columns(
    table: IntervalTable, of_rows: NDArray[np.bool_], is_interpolated: NDArray[np.bool_] | None = None
) -> GapColumns:
    """Return the runs of unknown boundaries of the chosen rows, shape (series,), as gaps of their intervals.

    Every known position of these rows must be of one chain, and an actual read but for those interpolated.
    """
    is_unknown = (table.position_chain < 0) & of_rows[:, np.newaxis]
    rows = np.flatnonzero(is_unknown.any(axis=1))
    padded = np.zeros((len(rows), is_unknown.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = is_unknown[rows]
    edges = np.diff(padded, axis=1)
    row, first = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    row = rows[row]
    last = table.position_chain.shape[1] - 1
    is_bracketed = (first > 0) & (end <= last)
    before, after = np.maximum(first - 1, 0), np.minimum(end, last)
    energy = table.position_milliwh[row, after] - table.position_milliwh[row, before]
    is_exact = is_bracketed
    if is_interpolated is not None:
        is_exact = is_exact & ~is_interpolated[row, before] & ~is_interpolated[row, after]
    return GapColumns(row, before, after, np.where(is_bracketed, energy, UNKNOWN), is_exact)
