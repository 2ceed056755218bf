"""What stands beside a contract: the one before it, and what was billed under it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.data.billing.models import Bill, Contract
from wattkeeper.data.billing.parts import first_day


def contract_before(contract: Contract) -> Contract | None:
    """Return the contract that ends where this one begins."""
    return Contract.objects.filter(usage_point_id=contract.usage_point_id, ends_at=contract.starts_at).first()


def find_billed(contract: Contract) -> Bill | None:
    """Return a bill that was made under a contract, taken back since or not.

    Such a one begins with a day that the contract bills, and was issued since somebody recorded it: an
    earlier bill of the same days was made under another.
    """
    zone = ZoneInfo(contract.usage_point.site.time_zone)

    def bound(at: datetime) -> datetime:
        return local_midnight(first_day(at, zone), zone)

    ends_at = datetime.max.replace(tzinfo=UTC) if contract.ends_at is None else bound(contract.ends_at)
    bills = Bill.objects.filter(
        usage_point_id=contract.usage_point_id,
        starts_at__gte=bound(contract.starts_at),
        starts_at__lt=ends_at,
        issued_at__gte=contract.recorded_at,
    )
    return bills.exclude(state=Bill.State.REVERSAL).order_by("id").first()
