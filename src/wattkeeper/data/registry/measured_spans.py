"""Since when, and until when, meters have measured the series of a tenant without a break."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from wattkeeper.data.registry.models import Series

CHUNK_COUNT = 2000


@dataclass(frozen=True, slots=True)
class MeasuredSpan:
    """The latest unbroken time in which a usage point had a meter; `ends_at` None: it has one."""

    series_id: int
    usage_point_id: int
    quantity: str
    interval_s: int
    power_max_w: int
    time_zone: str
    starts_at: datetime
    ends_at: datetime | None


def iter_measured_spans(tenant_id: int) -> Iterator[list[MeasuredSpan]]:
    """Yield the spans of all series of a tenant that ever had a meter, the series of some thousands of usage
    points at a time: those of a point together, in order of id."""
    last_id = 0
    while True:
        ids = list(
            Series.objects.filter(tenant_id=tenant_id, usage_point_id__gt=last_id)
            .order_by("usage_point_id")
            .values_list("usage_point_id", flat=True)
            .distinct()[:CHUNK_COUNT]
        )
        if not ids:
            return
        yield list(_spans(tenant_id, ids[0], ids[-1]))
        last_id = ids[-1]


def _spans(tenant_id: int, first_id: int, last_id: int) -> Iterator[MeasuredSpan]:
    rows = (
        Series.objects.filter(tenant_id=tenant_id, usage_point_id__gte=first_id, usage_point_id__lte=last_id)
        .filter(usage_point__installations__isnull=False)
        .order_by("id", "usage_point__installations__starts_at")
        .values_list(
            "id",
            "usage_point_id",
            "quantity",
            "interval_s",
            "usage_point__power_max_w",
            "usage_point__site__time_zone",
            "usage_point__installations__starts_at",
            "usage_point__installations__ends_at",
        )
    )
    latest: MeasuredSpan | None = None
    for row in rows:
        span = MeasuredSpan(*row)
        if latest is not None and latest.series_id != span.series_id:
            yield latest
        elif latest is not None and latest.ends_at == span.starts_at:
            span = replace(span, starts_at=latest.starts_at)
        latest = span
    if latest is not None:
        yield latest
