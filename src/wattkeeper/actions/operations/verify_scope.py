"""What `verify` looks at: the series of a tenant by zone, the months to prove, what is being derived."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Count, QuerySet

from wattkeeper.actions.operations.archive_months import LATE_RULE
from wattkeeper.core.kernel.instants import Span, merge_spans, to_seconds
from wattkeeper.core.readings.rollups import month_bounds
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.models import DirtyWindow, Run
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.integer_rows import integer_rows
from wattkeeper.data.registry.models import Channel, Series
from wattkeeper.store.archive import away_months
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.verify import Check, instant
from wattkeeper.store.verify_store import Owners
from wattkeeper.store.windows import month_span

CHUNK_COUNT = 500  # series looked at together


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant's part of a proof. `from_s` is None where it has no reads; `dirty`: not derived yet.

    `away`: what is only in the archive, or destroyed. `looked_at_s`: when a run last looked, later than which
    nobody has judged what is missing.
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
    away: tuple[Span, ...]
    looked_at_s: int
    on_done: Callable[[int], None]  # told how much more was looked at: series, or bills
    waiting: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))  # by check

    @property
    def is_sample(self) -> bool:
        """Whether there are more series than are looked at."""
        return len(self.series_ids) < self.all_count

    @property
    def now_s(self) -> int:
        """The present instant."""
        return to_seconds(self.now.replace(microsecond=0))

    @property
    def held(self) -> list[Span]:
        """The spans of which nothing is away."""
        if self.from_s is None:
            return []
        ends_s = [self.from_s, *(at_s for span in self.away for at_s in span), self.now_s]
        pairs = zip(ends_s[::2], ends_s[1::2], strict=True)
        return [(max(from_s, self.from_s), to_s) for from_s, to_s in pairs if to_s > self.from_s]

    def chunks(self) -> Iterator[tuple[ZoneInfo, Sequence[int], list[int]]]:
        """Yield zone, some series and the starts of its local months, the end of the last among them.

        The first and last of them may be away in part.
        """
        for zone, part in self.parts():
            for from_s, to_s in self.held:
                yield zone, part, month_bounds(from_s, to_s, zone)
            self.on_done(len(part))

    def parts(self) -> Iterator[tuple[ZoneInfo, Sequence[int]]]:
        """Yield zone and some series."""
        for zone, ids in self.zones.items():
            for start in range(0, len(ids), CHUNK_COUNT):
                yield zone, ids[start : start + CHUNK_COUNT]

    def is_away(self, from_s: int, to_s: int) -> bool:
        """Whether something of the span is away."""
        return any(first_s < to_s and from_s < end_s for first_s, end_s in self.away)

    def wait(self, check: Check, series_id: int, date: str) -> None:
        """Note that a day, or a month by its first day, waits to be derived."""
        self.waiting[check.name].append((series_id, date))

    def tell_limits(self, check: Check) -> None:
        """Note what was left out of a check, and what of it waits: all of it together."""
        for from_s, to_s in self.away:
            check.cannot("verify.archived", **{"from": instant(from_s), "to": instant(to_s)})
        if self.is_sample:
            place = {"tenant_id": self.tenant_id, "of": self.all_count, "found": len(self.series_ids)}
            check.cannot("verify.sampled", **place)
        if waiting := self.waiting[check.name]:
            dates = [date for _, date in waiting]
            check.cannot(
                "verify.not-derived-yet",
                tenant_id=self.tenant_id,
                series=len({series_id for series_id, _ in waiting}),
                days=len(waiting),
                **{"from": min(dates), "to": max(dates)},
            )

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
    on_done: Callable[[int], None] = lambda _count: None,
) -> Scope:
    """Return the scope of a tenant: all of its series, or as many of them, spread evenly."""
    newest_run = Run.objects.filter(tenant_id=tenant_id).order_by("-id").first()
    rows = list(
        Series.objects.filter(tenant_id=tenant_id)
        .order_by("id")
        .values_list("id", "interval_s", "usage_point__site__time_zone")
    )
    all_count = len(rows)
    rows = rows[:: _step(all_count, sample_count)]
    by_zone: dict[str, list[int]] = defaultdict(list)
    for series_id, _, zone in rows:
        by_zone[zone].append(series_id)
    return Scope(
        tenant_id=tenant_id,
        store=store,
        now=now,
        from_s=first_at(store, tenant_id),
        series_ids=tuple(row[0] for row in rows),
        zones={ZoneInfo(zone): tuple(ids) for zone, ids in by_zone.items()},
        interval_s={series_id: interval_s for series_id, interval_s, _ in rows},
        dirty=_dirty(tenant_id),
        all_count=all_count,
        away=away_spans(archive),
        looked_at_s=to_seconds((newest_run.recorded_at if newest_run else now).replace(microsecond=0)),
        on_done=on_done,
    )


def _step(all_count: int, sample_count: int | None) -> int:
    """Return how far apart the series of a sample lie."""
    return 1 if sample_count is None else max(-(-all_count // sample_count), 1)


def count_series(tenant_ids: Sequence[int], sample_count: int | None) -> int:
    """Return how many series are in the scopes of the tenants together."""
    counts = Series.objects.filter(tenant_id__in=tenant_ids).values("tenant_id").annotate(of=Count("id"))
    return sum(len(range(0, row["of"], _step(row["of"], sample_count))) for row in counts)


def known_owners() -> dict[str, Owners]:
    """Return the ids of all channels and series with the organisation of each."""
    return {
        "channel_id": _owners(Channel.objects.values_list("id", "tenant_id")),
        "series_id": _owners(Series.objects.values_list("id", "tenant_id")),
    }


def _owners(query: "QuerySet[Any, Any]") -> Owners:
    pairs = integer_rows(query.order_by("id"), 2)
    return pairs[:, 0], pairs[:, 1]


def away_spans(archive: Path) -> tuple[Span, ...]:
    """Return the spans that are away, in order, touching months joined."""
    return tuple(merge_spans(month_span(month) for month in away_months(archive)))


def _dirty(tenant_id: int) -> Spans:
    """What waits to be derived, and what waits for its month to be back from the archive."""
    late = Finding.objects.filter(tenant_id=tenant_id, rule=LATE_RULE, state=Finding.State.OPEN)
    found = Spans.of(
        (
            int(finding.subject_key.removeprefix("series:")),
            to_seconds(finding.starts_at),
            to_seconds(finding.ends_at or finding.starts_at),
        )
        for finding in late
    )
    for row in DirtyWindow.objects.filter(tenant_id=tenant_id):
        found = found.plus(Spans.unpack(bytes(row.spans)))
    return found


def first_at(store: HttpReadingStore, tenant_id: int) -> int | None:
    """Return the oldest instant (UTC seconds) of a tenant's reads, values and roll-ups; None without any."""
    where = f"WHERE tenant_id = {int(tenant_id)}"
    row = store.select(
        "SELECT toInt64(toUnixTimestamp(min(at))) AS first_at_s, toInt64(count()) AS rows FROM ("  # noqa: S608
        f"SELECT min(measured_at) AS at FROM raw_read {where} HAVING count() > 0"
        f" UNION ALL SELECT min(starts_at) FROM measurement {where} HAVING count() > 0"
        f" UNION ALL SELECT min(starts_at) FROM roll_up {where} HAVING count() > 0)"
        " FORMAT ArrowStream"
    ).to_pylist()[0]
    return int(row["first_at_s"]) if row["rows"] else None
