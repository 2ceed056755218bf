"""Dirty windows: what must be derived again. Written by whoever changed an input, claimed with a lease.

One row holds the spans of many series of one shard: a delivery of ten thousand meters marks a few rows.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import numpy as np
from django.db import transaction
from django.db.models import F

from wattkeeper.core.kernel.claims import ClaimedWindow, ClaimedWindows
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds, to_seconds
from wattkeeper.core.kernel.rising import rising
from wattkeeper.data.collection.models import Counter, DirtyWindow
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.collection.touched import series_of_channels
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Installation, Series

SHARD_SERIES_COUNT = 8192  # ids of one shard lie together, so that the store reads them together
GROW_RATIO = 4  # a row grows by others until it is this many times as large
GROW_MIN_COUNT = 64
REST_S = 300  # what could not be derived is tried again after it; what comes new meanwhile is tried at once
AHEAD = "ahead"  # reason of the rows whose spans wait until their beginning has passed
_BEGUN = "begun"
_FENCE = "dirty-window-fence"
WATCH: Watch[int] = Watch()  # this process's own, over the claims of all


def mark_dirty(
    *,
    tenant_id: int,
    now: datetime,
    reason: str,
    channels: Mapping[int, tuple[int, int]] | Spans | None = None,
    series: Mapping[int, Period] | None = None,
) -> int:
    """Mark spans dirty and return how many series that touched.

    `channels`: channel id -> (oldest, newest) `measured_at_s` of its new reads, both included, or spans of
    rising channels, to a second after the newest; one that measures no series then marks none.
    `series`: series id -> period with an end. Spans join a small unclaimed row of their shard; a claimed one
    is left alone. With the reason `AHEAD` nobody claims a span before its beginning has passed.
    """
    spans = Spans.of(_seconds_of(series_id, period) for series_id, period in (series or {}).items())
    reads = channels if isinstance(channels, Spans) else _reads_of(channels or {})
    spans = spans.plus(series_of_channels(tenant_id, reads)).merged()
    if not len(spans):
        return 0
    shard = spans.series_id // SHARD_SERIES_COUNT
    with transaction.atomic():
        for shard_index in np.unique(shard).tolist():
            _put(tenant_id, shard_index, spans.where(shard == shard_index), reason, now)
    return len(rising(spans.series_id))


def _reads_of(channels: Mapping[int, tuple[int, int]]) -> Spans:
    spans = sorted(channels.items())
    return Spans.of((channel_id, oldest_s, newest_s + 1) for channel_id, (oldest_s, newest_s) in spans)


def mark_recent_dirty(
    *, tenant_id: int, since: datetime, now: datetime, besides_meters: Collection[int] = ()
) -> int:
    """Mark [since, now) of every series that a meter, none of `besides_meters`, measures now; return how many
    those are."""
    installed = Installation.objects.filter(tenant_id=tenant_id, starts_at__lt=now).exclude(ends_at__lte=now)
    spans = {
        series_id: Period(max(since, starts_at), now)
        for series_id, starts_at, meter_id in Series.objects.filter(
            usage_point__installations__in=installed
        ).values_list("id", "usage_point__installations__starts_at", "usage_point__installations__meter_id")
        if starts_at < now and meter_id not in besides_meters
    }
    return mark_dirty(tenant_id=tenant_id, now=now, reason="look-again", series=spans)


def claim(
    *, tenant_id: int, now: datetime, lease_s: int, limit: int, watch: Watch[int] = WATCH
) -> ClaimedWindows:
    """Claim windows of a tenant, oldest rows first, under one new fence: whole rows, `limit` windows or the
    first row.

    A shard of which somebody else holds a row is passed over, and so are rows at rest. A claim that was not
    extended for `lease_s` while `watch` looked on is taken again; no clock but this process's own steady one
    is asked.
    """
    with transaction.atomic():
        _wake(tenant_id, now)
        signs: dict[int, object] = {
            fence_id or 0: sign
            for fence_id, *sign in DirtyWindow.objects.filter(fence_id__isnull=False)
            .order_by("fence_id")
            .values_list("fence_id", "beats_count", "leased_until")
        }
        held = signs.keys() - watch.silent(signs, lease_s)
        shards = DirtyWindow.objects.filter(fence_id__in=held, tenant_id=tenant_id).values("shard_index")
        rested_at = now + timedelta(seconds=REST_S)  # later ends were written before the clock was set back
        free = (
            DirtyWindow.objects.select_for_update()
            .filter(tenant_id=tenant_id)
            .exclude(fence_id__in=held)
            .exclude(shard_index__in=shards)
            .exclude(fence_id__isnull=True, leased_until__gt=now, leased_until__lte=rested_at)
            .exclude(reason=AHEAD)
        )
        rows = list(_first_rows(free.order_by("id")[:limit].iterator(), limit))
        if not rows:
            return ClaimedWindows.of(())
        fence_id = next_value(_FENCE)
        DirtyWindow.objects.filter(id__in=[row.id for row in rows]).update(
            fence_id=fence_id, beats_count=F("beats_count") + 1, leased_until=now + timedelta(seconds=lease_s)
        )
    return ClaimedWindows.concatenate([_windows_of(row, fence_id) for row in rows])


def extend_claim(fence_id: int, *, now: datetime, lease_s: int) -> None:
    """Hold a claim longer.

    :raises WattkeeperError: ``pipeline.lease-lost`` if its lease ran out and another took it
    """
    leased_until = now + timedelta(seconds=lease_s)
    held = DirtyWindow.objects.filter(fence_id=fence_id)
    if not held.update(beats_count=F("beats_count") + 1, leased_until=leased_until):
        raise WattkeeperError("pipeline.lease-lost", is_permanent=False, fence_id=fence_id)


def complete(claimed: Iterable[ClaimedWindow]) -> int:
    """Take away windows that were derived and return how many still were this claim's.

    One whose row was claimed again meanwhile stays: its new holder derives it once more.
    """
    done = ClaimedWindows.of(claimed)
    with transaction.atomic():
        return sum(_take_away(*row, _spans_of(done, row[0])) for row in _rows_of(done))


def set_aside(claimed: Iterable[ClaimedWindow], *, now: datetime) -> int:
    """Let windows that could not be derived rest for `REST_S`, and return how many still were this claim's.

    Those of a shard rest in one row, from when its first came, so that their shard is free for the others.
    """
    failed = ClaimedWindows.of(claimed)
    with transaction.atomic():
        count = 0
        for window_id, fence_id in _rows_of(failed):
            row = DirtyWindow.objects.filter(id=window_id).first()
            spans = _spans_of(failed, window_id)
            taken_count = _take_away(window_id, fence_id, spans)
            if row is not None and taken_count:
                _put(row.tenant_id, row.shard_index, spans, row.reason, row.created_at, rests_from=now)
            count += taken_count
    return count


def find_resting(tenant_id: int) -> dict[int, datetime]:
    """Return the series that rest since they could not be derived, each with the start of its first span."""
    rows = DirtyWindow.objects.filter(tenant_id=tenant_id, fence_id__isnull=True, leased_until__isnull=False)
    found: dict[int, datetime] = {}
    for packed in rows.values_list("spans", flat=True):
        spans = Spans.unpack(bytes(packed))
        for series_id, from_s in zip(spans.series_id.tolist(), spans.from_s.tolist(), strict=True):
            starts_at = from_seconds(from_s)
            found[series_id] = min(starts_at, found.get(series_id, starts_at))
    return found


def find_claimed(*, tenant_id: int, series_ids: Iterable[int], besides: int | None) -> set[int]:
    """Return which of some series lie in windows that a claim other than `besides` holds."""
    ids = np.array(sorted(series_ids), dtype=np.int64)
    shards = np.unique(ids // SHARD_SERIES_COUNT).tolist()
    rows = DirtyWindow.objects.filter(tenant_id=tenant_id, shard_index__in=shards, fence_id__isnull=False)
    packed = rows.exclude(fence_id=besides).values_list("spans", flat=True)
    held = [Spans.unpack(bytes(spans)).series_id for spans in packed]
    return set(ids[np.isin(ids, np.concatenate(held))].tolist()) if held else set()


def next_value(name: str) -> int:
    """Return the next value of a counter that only rises, inside the caller's transaction."""
    Counter.objects.get_or_create(name=name)
    Counter.objects.filter(name=name).update(value=F("value") + 1)
    return Counter.objects.values_list("value", flat=True).get(name=name)


