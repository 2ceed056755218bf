"""Holidays that a contract or a tariff version changes: what was estimated around them is estimated again."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import Period, local_midnight
from wattkeeper.core.vee.last_year import days_told_by
from wattkeeper.data.billing.holidays import Days
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.registry.models import Series

_DAY = timedelta(days=1)


def mark_changed_holidays(
    before: Mapping[int, Days], after: Mapping[int, Days], *, tenant_id: int, now: datetime
) -> None:
    """Mark the past days dirty that are holidays of a series before and not after, or the reverse.

    With them those a year later that may be estimated by them. The pipeline widens such a day to every
    estimate that may have learnt from it.
    """
    changed = {
        own: days
        for own in before.keys() | after.keys()
        if (days := before.get(own, frozenset()) ^ after.get(own, frozenset()))
    }
    zones = dict(
        Series.objects.filter(id__in=list(changed)).values_list("id", "usage_point__site__time_zone")
    )
    spans: dict[tuple[date, date], dict[int, Period]] = defaultdict(dict)
    for own, days in changed.items():
        zone = ZoneInfo(zones[own])
        told = (day for each in days for day in days_told_by(each))
        for first, end in _runs(days.union(told)):
            if (starts_at := local_midnight(first, zone)) < now:
                spans[first, end][own] = Period(starts_at, min(local_midnight(end, zone), now))
    for series in spans.values():
        mark_dirty(tenant_id=tenant_id, now=now, reason="holidays", series=series)


def _runs(days: Days) -> list[tuple[date, date]]:
    """Return consecutive days as half-open runs."""
    rising = sorted(days)
    cuts = [i for i, (one, other) in enumerate(pairwise(rising), 1) if other - one > _DAY]
    return [(rising[i], rising[j - 1] + _DAY) for i, j in pairwise([0, *cuts, len(rising)])]
