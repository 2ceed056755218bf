"""What `verify` looks at: the series of a tenant by zone, the months to prove, what is being derived."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.readings.rollups import month_bounds
from wattkeeper.data.collection.models import DirtyWindow, Run
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.models import Series
from wattkeeper.store.archive import horizon_s, is_removed, list_manifests
from wattkeeper.store.client import HttpReadingStore

_MONTH_MAX_S = 32 * 86_400
CHUNK_COUNT = 500  # series looked at together


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant's part of a proof. `from_s` is None where it has no reads; `dirty`: not derived yet.

    `looked_at_s`: when a run last looked, later than which nobody has judged what is missing.
    """

    tenant_id: int
    store: HttpReadingStore
    now: datetime
    from_s: int | None
    series_ids: tuple[int, ...]
    zones: dict[ZoneInfo, tuple[int, ...]]
    interval_s: dict[int, int]
    dirty: Spans
    all_count: int
    archived_to_s: int
    looked_at_s: int

    @property
    def is_sample(self) -> bool:
        """Whether there are more series than are looked at."""
        return len(self.series_ids) < self.all_count

    @property
    def now_s(self) -> int:
        """The present instant."""
        return to_seconds(self.now.replace(microsecond=0))

    def chunks(self) -> Iterator[tuple[ZoneInfo, Sequence[int], list[int]]]:
        """Yield zone, some series and the starts of its local months, the end of the last among them."""
        if self.from_s is None:
            return
        for zone, ids in self.zones.items():
            bounds_s = month_bounds(self.from_s, self.now_s, zone)
            for start in range(0, len(ids), CHUNK_COUNT):
                yield zone, ids[start : start + CHUNK_COUNT], bounds_s

    def is_dirty(self, series_id: int, from_s: int, to_s: int) -> bool:
        """Whether something of the span waits to be derived."""
        own = self.dirty.series_id == series_id
        return bool(np.any(own & (self.dirty.from_s < to_s) & (self.dirty.to_s > from_s)))


def make_scope(
    store: HttpReadingStore,
    tenant_id: int,
    now: datetime,
    archive: Path,
    *,
    sample_count: int | None = None,
) -> Scope:
    """Return the scope of a tenant: all of its series, or as many of them, spread evenly.

    It begins with the first whole local month that no part of is only in the archive.
    """
    newest_run = Run.objects.filter(tenant_id=tenant_id).order_by("-id").first()
    rows = list(
        Series.objects.filter(tenant_id=tenant_id)
        .order_by("id")
        .values_list("id", "interval_s", "usage_point__site__time_zone")
    )
    all_count, archived_to_s = len(rows), horizon_s(archive)
    if sample_count is not None and sample_count < all_count:
        rows = rows[:: -(-len(rows) // sample_count)]
    by_zone: dict[str, list[int]] = defaultdict(list)
    for series_id, _, zone in rows:
        by_zone[zone].append(series_id)
    return Scope(
        tenant_id=tenant_id,
        store=store,
        now=now,
        from_s=_first_at(store, tenant_id, archived_to_s),
        series_ids=tuple(row[0] for row in rows),
        zones={ZoneInfo(zone): tuple(ids) for zone, ids in by_zone.items()},
        interval_s={series_id: interval_s for series_id, interval_s, _ in rows},
        dirty=_dirty(tenant_id),
        all_count=all_count,
        archived_to_s=archived_to_s,
        looked_at_s=to_seconds((newest_run.recorded_at if newest_run else now).replace(microsecond=0)),
    )


def written_counts(tenant_ids: Sequence[int], archive: Path) -> dict[int, int]:
    """Return how many values each run of the tenants says that it wrote, without those that were archived."""
    counts = dict(Run.objects.filter(tenant_id__in=tenant_ids).values_list("id", "values_count"))
    for manifest in list_manifests(archive):
        if is_removed(archive, manifest):
            for run_id, count in manifest.runs.items():
                counts[int(run_id)] = max(counts.get(int(run_id), 0) - count, 0)
    return counts


def _dirty(tenant_id: int) -> Spans:
    found = Spans.of([])
    for row in DirtyWindow.objects.filter(tenant_id=tenant_id):
        found = found.plus(Spans.unpack(bytes(row.spans)))
    return found


def _first_at(store: HttpReadingStore, tenant_id: int, archived_to_s: int) -> int | None:
    where = f"WHERE tenant_id = {int(tenant_id)}"
    row = store.select(
        "SELECT toInt64(toUnixTimestamp(min(at))) AS first_at_s, toInt64(count()) AS rows FROM ("  # noqa: S608
        f"SELECT min(measured_at) AS at FROM raw_read {where} HAVING count() > 0"
        f" UNION ALL SELECT min(starts_at) FROM measurement {where} HAVING count() > 0)"
        " FORMAT ArrowStream"
    ).to_pylist()[0]
    if not row["rows"]:
        return None
    return max(int(row["first_at_s"]), archived_to_s + _MONTH_MAX_S if archived_to_s else 0)
