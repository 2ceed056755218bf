"""The pipeline's port for days and months, on the readings store."""

from collections.abc import Callable, Sequence
from datetime import datetime

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.rollups import RollUpRows
from wattkeeper.data.collection import queries
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.run_mixes import roll_ups_mix


class StoreRollUps:
    """Days and months of one tenant, by run."""

    def __init__(self, store: ReadingStore, tenant_id: int, now: Callable[[], datetime]) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._now = now

    def read(self, series_id: Int64s, days: Sequence[tuple[int, int]], months_s: Sequence[int]) -> RollUpRows:
        """Return the current days that start in the spans, and the months that start at `months_s`."""
        return self._store.roll_ups(self._tenant_id, series_id, days, months_s)

    def sum_days(
        self, series_id: Int64s, bounds_s: Sequence[int], without: Sequence[tuple[int, int]]
    ) -> RollUpRows:
        """Return sums of current days between consecutive bounds, those of spans left out."""
        return self._store.sum_days(self._tenant_id, series_id, bounds_s, without)

    def append(self, run_id: int, rows: RollUpRows) -> None:
        """Append the roll-ups of a run, which is known from then on."""
        self._store.insert_roll_ups(self._tenant_id, run_id, rows)
        queries.end_run(
            run_id=run_id,
            roll_ups_count=len(rows),
            roll_ups_mix=roll_ups_mix(self._tenant_id, rows),
            stored_at=self._now(),
        )
