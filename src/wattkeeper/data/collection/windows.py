"""Dirty windows: what must be derived again. Written by whoever changed an input, claimed with a lease.

One row holds the spans of many series of one shard: a delivery of ten thousand meters marks a few rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import repeat
from typing import NamedTuple, Protocol

import numpy as np
from django.db import transaction
from django.db.models import F, Q

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.collection.models import Counter, DirtyWindow
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.collection.touched import series_of_channels
from wattkeeper.data.registry.models import Installation, Series

SHARD_SERIES_COUNT = 8192  # ids of one shard lie together, so that the store reads them together
GROW_RATIO = 4  # a row grows by others until it is this many times as large
GROW_MIN_COUNT = 64
_FENCE = "dirty-window-fence"


class ClaimedWindow(NamedTuple):
    """A span of one series to derive, held by `fence_id` until its lease runs out; part of a stored row."""

    window_id: int
    series_id: int
    from_s: int
    to_s: int
    fence_id: int


class WindowRef(Protocol):
    """What names a claimed window."""

    @property
    def window_id(self) -> int: ...
    @property
    def series_id(self) -> int: ...
    @property
    def from_s(self) -> int: ...
    @property
    def to_s(self) -> int: ...
    @property
    def fence_id(self) -> int: ...


def mark_dirty(
    *,
    tenant_id: int,
    now: datetime,
    reason: str,
    channels: Mapping[int, tuple[int, int]] | None = None,
    series: Mapping[int, Period] | None = None,
) -> int:
    """Mark spans dirty and return how many series that touched.

    `channels`: channel id -> (oldest, newest) `measured_at_s` of its new reads, both included; a channel that
    measures no series at that time marks none. `series`: series id -> period with an end. Spans join a small
    unclaimed row of their shard; a claimed one is left alone.
    """
    spans = Spans.of(_seconds_of(series_id, period) for series_id, period in (series or {}).items())
    spans = spans.plus(series_of_channels(tenant_id, channels or {})).merged()
    if not len(spans):
        return 0
    shard = spans.series_id // SHARD_SERIES_COUNT
    with transaction.atomic():
        for shard_index in np.unique(shard).tolist():
            _put(tenant_id, shard_index, spans.where(shard == shard_index), reason, now)
    return len(np.unique(spans.series_id))


def mark_recent_dirty(*, tenant_id: int, since: datetime, now: datetime) -> int:
    """Mark [since, now) of every series that a meter measures now; return how many those are."""
    installed = Installation.objects.filter(tenant_id=tenant_id, starts_at__lt=now).exclude(ends_at__lte=now)
    spans = {
        series_id: Period(max(since, starts_at), now)
        for series_id, starts_at in Series.objects.filter(
            usage_point__installations__in=installed
        ).values_list("id", "usage_point__installations__starts_at")
        if starts_at < now
    }
    return mark_dirty(tenant_id=tenant_id, now=now, reason="look-again", series=spans)


def claim(*, tenant_id: int, now: datetime, lease_s: int, limit: int) -> list[ClaimedWindow]:
    """Claim windows of a tenant, oldest rows first, under one new fence: whole rows, `limit` windows or the
    first row.

    A shard of which somebody else holds a row is passed over; a lease that ran out is taken again.
    """
    with transaction.atomic():
        held = DirtyWindow.objects.filter(leased_until__gt=now).values("shard_index")
        free = (
            DirtyWindow.objects.select_for_update()
            .filter(Q(leased_until__isnull=True) | Q(leased_until__lte=now), tenant_id=tenant_id)
            .exclude(shard_index__in=held)
        )
        rows = list(_first_rows(free.order_by("id")[:limit].iterator(), limit))
        if not rows:
            return []
        fence_id = next_value(_FENCE)
        DirtyWindow.objects.filter(id__in=[row.id for row in rows]).update(
            fence_id=fence_id, leased_until=now + timedelta(seconds=lease_s)
        )
    return [window for row in rows for window in _windows_of(row, fence_id)]


def extend_claim(fence_id: int, *, now: datetime, lease_s: int) -> None:
    """Hold a claim longer.

    :raises WattkeeperError: ``pipeline.lease-lost`` if its lease ran out and another took it
    """
    leased_until = now + timedelta(seconds=lease_s)
    if not DirtyWindow.objects.filter(fence_id=fence_id).update(leased_until=leased_until):
        raise WattkeeperError("pipeline.lease-lost", is_permanent=False, fence_id=fence_id)


def complete(claimed: Iterable[WindowRef]) -> int:
    """Take away windows that were derived and return how many still were this claim's.

    One whose row was claimed again meanwhile stays: its new holder derives it once more.
    """
    done: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for window in claimed:
        key = (window.window_id, window.fence_id)
        done.setdefault(key, []).append((window.series_id, window.from_s, window.to_s))
    with transaction.atomic():
        return sum(_take_away(*key, Spans.of(rows)) for key, rows in done.items())


def next_value(name: str) -> int:
    """Return the next value of a counter that only rises, inside the caller's transaction."""
    Counter.objects.get_or_create(name=name)
    Counter.objects.filter(name=name).update(value=F("value") + 1)
    return Counter.objects.values_list("value", flat=True).get(name=name)


