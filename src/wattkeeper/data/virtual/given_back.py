"""When the points of a node have measured what they give back."""

from collections import defaultdict
from datetime import datetime

from wattkeeper.core.kernel.instants import Period, to_seconds
from wattkeeper.data.registry.instant_meters import EXPORTS
from wattkeeper.data.registry.models import Installation, Series, Topology

GIVEN_BACK = "energy_export"
Span = tuple[int, int, int | None]


def given_back_spans(tenant_id: int, main_id: int) -> tuple[list[Span], list[Span]]:
    """Return (series, from, to), in seconds, of what a main point gives back, and those that it feeds.

    As long as a meter that measures it is there: one that does not is of a point that gives nothing back.
    """
    links = Topology.objects.filter(tenant_id=tenant_id, parent_id=main_id)
    fed = list(links.order_by("starts_at", "child_id").values_list("child_id", "starts_at", "ends_at"))
    points = {main_id, *(child_id for child_id, _, _ in fed)}
    series = Series.objects.filter(usage_point_id__in=points, quantity=GIVEN_BACK)
    series_of = dict(series.values_list("usage_point_id", "id"))
    measured: dict[int, list[Period]] = defaultdict(list)
    rows = Installation.objects.filter(usage_point_id__in=list(series_of))
    rows = rows.filter(meter__channels__reading_type__in=EXPORTS).order_by("starts_at").distinct()
    for point_id, starts_at, ends_at in rows.values_list("usage_point_id", "starts_at", "ends_at"):
        measured[point_id].append(Period(starts_at, ends_at))
    own = [_span(series_of[main_id], period, period) for period in measured[main_id]]
    return own, [
        _span(series_of[child_id], period, Period(starts_at, ends_at))
        for child_id, starts_at, ends_at in fed
        for period in measured[child_id]
        if period.overlaps(Period(starts_at, ends_at))
    ]


def _span(series_id: int, one: Period, other: Period) -> Span:
    """Return what two periods that overlap have in common."""
    ends_at = [each.ends_at for each in (one, other) if each.ends_at is not None]
    return series_id, to_seconds(max(one.starts_at, other.starts_at)), _seconds(min(ends_at, default=None))


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else to_seconds(instant)
