"""The readings store's interface: columns in, columns out; the same on every engine.

All instants are int64 UTC seconds. `RawBatch` is what a head-end collected, raw and append-only; it is also
what the spool keeps, so it turns into bytes and back. `Measurements` are derived values of one run. Nothing
here is ever updated: re-deliveries collapse because a read is a member of a set, corrections are newer runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import Peaks, RollUpRows

Ids = Sequence[int] | Int64s


@dataclass(frozen=True, slots=True)
class RawFrame:
    """One frame as it came over the line, for audit and trace."""

    link_id: int
    device_id: int
    received_at_s: int
    content: bytes


@dataclass(frozen=True, slots=True, eq=False)
class RawBatch:
    """Raw reads of one hand-over: arrays of shape (n,), all int64, and the frames they came in.

    `value` counts the channel's step; `frame_index` points into `frames` (-1: none); `batch_id` is unique
    (made by the head-end: 63 bits of time and randomness) and makes redelivery visible.
    """

    tenant_id: int
    batch_id: int
    received_at_s: int
    channel_id: Int64s
    measured_at_s: Int64s
    value: Int64s
    flags: Int64s
    source: Int64s
    frame_index: Int64s
    frames: tuple[RawFrame, ...] = ()


NO_ORIGIN = {"batch_id": 0, "frame_index": -1}  # of reads whose origin was not asked for


@dataclass(frozen=True, slots=True, eq=False)
class RawReads:
    """Stored raw reads, in order of channel, instant, source, value, flags; each once."""

    channel_id: Int64s
    measured_at_s: Int64s
    value: Int64s
    flags: Int64s
    source: Int64s
    batch_id: Int64s
    frame_index: Int64s

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "RawReads":
        """Return the reads of a mask or at some places."""
        return RawReads(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Derived values of series, named by the start of their interval; arrays of shape (n,), int64."""

    series_id: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s
    run_id: Int64s


@dataclass(frozen=True, slots=True)
class LatestRead:
    """The newest read of a channel."""

    channel_id: int
    measured_at_s: int
    value: int
    flags: int
    source: int


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What the store holds, for health checks and proofs."""

    raw_reads: int
    raw_rows: int  # stored rows before re-deliveries collapse
    measurements: int
    frames: int
    extra: dict[str, int] = field(default_factory=dict)


class ReadingStore(Protocol):
    """What every engine offers; `store/conformance.py` says what each call promises.

    Inserts raise `ranges.StoreOutOfRange` (permanent) for a number that fits no column, before anything is
    stored. Any other error is an engine's that can be asked again (`is_permanent` False): ``store.refused``,
    ``store.disk-full``, ``store.unreachable``, ``store.not-running``; the call may then be stored or not.
    """

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        """Append the batches durably: when this returns they survive a power cut."""
        ...

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        """Append the values of one run durably."""
        ...

    def raw_reads(
        self,
        tenant_id: int,
        channel_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        has_origins: bool = True,
    ) -> RawReads:
        """Return the distinct reads with from_s <= measured_at_s < to_s.

        Without `has_origins` each has `NO_ORIGIN`: who derives need not know where a read came from.
        """
        ...

    def nearest_reads(
        self, tenant_id: int, channel_ids: Ids, at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        """Return, per channel, the newest read strictly before `at_s` (or the oldest at or after it).

        Of several at that instant the one of the highest source, then of the least value.
        """
        ...

    def measurements(
        self,
        tenant_id: int,
        series_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        as_of_run_id: int | None = None,
    ) -> Measurements:
        """Return the current values (highest run per series and start), or those as of a run, ordered.

        None where `NO_INTERVAL` says that none begins there.
        """
        ...

    def series_with_methods(
        self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int, methods: Sequence[int]
    ) -> Int64s:
        """Return the series, rising, that any run, superseded or not, gave a value of one of `methods`."""
        ...

    def daily_energy(self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int]) -> dict[int, list[int]]:
        """Return, per series, the sum of current values (milliwatt-hours) between consecutive `bounds_s`."""
        ...

    def peaks(
        self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int], provenances: Sequence[int]
    ) -> Peaks:
        """Return, per series, the highest current value of some provenances between consecutive bounds.

        Of several as high the first; where there is none there is no row.
        """
        ...

    def insert_roll_ups(self, tenant_id: int, run_id: int, rows: RollUpRows) -> None:
        """Append the days and months of one run durably."""
        ...

    def insert_rate_days(self, tenant_id: int, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of one run durably."""
        ...

    def rate_days(self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int) -> RateDayRows:
        """Return the determinants of days that start in the span: those of the highest run, in order."""
        ...

    def roll_ups(
        self,
        tenant_id: int,
        series_ids: Ids,
        days: Sequence[tuple[int, int]],
        months_s: Sequence[int] = (),
        *,
        as_of_run_id: int | None = None,
    ) -> RollUpRows:
        """Return the days that start in half-open spans and the months that start at `months_s`, ordered.

        Those of the highest run, or as of one.
        """
        ...

    def sum_days(
        self,
        tenant_id: int,
        series_ids: Ids,
        bounds_s: Sequence[int],
        without: Sequence[tuple[int, int]] = (),
    ) -> RollUpRows:
        """Return, per series, sums of current days between rising bounds, those of spans left out.

        A row starts at its bound; where there is no day there is no row.
        """
        ...

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        """Return the newest read of each channel that has one."""
        ...

    def stamps_held(
        self, tenant_id: int, channel_ids: Ids, from_s: int, to_s: int, *, sources: Sequence[int]
    ) -> dict[int, Int64s]:
        """Return, per channel, the instants held from these sources: what a backfill need not ask for."""
        ...

    def frames(self, tenant_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RawFrame]:
        """Return the frames named by (batch_id, frame_index)."""
        ...

    def counts(self, tenant_id: int) -> StoreCounts:
        """Return how much is held."""
        ...