def _seconds_of(series_id: int, period: Period) -> tuple[int, int, int]:
    if period.ends_at is None:
        raise ValueError("a dirty span has an end")
    return series_id, int(period.starts_at.timestamp() // 1), -int(-period.ends_at.timestamp() // 1)


def _wake(tenant_id: int, now: datetime) -> None:
    """Let spans that waited for their beginning be claimed, once it has passed."""
    ahead = DirtyWindow.objects.select_for_update().filter(tenant_id=tenant_id, reason=AHEAD)
    for row in ahead.filter(starts_at__lte=now):
        spans = Spans.unpack(bytes(row.spans))
        has_begun = spans.from_s <= to_seconds(now.replace(microsecond=0))
        _put(tenant_id, row.shard_index, spans.where(has_begun), _BEGUN, row.created_at)
        if has_begun.all():
            row.delete()
        else:
            _fill(row, spans.where(~has_begun))
            row.save()


def _put(
    tenant_id: int,
    shard_index: int,
    spans: Spans,
    reason: str,
    created_at: datetime,
    *,
    rests_from: datetime | None = None,
) -> None:
    """Keep the spans in the newest small row of the shard that nobody holds, else in one of their own.

    `rests_from`: in the row that rests, which begins to with its first spans.
    """
    free = DirtyWindow.objects.select_for_update().filter(
        tenant_id=tenant_id,
        shard_index=shard_index,
        fence_id__isnull=True,
        leased_until__isnull=rests_from is None,
    )
    free = free.filter(reason=AHEAD) if reason == AHEAD else free.exclude(reason=AHEAD)
    room = GROW_RATIO * len(spans) + GROW_MIN_COUNT
    small = free if rests_from is not None else free.filter(spans_count__lte=room)
    row = small.order_by("-id").first()
    if row is None:
        row = DirtyWindow(tenant_id=tenant_id, shard_index=shard_index, reason=reason, created_at=created_at)
        row.leased_until = rests_from and rests_from + timedelta(seconds=REST_S)
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


def _windows_of(row: DirtyWindow, fence_id: int) -> ClaimedWindows:
    spans = Spans.unpack(bytes(row.spans))
    window_id, fence = (np.full(len(spans), number, dtype=np.int64) for number in (row.id, fence_id))
    return ClaimedWindows(window_id, spans.series_id, spans.from_s, spans.to_s, fence)


def _rows_of(claimed: ClaimedWindows) -> list[tuple[int, int]]:
    """Return the rows that windows are part of, each with the fence of their claim."""
    is_first = np.diff(claimed.window_id, prepend=-1) != 0
    is_first |= np.diff(claimed.fence_id, prepend=-1) != 0
    pairs = zip(claimed.window_id[is_first].tolist(), claimed.fence_id[is_first].tolist(), strict=True)
    return sorted(set(pairs))


def _spans_of(claimed: ClaimedWindows, window_id: int) -> Spans:
    own = claimed.where(claimed.window_id == window_id)
    return Spans(own.series_id, own.from_s, own.to_s)


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
