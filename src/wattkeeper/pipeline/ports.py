"""What the pipeline asks of the world; `bootstrap` wires these for one tenant. Instants in UTC seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reading_types import Kind
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.registry.installations import ChannelInstallation


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the registry knows of a series: channels over time, grid, place and limit.

    `kind` says what its reads hold: CUMULATIVE registers, or the energy of an INTERVAL named by its start.
    """

    series_id: int
    installations: tuple[ChannelInstallation, ...]
    interval_s: int
    zone: ZoneInfo
    power_max_w: int
    holidays: frozenset[date] = frozenset()
    kind: Kind = Kind.CUMULATIVE


@dataclass(frozen=True, slots=True)
class ClaimedWindow:
    """A dirty span ``[from_s, to_s)`` of a series under a lease; a later claim has a higher `fence_id`."""

    window_id: int
    series_id: int
    from_s: int
    to_s: int
    fence_id: int


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementRows:
    """Values of series, named by the start of their interval; int64 arrays of shape (n,)."""

    series_id: Int64s
    starts_at_s: Int64s
    value_milliwh: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s

    def __len__(self) -> int:
        return len(self.series_id)

    @classmethod
    def concatenate(cls, parts: "Sequence[MeasurementRows]") -> "MeasurementRows":
        """Return the rows of all `parts`, in their order."""
        names = cls.__slots__
        if not parts:
            return cls(*(np.zeros(0, dtype=np.int64) for _ in names))
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Registry(Protocol):
    """Facts about series, read inside the lease."""

    def get_facts(self, series_id: int) -> SeriesFacts:
        """Return the facts of a series.

        :raises WattkeeperError: if there is no such series or its facts contradict each other
        """
        ...


class RawReads(Protocol):
    """Raw reads by channel."""

    def read(self, channel_ids: Sequence[int], from_s: int, to_s: int) -> Mapping[int, ReadColumns]:
        """Return the reads with ``from_s <= measured_at_s < to_s`` of the channels that have any."""
        ...

    def find_nearest(self, channel_ids: Sequence[int], at_s: int, *, is_before: bool) -> int | None:
        """Return the instant of the newest read before `at_s`, or of the oldest at or after it."""
        ...


class Measurements(Protocol):
    """Derived values, versioned by run."""

    def read(self, series_id: int, from_s: int, to_s: int) -> MeasurementRows:
        """Return the current values with ``from_s <= starts_at_s < to_s``, in order of time."""
        ...

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        """Append the values of a run; durable when this returns, and safe to repeat."""
        ...


class DirtyWindows(Protocol):
    """Spans to derive again."""

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        """Lease at most `limit` windows. All windows of a series are leased by one claimant at a time."""
        ...

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        """Remove the windows that are still held with their `fence_id` and return how many those were."""
        ...


class Findings(Protocol):
    """What the rules noticed."""

    def record(
        self, *, series_id: int, from_s: int, to_s: int, findings: Sequence[Finding], run_id: int
    ) -> None:
        """Let `findings` stand for the window: known keys stay, ones no longer found are closed."""
        ...


class Runs(Protocol):
    """The versions of derived values."""

    def start(self, *, now_s: int, rule_set: str) -> int:
        """Return the id of a new run, higher than every earlier one."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the pipeline needs, for one tenant."""

    registry: Registry
    raw_reads: RawReads
    measurements: Measurements
    windows: DirtyWindows
    findings: Findings
    runs: Runs
