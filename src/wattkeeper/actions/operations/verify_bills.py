"""Bills against what was frozen with them, and against the values they were made of."""

from typing import Any

from wattkeeper.actions.billing.inputs import version_of
from wattkeeper.actions.billing.issue_bill import quantity_of
from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.core.billing.document import bill_key, document_key
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, BillLine
from wattkeeper.data.registry.models import Series
from wattkeeper.store.verify import Check


def check_bills(scope: Scope, check: Check) -> None:
    """Lines, totals, keys, values as of the run that was billed, and the record of the issue."""
    issued = _issued_keys(scope.tenant_id)
    lost, unrecorded = dict(issued), dict[str, dict[str, Any]]()
    query = Bill.objects.filter(tenant_id=scope.tenant_id).select_related("usage_point")
    for bill in query.prefetch_related("lines").order_by("id").iterator(500):
        check.examined_count += 1
        scope.on_done(1)
        _check_lines(check, bill)
        _check_document(check, bill)
        _check_values(scope, check, bill)
        lost.pop(bill.document["document_key"], None)
        if bill.document["document_key"] not in issued:
            unrecorded[bill.document["document_key"]] = _place(bill)
    later = _issued_keys(scope.tenant_id) if unrecorded else {}  # with those of bills that came meanwhile
    for key in unrecorded.keys() - later.keys():
        check.fault("verify.bill-unrecorded", **unrecorded[key])
    for key, sequence in lost.items():
        check.fault("verify.bill-lost", tenant_id=scope.tenant_id, sequence=sequence, document_key=key)


def _check_lines(check: Check, bill: Bill) -> None:
    lines = sorted(bill.lines.all(), key=lambda line: line.position)
    frozen = bill.document["lines"]
    positions = [line.position for line in lines]
    missing = sorted(set(range(1, len(frozen) + 1)) ^ set(positions))
    if missing:
        check.fault("verify.bill-line-missing", position=missing[0], **_place(bill))
        return
    for line, told in zip(lines, frozen, strict=True):
        if not _is_same(line, told):
            check.fault("verify.bill-line-changed", position=line.position, **_place(bill))
    total = sum(line.amount_minor for line in lines)
    if not total == bill.total_minor == bill.document["total_minor"]:
        check.fault("verify.bill-total", stored=bill.total_minor, lines=total, **_place(bill))


def _is_same(line: BillLine, told: dict[str, Any]) -> bool:
    pairs = (
        (line.component, told["component_id"]),
        (line.label_code, told["label_code"]),
        (line.rate, told["rate_code"] or ""),
        (line.tier, told["tier"]),
        (line.quantity, quantity_of(told)),
        (line.unit_price, str(told["unit_price"])),
        (line.amount_minor, told["amount_minor"]),
        (line.trace.get("trace"), told["trace"]),
        (line.trace.get("amount"), told["amount"]),
    )
    return all(stored == frozen for stored, frozen in pairs)


def _check_document(check: Check, bill: Bill) -> None:
    """The key is that of what the document says, and the row says the same."""
    told = bill.document
    key = bill_key(
        told["usage_point"],
        bill.starts_at,
        bill.ends_at,
        told["data_version"],
        told["tariff_keys"],
        told.get("tier_used_milliwh", 0),
        told.get("tier_used_by_rate_milliwh", {}),
    )
    if told["reverses_key"] is not None:
        key = document_key("reversal", told["reverses_key"])
    same = (
        (told["starts_at"], bill.starts_at.isoformat()),
        (told["ends_at"], bill.ends_at.isoformat()),
        (told["currency"], bill.currency),
        (told["energy_milliwh"], bill.energy_milliwh),
        (told["document_key"], key),
    )
    if any(one != other for one, other in same):
        check.fault("verify.bill-document", **_place(bill))


def _check_values(scope: Scope, check: Check, bill: Bill) -> None:
    """The values as of the billed run are those that were billed."""
    series = Series.objects.filter(usage_point=bill.usage_point, quantity="energy_import").first()
    if series is None:
        check.fault("verify.bill-values", energy_milliwh=0, **_place(bill))
        return
    values = scope.store.measurements(
        scope.tenant_id,
        [series.id],
        to_seconds(bill.starts_at),
        to_seconds(bill.ends_at),
        as_of_run_id=bill.run_id,
    )
    if version_of(values) != bill.document["data_version"]:
        if scope.is_away(to_seconds(bill.starts_at), to_seconds(bill.ends_at)):
            check.cannot("verify.bill-archived", **_place(bill))
            return
        energy = int(values.value_milliwh.sum())
        check.fault("verify.bill-values", energy_milliwh=energy, **_place(bill))


def _issued_keys(tenant_id: int) -> dict[str, int]:
    """Return the keys of the documents that were issued, with the record that says so."""
    verbs = ("billing.issue", "billing.replace")
    records = AuditRecord.objects.filter(tenant_id=tenant_id, verb__in=verbs).order_by("sequence")
    told = records.values_list("detail", "sequence").iterator(2000)
    names = ("document_key", "reversal_key")
    return {detail[name]: sequence for detail, sequence in told for name in names if detail.get(name)}


def _place(bill: Bill) -> dict[str, Any]:
    return {
        "bill_id": bill.id,
        "usage_point": bill.usage_point.code,
        "from": bill.starts_at.isoformat(),
        "to": bill.ends_at.isoformat(),
    }
