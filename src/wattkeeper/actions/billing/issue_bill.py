"""Issue one bill, once; take one back."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.billing.inputs import BillInputs
from wattkeeper.core.billing.correct import reverse
from wattkeeper.core.billing.document import BillDocument, BillLine, bill_to_json, document_key
from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.billing.parse import bill_from_json
from wattkeeper.core.kernel.content import content_sha256
from wattkeeper.data.billing.models import Bill, RebillProposal
from wattkeeper.data.billing.models import BillLine as StoredLine
from wattkeeper.data.billing.rebills import mark_waiting
from wattkeeper.data.registry.models import UsagePoint

MILLIWH_DIGITS_PER_KWH = 6


@audited("billing.issue")
def issue_bill(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    inputs: BillInputs,
    bill: BillDocument,
    corrects: Bill | None = None,
) -> int:
    """Store a bill of what was read with its lines and traces, and return its id.

    The same document is issued once. `corrects`: a reversed bill that this one replaces, or a part of it.

    :raises UnableToBill: ``billing.overlap``: another issued bill holds a part of the period
    """
    entry.subject = f"usage-point:{inputs.usage_point.id}"
    entry.detail = {"document_key": bill.document_key, "total_minor": bill.total_minor}
    UsagePoint.objects.select_for_update().get(id=inputs.usage_point.id)
    for other in issued_within(inputs.usage_point, bill.starts_at, bill.ends_at):
        if other.document["document_key"] != bill.document_key:
            raise overlap_with(other, ZoneInfo(bill.zone))
        entry.detail["outcome"] = "unchanged"
        return other.id
    stored = Bill(
        tenant_id=actor.tenant_id,
        usage_point=inputs.usage_point,
        tariff_version=inputs.versions[-1],
        document_key=_key(inputs.usage_point, bill),
        run_id=inputs.run_id,
        issued_at=now,
        corrects=corrects,
        depends_from=inputs.depends_from,
    )
    _store(stored, bill)
    mark_waiting(inputs.usage_point.id)  # days that wait to be another's may be this one's now
    entry.detail["outcome"] = "corrected" if corrects else "issued"
    entry.detail["document_sha256"] = content_sha256(stored.document)
    return stored.id


def issued_within(usage_point: UsagePoint, starts_at: datetime, ends_at: datetime) -> QuerySet[Bill]:
    """Return the issued bills of a usage point that hold any of a period, in order of time."""
    issued = Bill.objects.filter(usage_point=usage_point, state=Bill.State.ISSUED)
    rows = issued.filter(starts_at__lt=ends_at, ends_at__gt=starts_at).order_by("starts_at")
    return rows.select_related("usage_point__site")


def overlap_with(other: Bill, zone: ZoneInfo) -> UnableToBill:
    """Return the refusal to bill what another bill holds: no energy is billed twice."""
    return UnableToBill(
        "billing.overlap",
        bill_id=other.id,
        first=other.starts_at.astimezone(zone).date().isoformat(),
        end=other.ends_at.astimezone(zone).date().isoformat(),
    )


def _key(usage_point: UsagePoint, bill: BillDocument) -> str:
    """Return the key to keep a document by: one that was taken back and holds again is another document."""
    taken_back = Bill.objects.filter(
        usage_point=usage_point, starts_at=bill.starts_at, ends_at=bill.ends_at, state=Bill.State.REVERSED
    )
    last = taken_back.order_by("-id").first()
    return bill.document_key if last is None else document_key(bill.document_key, last.id)


def reverse_bill(bill: Bill, now: datetime) -> str:
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


def settle(old: Bill, new: Bill | None, actor: Actor, now: datetime) -> None:
    """Close what was proposed for a bill that is corrected now, or taken back."""
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
        quantity=quantity_of(plain),
        unit=unit_of(plain),
        unit_price=str(plain["unit_price"]),
        amount_minor=line.amount_minor,
        trace={
            "trace": plain["trace"],
            "amount": plain["amount"],
            "estimated_share": plain["estimated_share"],
        },
    )


def unit_of(line: Mapping[str, Any]) -> str:
    """Return in what a line of a frozen document says how much it charges for."""
    unit: str = line["unit_code"] if line["quantity_milliwh"] is None else "kWh"
    return unit


def quantity_of(line: Mapping[str, Any]) -> str:
    """Return how much a line of a frozen document charges for, as exact text."""
    if line["quantity_milliwh"] is not None:
        return format(Decimal(line["quantity_milliwh"]).scaleb(-MILLIWH_DIGITS_PER_KWH), "f")
    told = line["base_minor"] if line["spans"] is None else line["spans"]
    return "" if told is None else str(told)
