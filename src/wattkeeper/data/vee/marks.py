"""What a change of rules or edits makes dirty: where the rules that hold differ, and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from wattkeeper.core.kernel.instants import Period, Span, from_seconds, merge_spans, to_seconds
from wattkeeper.core.vee.rule_set_plan import FOREVER_S
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Installation
from wattkeeper.data.vee.schedules import TenantSchedule


def mark_changed_rules(
    *, tenant_id: int, before: TenantSchedule, after: TenantSchedule, now: datetime
) -> int:
    """Mark each measured (series, span) that two schedules judge differently; return how many series."""
    spans: dict[int, list[Span]] = {}
    known: dict[tuple[str, str, str], list[Span]] = {}
    now_s = to_seconds(now.replace(microsecond=0))
    for series_id, zone, measured in _measured(tenant_id, now_s):
        key = (before.group_of.get(series_id, "*"), after.group_of.get(series_id, "*"), zone)
        if key not in known:
            plans = before.plan_of_group(key[0], zone), after.plan_of_group(key[1], zone)
            known[key] = plans[0].differs(plans[1], 0, FOREVER_S)
        own = [cut for cut in (_cut(span, measured) for span in known[key]) if cut is not None]
        spans.setdefault(series_id, []).extend(own)
    return mark_spans(tenant_id=tenant_id, spans=spans, now=now, reason="rules")


def mark_spans(*, tenant_id: int, spans: Mapping[int, Sequence[Span]], now: datetime, reason: str) -> int:
    """Mark several spans a series dirty; return how many series that are."""
    own = {series_id: merge_spans(each) for series_id, each in spans.items() if each}
    for index in range(max(map(len, own.values()), default=0)):
        mark_dirty(
            tenant_id=tenant_id,
            now=now,
            reason=reason,
            series={
                series_id: Period(from_seconds(each[index][0]), from_seconds(each[index][1]))
                for series_id, each in own.items()
                if index < len(each)
            },
        )
    return len(own)


def _measured(tenant_id: int, now_s: int) -> Iterator[tuple[int, str, Span]]:
    """Yield (series, zone, span) of each time a meter measured a series."""
    rows = Installation.objects.filter(tenant_id=tenant_id, usage_point__series__isnull=False)
    columns = ("usage_point__series__id", "usage_point__site__time_zone", "starts_at", "ends_at")
    for series_id, zone, starts_at, ends_at in rows.values_list(*columns).iterator(4000):
        end_s = now_s if ends_at is None else min(to_seconds(ends_at), now_s)
        if to_seconds(starts_at) < end_s:
            yield series_id, zone, (to_seconds(starts_at), end_s)


def _cut(span: Span, other: Span) -> Span | None:
    from_s, to_s = max(span[0], other[0]), min(span[1], other[1])
    return (from_s, to_s) if from_s < to_s else None
