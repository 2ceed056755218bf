"""Dirty windows: what must be derived again. Written by whoever changed an input, claimed with a lease."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.collection.models import Counter, DirtyWindow
from wattkeeper.data.registry.models import Channel, Installation, Series
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE

CHUNK_COUNT = 500
_FENCE = "dirty-window-fence"


@dataclass(frozen=True, slots=True)
class ClaimedWindow:
    """A span of one series to derive, held by `fence_id` until its lease runs out."""

    window_id: int
    tenant_id: int
    series_id: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    fence_id: int


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
    measures no series at that time marks none. `series`: series id -> period with an end. A span that
    touches an unclaimed window of its series grows it; a claimed window is left alone.
    """
    spans: dict[int, list[Period]] = defaultdict(list)
    for series_id, period in _series_of_channels(tenant_id, channels or {}):
        spans[series_id].append(period)
    for series_id, period in (series or {}).items():
        spans[series_id].append(period)
    with transaction.atomic():
        for chunk in _chunks(sorted(spans)):
            _merge_into_windows(tenant_id, {series_id: spans[series_id] for series_id in chunk}, reason, now)
    return len(spans)


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
    """Claim up to `limit` windows of a tenant, oldest first, under one new fence.

    A series of which somebody else holds a window is passed over; a lease that ran out is taken again.
    """
    with transaction.atomic():
        held = DirtyWindow.objects.filter(leased_until__gt=now).values("series_id")
        free = (
            DirtyWindow.objects.select_for_update()
            .filter(Q(leased_until__isnull=True) | Q(leased_until__lte=now), tenant_id=tenant_id)
            .exclude(series_id__in=held)
        )
        windows = list(free.order_by("id")[:limit])
        if not windows:
            return []
        fence_id = next_value(_FENCE)
        DirtyWindow.objects.filter(id__in=[window.id for window in windows]).update(
            fence_id=fence_id, leased_until=now + timedelta(seconds=lease_s)
        )
    return [
        ClaimedWindow(w.id, w.tenant_id, w.series_id, w.starts_at, w.ends_at, w.reason, fence_id)
        for w in windows
    ]


def extend_claim(fence_id: int, *, now: datetime, lease_s: int) -> None:
    """Hold a claim longer.

    :raises WattkeeperError: ``pipeline.lease-lost`` if its lease ran out and another took it
    """
    leased_until = now + timedelta(seconds=lease_s)
    if not DirtyWindow.objects.filter(fence_id=fence_id).update(leased_until=leased_until):
        raise WattkeeperError("pipeline.lease-lost", is_permanent=False, fence_id=fence_id)


def complete(claimed: Iterable[ClaimedWindow]) -> int:
    """Take away windows that were derived and return how many still were this claim's.

    One that was claimed again meanwhile stays: its new holder derives it once more.
    """
    done = list(claimed)
    fences = {window.fence_id for window in done}
    deleted, _ = DirtyWindow.objects.filter(
        id__in=[window.window_id for window in done], fence_id__in=fences
    ).delete()
    return deleted


def next_value(name: str) -> int:
    """Return the next value of a counter that only rises, inside the caller's transaction."""
    Counter.objects.get_or_create(name=name)
    Counter.objects.filter(name=name).update(value=F("value") + 1)
    return Counter.objects.values_list("value", flat=True).get(name=name)


def _series_of_channels(
    tenant_id: int, channels: Mapping[int, tuple[int, int]]
) -> Iterable[tuple[int, Period]]:
    for chunk in _chunks(sorted(channels)):
        meters: dict[int, list[tuple[str, Period]]] = defaultdict(list)
        for channel_id, meter_id, reading_type in Channel.objects.filter(
            tenant_id=tenant_id, id__in=chunk, reading_type__in=QUANTITY_OF_READING_TYPE
        ).values_list("id", "meter_id", "reading_type"):
            oldest_s, newest_s = channels[channel_id]
            span = Period(from_seconds(oldest_s), from_seconds(newest_s + 1))
            meters[meter_id].append((QUANTITY_OF_READING_TYPE[reading_type], span))
        yield from _series_of_meters(meters)


def _series_of_meters(meters: Mapping[int, list[tuple[str, Period]]]) -> Iterable[tuple[int, Period]]:
    installed: dict[int, list[tuple[int, Period]]] = defaultdict(list)
    for row in Installation.objects.filter(meter_id__in=meters):
        # the read at the instant of a removal still ends that meter's last interval
        ends_at = row.ends_at and row.ends_at + timedelta(seconds=1)
        installed[row.usage_point_id].append((row.meter_id, Period(row.starts_at, ends_at)))
    for series_id, point_id, quantity in Series.objects.filter(usage_point_id__in=installed).values_list(
        "id", "usage_point_id", "quantity"
    ):
        for meter_id, installation in installed[point_id]:
            for measured, span in meters[meter_id]:
                if measured == quantity and installation.overlaps(span):
                    yield series_id, span


def _merge_into_windows(
    tenant_id: int, spans: Mapping[int, list[Period]], reason: str, now: datetime
) -> None:
    waiting: dict[int, list[DirtyWindow]] = defaultdict(list)
    for window in DirtyWindow.objects.select_for_update().filter(series_id__in=spans, fence_id__isnull=True):
        waiting[window.series_id].append(window)
    grown: dict[int, DirtyWindow] = {}
    made: list[DirtyWindow] = []
    for series_id, periods in spans.items():
        for period in periods:
            if period.ends_at is None:
                raise ValueError("a dirty span has an end")
            touched = _touching(waiting[series_id], period)
            if touched is None:
                window = DirtyWindow(
                    tenant_id=tenant_id,
                    series_id=series_id,
                    starts_at=period.starts_at,
                    ends_at=period.ends_at,
                    reason=reason,
                    created_at=now,
                )
                made.append(window)
                waiting[series_id].append(window)
                continue
            if touched.starts_at <= period.starts_at and period.ends_at <= touched.ends_at:
                continue
            touched.starts_at = min(touched.starts_at, period.starts_at)
            touched.ends_at = max(touched.ends_at, period.ends_at)
            if touched.id:
                grown[touched.id] = touched
    DirtyWindow.objects.bulk_update(grown.values(), ["starts_at", "ends_at"], batch_size=200)
    DirtyWindow.objects.bulk_create(made, batch_size=CHUNK_COUNT)


def _touching(windows: list[DirtyWindow], period: Period) -> DirtyWindow | None:
    for window in windows:
        if (
            period.ends_at is not None
            and window.starts_at <= period.ends_at
            and period.starts_at <= window.ends_at
        ):
            return window
    return None


def _chunks(ids: list[int]) -> Iterable[list[int]]:
    for start in range(0, len(ids), CHUNK_COUNT):
        yield ids[start : start + CHUNK_COUNT]
