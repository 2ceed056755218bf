"""Issue one bill. The same document twice is one bill; newer values reverse the old bill in the same step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.billing.correct import reverse
from wattkeeper.core.billing.document import BillDocument, BillLine, bill_to_json, document_key, exact_text
from wattkeeper.core.billing.parse import bill_from_json
from wattkeeper.data.billing.models import Bill, RebillProposal, TariffVersion
from wattkeeper.data.billing.models import BillLine as StoredLine
from wattkeeper.data.registry.models import UsagePoint

MILLIWH_DIGITS_PER_KWH = 6


@dataclass(frozen=True, slots=True)
class Issued:
    """`outcome`: issued, unchanged or corrected."""

    bill_id: int
    outcome: str


@audited("billing.issue")
def issue_bill(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    usage_point: UsagePoint,
    versions: Sequence[TariffVersion],
    bill: BillDocument,
    run_id: int,
    depends_from: datetime | None = None,
) -> Issued:
    """Store a bill with its lines and traces; the issued bill of the same period, if another, is reversed.

    The reversal is a document of its own that takes back every line. `depends_from`: from when on values
    count.
    """
    entry.subject = f"usage-point:{usage_point.id}"
    entry.detail = {"document_key": bill.document_key, "total_minor": bill.total_minor}
    UsagePoint.objects.select_for_update().get(id=usage_point.id)
    current = Bill.objects.filter(
        usage_point=usage_point, starts_at=bill.starts_at, ends_at=bill.ends_at, state=Bill.State.ISSUED
    ).first()
    if current is not None and current.document["document_key"] == bill.document_key:
        entry.detail["outcome"] = "unchanged"
        return Issued(current.id, "unchanged")
    if current is not None:
        entry.detail["reversal_key"] = _reverse(current, now)
    stored = Bill(
        tenant_id=actor.tenant_id,
        usage_point=usage_point,
        tariff_version=versions[-1],
        document_key=bill.document_key if current is None else document_key(bill.document_key, current.id),
        run_id=run_id,
        issued_at=now,
        corrects=current,
        depends_from=depends_from,
    )
    _store(stored, bill)
    if current is not None:
        _settle(current, stored, actor, now)
    entry.detail["outcome"] = "corrected" if current else "issued"
    return Issued(stored.id, entry.detail["outcome"])


def _reverse(bill: Bill, now: datetime) -> str:
    """Post the document that takes an issued bill back, and return its key."""
    bill.state = Bill.State.REVERSED
    bill.save(update_fields=["state"])
    document = reverse(bill_from_json(bill.document))
    stored = Bill(
        tenant_id=bill.tenant_id,
        usage_point_id=bill.usage_point_id,
        tariff_version_id=bill.tariff_version_id,
        state=Bill.State.REVERSAL,
        document_key=document_key("reversal", bill.document_key),
        run_id=bill.run_id,
        issued_at=now,
        reverses=bill,
    )
    _store(stored, document)
    return document.document_key


def _settle(old: Bill, new: Bill, actor: Actor, now: datetime) -> None:
    """Close what was proposed for a bill that is corrected now."""
    RebillProposal.objects.filter(bill=old, state=RebillProposal.State.OPEN).update(
        state=RebillProposal.State.APPROVED, decided_at=now, decided_by=str(actor), new_bill=new
    )


def _store(stored: Bill, bill: BillDocument) -> None:
    """Keep a document and its lines."""
    stored.starts_at, stored.ends_at = bill.starts_at, bill.ends_at
    stored.currency, stored.total_minor = bill.currency, bill.total_minor
    stored.energy_milliwh = bill.energy_milliwh
    stored.document = bill_to_json(bill)
    stored.save(force_insert=True)
    lines = stored.document["lines"]
    StoredLine.objects.bulk_create(
        [
            _stored(stored, position, line, plain)
            for position, (line, plain) in enumerate(zip(bill.lines, lines, strict=True), start=1)
        ]
    )


def _stored(bill: Bill, position: int, line: BillLine, plain: dict[str, Any]) -> StoredLine:
    return StoredLine(
        bill=bill,
        position=position,
        component=line.component_id,
        label_code=line.label_code,
        rate=line.rate_code or "",
        tier=line.tier,
        quantity=_quantity(line),
        unit="kWh" if line.quantity_milliwh is not None else line.unit_code,
        unit_price=str(plain["unit_price"]),
        amount_minor=line.amount_minor,
        trace={
            "trace": plain["trace"],
            "amount": plain["amount"],
            "estimated_share": plain["estimated_share"],
        },
    )


def _quantity(line: BillLine) -> str:
    if line.quantity_milliwh is not None:
        return format(Decimal(line.quantity_milliwh).scaleb(-MILLIWH_DIGITS_PER_KWH), "f")
    if line.spans is not None:
        return exact_text(line.spans)
    return "" if line.base_minor is None else str(line.base_minor)
