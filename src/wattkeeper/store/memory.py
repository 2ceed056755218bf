"""The store's promises in plain dictionaries: for tests, and as the suite's oracle."""

from collections.abc import Sequence

import numpy as np

from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.quality import NO_INTERVAL
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import DAY, MONTH, Peaks, RollUpRows
from wattkeeper.store.api import (
    NO_ORIGIN,
    Ids,
    LatestRead,
    Measurements,
    RawBatch,
    RawFrame,
    RawReads,
    StoreCounts,
)
from wattkeeper.store.ranges import check_batch, check_measurements

_Key = tuple[int, int, int, int, int]  # channel_id, measured_at_s, source, value, flags
_Origin = tuple[int, int]  # batch_id, frame_index


class MemoryReadingStore:
    """A `ReadingStore` without durability."""

    def __init__(self) -> None:
        self._reads: dict[tuple[int, int], dict[_Key, _Origin]] = {}  # by tenant and channel
        self._rows_count: dict[int, int] = {}
        self._frames: dict[tuple[int, int, int], RawFrame] = {}
        self._roll_ups: dict[int, dict[tuple[int, int, int], dict[int, tuple[int, ...]]]] = {}
        self._rate_days: dict[int, dict[tuple[int, ...], dict[int, tuple[int, ...]]]] = {}
        self._measured: dict[tuple[int, int], dict[int, dict[int, tuple[int, ...]]]] = {}  # by tenant, series

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        """Append the batches.

        :raises StoreOutOfRange: if a number fits no column of a real engine; then nothing is stored
        """
        for batch in batches:
            check_batch(batch)
        for batch in batches:
            columns = (batch.channel_id, batch.measured_at_s, batch.source, batch.value, batch.flags)
            for row in zip(*(column.tolist() for column in columns), batch.frame_index.tolist(), strict=True):
                origin = (batch.batch_id, row[5])
                own = self._reads.setdefault((batch.tenant_id, row[0]), {})
                own[row[:5]] = min(own.get(row[:5], origin), origin)
            self._rows_count[batch.tenant_id] = self._rows_count.get(batch.tenant_id, 0) + len(batch.value)
            for index, frame in enumerate(batch.frames):
                self._frames[batch.tenant_id, batch.batch_id, index] = frame

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        """Append the values of one run.

        :raises StoreOutOfRange: if a number fits no column of a real engine; then nothing is stored
        """
        check_measurements(measurements)
        columns = (
            measurements.value_milliwh,
            measurements.provenance,
            measurements.flags,
            measurements.method,
        )
        for series_id, starts_at_s, run_id, *row in zip(
            measurements.series_id.tolist(),
            measurements.starts_at_s.tolist(),
            measurements.run_id.tolist(),
            *(column.tolist() for column in columns),
            strict=True,
        ):
            own = self._measured.setdefault((tenant_id, series_id), {})
            own.setdefault(starts_at_s, {})[run_id] = tuple(row)

    def raw_reads(
        self,
        tenant_id: int,
        channel_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        has_origins: bool = True,
    ) -> RawReads:
        """Return the distinct reads with from_s <= measured_at_s < to_s."""
        keys = [
            key
            for channel_id in _rising(channel_ids)
            for key in sorted(key for key in self._of(tenant_id, channel_id) if from_s <= key[1] < to_s)
        ]
        reads = self._columns(tenant_id, keys)
        if not has_origins:
            for name, value in NO_ORIGIN.items():
                getattr(reads, name)[:] = value
        return reads

    def nearest_reads(
        self, tenant_id: int, channel_ids: Ids, at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        """Return, per channel, the newest read strictly before `at_s` (or the oldest at or after it)."""
        found = []
        for channel_id in _rising(channel_ids):
            keys = [
                key
                for key in self._of(tenant_id, channel_id)
                if key[2] in sources and (key[1] < at_s) == before
            ]
            if keys:
                found.append(min(keys, key=_newest if before else _oldest))
        return self._columns(tenant_id, found)

    def measurements(
        self,
        tenant_id: int,
        series_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        as_of_run_id: int | None = None,
    ) -> Measurements:
        """Return the current values, or those as of a run, ordered by series and start."""
        rows = []
        for series_id in _rising(series_ids):
            held = self._measured.get((tenant_id, series_id), {})
            for starts_at_s in sorted(at_s for at_s in held if from_s <= at_s < to_s):
                runs = held[starts_at_s]
                known = runs if as_of_run_id is None else [each for each in runs if each <= as_of_run_id]
                if known and runs[run_id := max(known)][2] != NO_INTERVAL:
                    rows.append((series_id, starts_at_s, *runs[run_id], run_id))
        table = np.array(rows, np.int64).reshape(-1, 7)
        return Measurements(*(np.ascontiguousarray(table[:, index]) for index in range(7)))

    def series_with_methods(
        self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int, methods: Sequence[int]
    ) -> Int64s:
        """Return the series, rising, that any run gave a value of one of `methods` in the span."""
        wanted = {int(series_id) for series_id in series_ids}
        found = {
            series_id
            for series_id in wanted
            for starts_at_s, runs in self._measured.get((tenant_id, series_id), {}).items()
            if from_s <= starts_at_s < to_s
            if any(row[3] in methods for row in runs.values())
        }
        return np.array(sorted(found), np.int64)

    def daily_energy(self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int]) -> dict[int, list[int]]:
        """Return, per series, the sums of current values (milliwatt-hours) between consecutive bounds."""
        sums = {int(series_id): [0] * max(len(bounds_s) - 1, 0) for series_id in series_ids}
        if len(bounds_s) < 2:
            return sums
        current = self.measurements(tenant_id, series_ids, bounds_s[0], bounds_s[-1])
        places = np.searchsorted(np.asarray(bounds_s), current.starts_at_s, side="right") - 1
        for series_id, place, value in zip(current.series_id, places, current.value_milliwh, strict=True):
            sums[int(series_id)][int(place)] += int(value)
        return sums

    def peaks(
        self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int], provenances: Sequence[int]
    ) -> Peaks:
        """Return, per series, the highest current value of some provenances between consecutive bounds."""
        current = self.measurements(tenant_id, series_ids, bounds_s[0], bounds_s[-1])
        columns = (current.series_id, current.starts_at_s, current.value_milliwh, current.provenance)
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for series_id, starts_at_s, value, provenance in zip(*(c.tolist() for c in columns), strict=True):
            if provenance in provenances:
                key = series_id, max(bound_s for bound_s in bounds_s if bound_s <= starts_at_s)
                found[key] = max(found.get(key, (value, -starts_at_s)), (value, -starts_at_s))
        rows = [(*key, -before_s, value) for key, (value, before_s) in sorted(found.items())]
        table = np.array(rows, np.int64).reshape(-1, len(Peaks.__slots__))
        return Peaks(*(np.ascontiguousarray(column) for column in table.T))

    def insert_roll_ups(self, tenant_id: int, run_id: int, rows: RollUpRows) -> None:
        """Append the days and months of one run."""
        own = self._roll_ups.setdefault(tenant_id, {})
        columns = (getattr(rows, name).tolist() for name in RollUpRows.__slots__)
        for grain, series_id, starts_at_s, *figures, _ in zip(*columns, strict=True):
            own.setdefault((grain, series_id, starts_at_s), {})[run_id] = tuple(figures)

    def insert_rate_days(self, tenant_id: int, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of one run."""
        own = self._rate_days.setdefault(tenant_id, {})
        for key in zip(*(getattr(rows, name).tolist() for name in RateDayRows.__slots__), strict=True):
            own.setdefault(key[:4], {})[run_id] = key

    def rate_days(self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int) -> RateDayRows:
        """Return the current determinants of days that start in the span."""
        wanted = {int(series_id) for series_id in series_ids}
        held = self._rate_days.get(tenant_id, {})
        asked = sorted(key for key in held if key[0] in wanted and from_s <= key[1] < to_s)
        rows = [held[key][max(held[key])] for key in asked]
        table = np.array(rows, np.int64).reshape(-1, len(RateDayRows.__slots__))
        return RateDayRows(*(np.ascontiguousarray(column) for column in table.T))

    def roll_ups(
        self,
        tenant_id: int,
        series_ids: Ids,
        days: Sequence[tuple[int, int]],
        months_s: Sequence[int] = (),
        *,
        as_of_run_id: int | None = None,
    ) -> RollUpRows:
        """Return days that start in half-open spans and months that start at `months_s`."""
        wanted = {int(series_id) for series_id in series_ids}
        rows = []
        for (grain, series_id, at_s), runs in sorted(self._roll_ups.get(tenant_id, {}).items()):
            is_asked = (
                at_s in months_s if grain == MONTH else any(from_s <= at_s < to_s for from_s, to_s in days)
            )
            known = [run_id for run_id in runs if as_of_run_id is None or run_id <= as_of_run_id]
            if series_id in wanted and is_asked and known:
                rows.append((grain, series_id, at_s, *runs[max(known)], max(known)))
        return _roll_up_rows(rows)

    def sum_days(
        self,
        tenant_id: int,
        series_ids: Ids,
        bounds_s: Sequence[int],
        without: Sequence[tuple[int, int]] = (),
    ) -> RollUpRows:
        """Return, per series, sums of current days between rising bounds, those of spans left out."""
        days = self.roll_ups(tenant_id, series_ids, [(bounds_s[0], bounds_s[-1])])
        is_out = np.zeros(len(days), dtype=np.bool_)
        for from_s, to_s in without:
            is_out |= (days.starts_at_s >= from_s) & (days.starts_at_s < to_s)
        days = days.take((days.grain == DAY) & ~is_out)
        sums: dict[tuple[int, int], list[int]] = {}
        for row in zip(*(getattr(days, name).tolist() for name in RollUpRows.__slots__), strict=True):
            bound_s = max(bound_s for bound_s in bounds_s if bound_s <= row[2])
            held = sums.setdefault((row[1], bound_s), [0] * (len(row) - 3))
            *figures, run_id = (one + other for one, other in zip(held, row[3:], strict=True))
            held[:] = [*figures, max(run_id - held[-1], held[-1])]
        return _roll_up_rows([(MONTH, *key, *held) for key, held in sorted(sums.items())])

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        """Return the newest read of each channel that has one."""
        found = {}
        for channel_id in _rising(channel_ids):
            keys = self._of(tenant_id, channel_id)
            if keys:
                _, measured_at_s, source, value, flags = min(keys, key=_newest)
                found[channel_id] = LatestRead(channel_id, measured_at_s, value, flags, source)
        return found

    def stamps_held(
        self, tenant_id: int, channel_ids: Ids, from_s: int, to_s: int, *, sources: Sequence[int]
    ) -> dict[int, Int64s]:
        """Return, per channel, the instants held from these sources."""
        held = {}
        for channel_id in _rising(channel_ids):
            keys = self._of(tenant_id, channel_id)
            stamps = {key[1] for key in keys if key[2] in sources and from_s <= key[1] < to_s}
            held[channel_id] = np.array(sorted(stamps), np.int64)
        return held

    def frames(self, tenant_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RawFrame]:
        """Return the frames named by (batch_id, frame_index)."""
        return {key: self._frames[tenant_id, *key] for key in keys if (tenant_id, *key) in self._frames}

    def counts(self, tenant_id: int) -> StoreCounts:
        """Return how much is held."""
        return StoreCounts(
            raw_reads=sum(len(reads) for key, reads in self._reads.items() if key[0] == tenant_id),
            raw_rows=self._rows_count.get(tenant_id, 0),
            measurements=sum(
                len(runs)
                for key, held in self._measured.items()
                if key[0] == tenant_id
                for runs in held.values()
            ),
            frames=sum(key[0] == tenant_id for key in self._frames),
        )

    def _of(self, tenant_id: int, channel_id: int) -> dict[_Key, _Origin]:
        return self._reads.get((tenant_id, channel_id), {})

    def _columns(self, tenant_id: int, keys: list[_Key]) -> RawReads:
        rows = [(key[0], key[1], key[3], key[4], key[2], *self._of(tenant_id, key[0])[key]) for key in keys]
        table = np.array(rows, np.int64).reshape(-1, 7)
        return RawReads(*(np.ascontiguousarray(table[:, index]) for index in range(7)))


def _roll_up_rows(rows: list[tuple[int, ...]]) -> RollUpRows:
    table = np.array(rows, np.int64).reshape(-1, len(RollUpRows.__slots__))
    return RollUpRows(*(np.ascontiguousarray(column) for column in table.T))


def _rising(ids: Ids) -> list[int]:
    return sorted({int(id_) for id_ in ids})


def _newest(key: _Key) -> tuple[int, ...]:
    """Rank of a read, least first: the newest, of those the highest source, of those the least value."""
    return (-key[1], -key[2], key[3], key[4])


def _oldest(key: _Key) -> tuple[int, ...]:
    return (key[1], -key[2], key[3], key[4])
