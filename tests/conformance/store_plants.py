"""Engines that break one promise each: the suite must see every one of them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.rollups import Peaks
from wattkeeper.store.api import LatestRead, Measurements, RawBatch, RawReads
from wattkeeper.store.memory import MemoryReadingStore


class LastArrivalWins(MemoryReadingStore):
    """Takes whichever run came last for the current one."""

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        self._count = getattr(self, "_count", 0) + 1
        super().insert_measurements(
            tenant_id, replace(measurements, run_id=np.full(len(measurements.run_id), self._count))
        )


class OverwritesConflicts(MemoryReadingStore):
    """Keeps one value an instant."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        super().insert_raw(batches)
        for rows in self._reads.values():
            for key in sorted(rows)[:-1]:
                if sum(other[1] == key[1] for other in rows) > 1:
                    del rows[key]


class ClosesWindows(MemoryReadingStore):
    """Lets the end belong to a window."""

    def raw_reads(self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int) -> RawReads:
        return super().raw_reads(tenant_id, channel_ids, from_s, to_s + 1)


class MixesTenants(MemoryReadingStore):
    """Shows everybody everything."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        super().insert_raw([replace(batch, tenant_id=id_) for batch in batches for id_ in range(10, 40)])


class WrapsAround(MemoryReadingStore):
    """Stores stamps modulo 32 bits, as a careless cast does."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        super().insert_raw(
            [replace(batch, measured_at_s=batch.measured_at_s & 0xFFFF_FFFF) for batch in batches]
        )


class SwallowsManyMonths(MemoryReadingStore):
    """Acknowledges a batch of more than a hundred months and stores nothing of it."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        super().insert_raw(
            [batch for batch in batches if len(np.unique(batch.measured_at_s // 2_592_000)) < 100]
        )


class CutsLargeBatches(MemoryReadingStore):
    """Stores the first block of a batch."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        names = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")
        super().insert_raw(
            [replace(batch, **{name: getattr(batch, name)[:65_536] for name in names}) for batch in batches]
        )


class LosesFrames(MemoryReadingStore):
    """Keeps the first frame of a batch."""

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        super().insert_raw([replace(batch, frames=batch.frames[:1]) for batch in batches])


class IgnoresAsOf(MemoryReadingStore):
    """Answers with the current values whatever run is asked for."""

    def measurements(
        self,
        tenant_id: int,
        series_ids: Sequence[int],
        from_s: int,
        to_s: int,
        *,
        as_of_run_id: int | None = None,
    ) -> Measurements:
        return super().measurements(tenant_id, series_ids, from_s, to_s)


class SumsEveryRun(MemoryReadingStore):
    """Counts a corrected interval twice."""

    def daily_energy(
        self, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int]
    ) -> dict[int, list[int]]:
        sums = super().daily_energy(tenant_id, series_ids, bounds_s)
        for series_id in sums:
            for starts_at_s, runs in self._measured.get((tenant_id, series_id), {}).items():
                if len(runs) > 1 and bounds_s[0] <= starts_at_s < bounds_s[-1]:
                    place = int(np.searchsorted(np.asarray(bounds_s), starts_at_s, side="right")) - 1
                    sums[series_id][place] += min(runs.values())[0]
        return sums


class SumsIn64Bits(MemoryReadingStore):
    """Lets sums run over."""

    def daily_energy(
        self, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int]
    ) -> dict[int, list[int]]:
        sums = super().daily_energy(tenant_id, series_ids, bounds_s)
        return {id_: [(value + 2**63) % 2**64 - 2**63 for value in row] for id_, row in sums.items()}


class PeaksOfAnyRun(MemoryReadingStore):
    """Keeps the highest value that was ever stored."""

    def peaks(
        self, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int], provenances: Sequence[int]
    ) -> Peaks:
        own = MemoryReadingStore()
        for id_, rows in self._measured.items():
            own._measured[id_] = {key: {0: max(runs.values())} for key, runs in rows.items()}
        return own.peaks(tenant_id, series_ids, bounds_s, provenances)


class PeaksOfEstimates(MemoryReadingStore):
    """Does not look at provenances."""

    def peaks(
        self, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int], provenances: Sequence[int]
    ) -> Peaks:
        return super().peaks(tenant_id, series_ids, bounds_s, list(Provenance))


class LooksBackOneMonth(MemoryReadingStore):
    """Knows no latest read but of the newest month."""

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        found = super().latest(tenant_id, channel_ids)
        newest_s = max((read.measured_at_s for read in found.values()), default=0)
        return {id_: read for id_, read in found.items() if read.measured_at_s > newest_s - 2_678_400}


class NearestIncludesItsInstant(MemoryReadingStore):
    """Takes a read at the instant for one before it."""

    def nearest_reads(
        self, tenant_id: int, channel_ids: Sequence[int], at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        return super().nearest_reads(
            tenant_id, channel_ids, at_s + 1 if before else at_s, before=before, sources=sources
        )


class NearestOfAnySource(MemoryReadingStore):
    """Does not look at sources."""

    def nearest_reads(
        self, tenant_id: int, channel_ids: Sequence[int], at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        return super().nearest_reads(tenant_id, channel_ids, at_s, before=before, sources=range(10))


PLANTS = (
    LastArrivalWins,
    OverwritesConflicts,
    ClosesWindows,
    MixesTenants,
    WrapsAround,
    SwallowsManyMonths,
    CutsLargeBatches,
    LosesFrames,
    IgnoresAsOf,
    SumsEveryRun,
    SumsIn64Bits,
    PeaksOfAnyRun,
    PeaksOfEstimates,
    LooksBackOneMonth,
    NearestIncludesItsInstant,
    NearestOfAnySource,
)