def _seconds_of(series_id: int, period: Period) -> tuple[int, int, int]:
    if period.ends_at is None:
        raise ValueError("a dirty span has an end")
    return series_id, int(period.starts_at.timestamp() // 1), -int(-period.ends_at.timestamp() // 1)


def _put(tenant_id: int, shard_index: int, spans: Spans, reason: str, now: datetime) -> None:
    """Keep the spans in the newest small row of the shard that nobody holds, else in one of their own."""
    room = GROW_RATIO * len(spans) + GROW_MIN_COUNT
    row = (
        DirtyWindow.objects.select_for_update()
        .filter(tenant_id=tenant_id, shard_index=shard_index, fence_id__isnull=True, spans_count__lte=room)
        .order_by("-id")
        .first()
    )
    if row is None:
        row = DirtyWindow(tenant_id=tenant_id, shard_index=shard_index, reason=reason, created_at=now)
    else:
        spans = Spans.unpack(bytes(row.spans)).plus(spans).merged()
    _fill(row, spans)
    row.save()


def _fill(row: DirtyWindow, spans: Spans) -> None:
    row.spans, row.spans_count = spans.pack(), len(spans)
    row.starts_at, row.ends_at = from_seconds(spans.from_s.min()), from_seconds(spans.to_s.max())


def _first_rows(rows: Iterator[DirtyWindow], limit: int) -> Iterator[DirtyWindow]:
    count = 0
    for row in rows:
        if count and count + row.spans_count > limit:
            return
        count += row.spans_count
        yield row


def _windows_of(row: DirtyWindow, fence_id: int) -> Iterator[ClaimedWindow]:
    spans = Spans.unpack(bytes(row.spans))
    columns = (spans.series_id.tolist(), spans.from_s.tolist(), spans.to_s.tolist())
    return map(ClaimedWindow, repeat(row.id), *columns, repeat(fence_id))


def _take_away(window_id: int, fence_id: int, done: Spans) -> int:
    row = DirtyWindow.objects.select_for_update().filter(id=window_id, fence_id=fence_id).first()
    if row is None:
        return 0
    if row.spans_count == len(done):
        row.delete()
        return len(done)
    spans = Spans.unpack(bytes(row.spans))
    gone = set(zip(done.series_id.tolist(), done.from_s.tolist(), done.to_s.tolist(), strict=True))
    rows = zip(spans.series_id.tolist(), spans.from_s.tolist(), spans.to_s.tolist(), strict=True)
    left = Spans.of(row for row in rows if row not in gone)
    if not len(left):
        row.delete()
        return len(spans)
    _fill(row, left)
    row.save()
    return len(spans) - len(left)
