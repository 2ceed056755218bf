"""The parts of a period in which one contract holds: each is billed by itself."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.billing.models import Contract
from wattkeeper.data.registry.models import UsagePoint

Days = tuple[date, date]  # local days, half-open


@dataclass(frozen=True, slots=True)
class ContractPart:
    """The half-open local days [first, end) that a contract by a tariff bills.

    `customer_from`: the first day of the customer's, whose tiers count from then on at the earliest.
    """

    tariff_id: int
    first: date
    end: date
    customer_from: date


def contract_parts(usage_point: UsagePoint, first: date, end: date) -> list[ContractPart]:
    """Return the parts of the local days [first, end) that a usage point's contracts bill, in order of time.

    A day is billed whole, by the contract that holds when it begins: no day is in two parts, and one that
    begins without a contract is in none.
    """
    zone = ZoneInfo(usage_point.site.time_zone)
    begun = Contract.objects.filter(usage_point=usage_point, starts_at__lt=local_midnight(end, zone))
    parts = []
    before: Contract | None = None
    customer_from = first
    for row in begun.order_by("starts_at"):
        if not counts_on(before, row):
            customer_from = first_day(row.starts_at, zone)
        before = row
        from_date = max(first, first_day(row.starts_at, zone))
        to_date = end if row.ends_at is None else min(end, first_day(row.ends_at, zone))
        if from_date < to_date:
            parts.append(ContractPart(row.tariff_id, from_date, to_date, customer_from))
    return parts


def counts_on(before: Contract | None, contract: Contract) -> bool:
    """Whether the customer of the contract before goes on with another, whose tiers count on.

    The two touch, and the other says so, or says nothing: the release before asked nobody, and counted on.
    """
    is_touching = before is not None and before.ends_at == contract.starts_at
    return is_touching and contract.is_same_customer is not False


def first_day(at: datetime, zone: ZoneInfo) -> date:
    """Return the first local day that begins at an instant or later."""
    day = at.astimezone(zone).date()
    return day if local_midnight(day, zone) >= at else day + timedelta(days=1)
