"""Which days of a usage point its bills hold, and which days of its contracts no bill does."""

from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from zoneinfo import ZoneInfo

from wattkeeper.data.billing.models import Bill, RebillProposal
from wattkeeper.data.billing.parts import Days, contract_parts, first_day
from wattkeeper.data.registry.models import UsagePoint


def days_of(bill: Bill) -> Days:
    """Return the local days of a bill's period."""
    zone = ZoneInfo(bill.usage_point.site.time_zone)
    return bill.starts_at.astimezone(zone).date(), bill.ends_at.astimezone(zone).date()


def days_around(bill: Bill) -> Days:
    """Return the days between the issued bills before and after one of the same usage point."""
    zone = ZoneInfo(bill.usage_point.site.time_zone)
    issued = Bill.objects.filter(usage_point_id=bill.usage_point_id, state=Bill.State.ISSUED)
    before = issued.filter(ends_at__lte=bill.starts_at).order_by("-ends_at").first()
    after = issued.filter(starts_at__gte=bill.ends_at).order_by("starts_at").first()
    return (
        before.ends_at.astimezone(zone).date() if before else date.min,
        after.starts_at.astimezone(zone).date() if after else date.max,
    )


def unbilled_days(point: UsagePoint, before: date | None = None) -> list[Days]:
    """Return the runs of days that a contract bills and no bill holds, nor one that is proposed.

    They are looked for from the organisation's first bill until the end of the usage point's last bill, taken
    back or not, and until `before` at least.
    """
    zone = ZoneInfo(point.site.time_zone)
    tenants = Bill.objects.filter(tenant_id=point.tenant_id)
    began_at = tenants.order_by("ends_at").values_list("starts_at", flat=True).first()
    if began_at is None:
        return []
    bills = Bill.objects.filter(usage_point=point).exclude(state=Bill.State.REVERSAL)
    rows = list(bills.select_related("usage_point__site"))
    ends = [days_of(bill)[1] for bill in rows]
    until = max([*ends, *([before] if before else [])], default=None)
    if until is None:
        return []
    issued = [days_of(bill) for bill in rows if bill.state == Bill.State.ISSUED]
    parts = contract_parts(point, first_day(began_at, zone), until)
    days = _each((part.first, part.end) for part in parts)
    return _runs(days - _each(issued) - _each(_proposed(point)))


def _proposed(point: UsagePoint) -> Iterable[Days]:
    """Yield the days that proposals of other days wait to hold."""
    waiting = RebillProposal.objects.filter(bill__usage_point=point, state=RebillProposal.State.OPEN)
    for parts in waiting.filter(parts__isnull=False).values_list("parts", flat=True):
        for part in parts or ():
            yield date.fromisoformat(part["first"]), date.fromisoformat(part["end"])


def _each(spans: Iterable[Days]) -> set[int]:
    """Return the ordinal of each day of spans."""
    return {day for first, end in spans for day in range(first.toordinal(), end.toordinal())}


def _runs(ordinals: set[int]) -> list[Days]:
    """Return days as half-open runs, in order of time."""
    rising = sorted(ordinals)
    cuts = [index for index, (one, other) in enumerate(pairwise(rising), 1) if other - one > 1]
    return [
        (date.fromordinal(rising[start]), date.fromordinal(rising[end - 1] + 1))
        for start, end in pairwise([0, *cuts, len(rising)])
        if start < end
    ]
