"""A run holds its claim while it works and writes nothing into the store once somebody else has it.

The store knows no fences. So each write first extends the claim, which fails when it was taken over; and what
is completed under a claim that was lost meanwhile becomes dirty again: a later run, whose number is higher,
then stands over whatever the stale one still wrote.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from wattkeeper.bootstrap.pipeline_rates import DataRates
from wattkeeper.bootstrap.pipeline_rollups import StoreRollUps
from wattkeeper.bootstrap.pipeline_single import StoreMeasurements
from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.claims import ClaimedWindow
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, Span, from_seconds
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.data.collection import windows
from wattkeeper.pipeline.ports import DirtyWindows, MeasurementRows
from wattkeeper.store.api import ReadingStore

LEASE_S = 90  # extended with each slice; after a crash the next worker waits this long


class Holding:
    """The claim that a tenant's pipeline works under."""

    def __init__(self, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._tenant_id = tenant_id
        self._now = now
        self._fence_id: int | None = None
        self._extended_s = 0.0

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock."""
        return self._now

    @property
    def fence_id(self) -> int | None:
        """The claim that is worked under."""
        return self._fence_id

    def begin(self, fence_id: int) -> None:
        """Work under a new claim."""
        self._fence_id, self._extended_s = fence_id, time.monotonic()

    def require(self) -> None:
        """
        Hold the claim for another lease; nothing where there is none.

        :raises WattkeeperError: ``pipeline.lease-lost`` if somebody else took it: nothing may be written
        """
        if self._fence_id is not None:
            windows.extend_claim(self._fence_id, now=self._now(), lease_s=LEASE_S)
            self._extended_s = time.monotonic()

    def keep(self) -> None:
        """Hold what is left of the claim, if a good part of the lease has passed."""
        if time.monotonic() - self._extended_s > LEASE_S / 6:
            try:
                self.require()
            except WattkeeperError:
                self._extended_s = time.monotonic()  # lost, or nothing is left: the next write will tell

    def mark_again(self, lost: Sequence[ClaimedWindow]) -> None:
        """Make spans dirty that were derived under a claim which was lost meanwhile."""
        spans: dict[int, Period] = {}
        for window in lost:
            known = spans.get(window.series_id)
            starts_at, ends_at = from_seconds(window.from_s), from_seconds(window.to_s)
            if known is not None and known.ends_at is not None:
                starts_at, ends_at = min(starts_at, known.starts_at), max(ends_at, known.ends_at)
            spans[window.series_id] = Period(starts_at, ends_at)
        windows.mark_dirty(tenant_id=self._tenant_id, now=self._now(), reason="taken-over", series=spans)


class HeldWindows:
    """Another port's windows under a `Holding`."""

    def __init__(self, inner: DirtyWindows, holding: Holding) -> None:
        self._inner = inner
        self._holding = holding

    def claim(self, *, now_s: int, lease_s: int, limit: int) -> Sequence[ClaimedWindow]:
        """Lease about `limit` windows, for `LEASE_S` at a time."""
        claimed = self._inner.claim(now_s=now_s, lease_s=min(lease_s, LEASE_S), limit=limit)
        if claimed:
            self._holding.begin(claimed[0].fence_id)
        return claimed

    def complete(self, windows: Sequence[ClaimedWindow]) -> int:
        """Remove the windows that are still held; those that are not become dirty again."""
        count = self._inner.complete(windows)
        if count < len(windows):
            self._holding.mark_again(windows)
        self._holding.keep()
        return count

    def set_aside(self, windows: Sequence[ClaimedWindow]) -> None:
        """Let windows rest that could not be derived; who took them over has them anyway."""
        self._inner.set_aside(windows)

    def postpone(self, spans: Mapping[int, Sequence[Span]]) -> None:
        """Mark spans dirty that nobody claims before their beginning has passed."""
        self._inner.postpone(spans)


class HeldMeasurements(StoreMeasurements):
    """Values that only the holder of their windows writes."""

    def __init__(self, store: ReadingStore, tenant_id: int, holding: Holding) -> None:
        super().__init__(store, tenant_id, holding.now)
        self._holding = holding

    def append(self, run_id: int, rows: MeasurementRows) -> None:
        """Append the values of a run that still holds its windows."""
        self._holding.require()
        super().append(run_id, rows)


class HeldRollUps(StoreRollUps):
    """Days and months that only the holder of their windows writes."""

    def __init__(self, store: ReadingStore, tenant_id: int, holding: Holding) -> None:
        super().__init__(store, tenant_id, holding.now)
        self._holding = holding

    def append(self, run_id: int, rows: RollUpRows) -> None:
        """Append the roll-ups of a run that still holds its windows."""
        self._holding.require()
        super().append(run_id, rows)


class HeldRates(DataRates):
    """Determinants that only the holder of their windows writes."""

    def __init__(self, store: ReadingStore, tenant_id: int, holding: Holding) -> None:
        super().__init__(store, tenant_id)
        self._holding = holding

    def append(self, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of a run that still holds its windows."""
        self._holding.require()
        super().append(run_id, rows)
