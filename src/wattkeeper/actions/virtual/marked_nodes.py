"""What is known of a node has changed: the gaps of its meters are estimated again."""

from collections.abc import Set
from datetime import datetime

from django.db.models import Min, Q

from wattkeeper.core.kernel.instants import Period
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Series
from wattkeeper.data.virtual.accuracy import TAKEN
from wattkeeper.data.virtual.models import AccuracyCheck


def mark_nodes(
    *,
    tenant_id: int,
    main_ids: Set[int],
    now: datetime,
    at: datetime | None = None,
    child_id: int | None = None,
) -> None:
    """Mark what main meters, all that they ever fed, and `child_id` take: from `at` on, else all of it."""
    own = Q(usage_point_id__in=main_ids) | Q(usage_point__fed_by__parent_id__in=main_ids)
    rows = Series.objects.filter(own | Q(usage_point_id=child_id), tenant_id=tenant_id, quantity=TAKEN)
    first = rows.annotate(first_at=Min("usage_point__installations__starts_at"))
    spans = {
        series_id: Period(max(first_at, at or first_at), now)
        for series_id, first_at in first.values_list("id", "first_at")
        if first_at is not None and max(first_at, at or first_at) < now
    }
    if spans:
        mark_dirty(tenant_id=tenant_id, now=now, reason="node", series=spans)


def follow_nodes(*, tenant_id: int, main_ids: Set[int], child_id: int, at: datetime, now: datetime) -> None:
    """Mark the nodes among `main_ids` that a comparison stands for, which a child has joined or left."""
    standing = AccuracyCheck.objects.filter(reference__isnull=True, retired_at__isnull=True)
    balanced = set(standing.filter(main_id__in=main_ids).values_list("main_id", flat=True))
    if balanced:
        mark_nodes(tenant_id=tenant_id, main_ids=balanced, child_id=child_id, at=at, now=now)
