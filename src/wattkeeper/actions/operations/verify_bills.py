"""Bills against what was frozen with them, and against the values they were made of."""

from collections.abc import Set
from datetime import datetime
from typing import Any, NamedTuple

from wattkeeper.actions.billing.inputs import version_of
from wattkeeper.actions.billing.issue_bill import quantity_of, unit_of
from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.core.billing.correct import reverse
from wattkeeper.core.billing.document import bill_key, document_key
from wattkeeper.core.billing.parse import bill_from_json
from wattkeeper.core.kernel.content import content_sha256
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, BillLine
from wattkeeper.data.registry.models import Series
from wattkeeper.store.verify import Check

State = Bill.State


class _Act(NamedTuple):
    """What the audit says of an issue: of what, when, and whether another bill was taken back for it."""

    subject: str
    issued_at: datetime
    is_correction: bool


class _Issued(NamedTuple):
    """What the audit says of a document: newest record, and what every one that had its key was."""

    sequence: int = 0
    acts: frozenset[_Act] = frozenset()
    totals_minor: frozenset[int] = frozenset()
    sha256s: frozenset[str] = frozenset()  # none: by a release that did not write them down

    def plus(
        self, sequence: int, act: _Act, totals_minor: Set[int] = frozenset(), sha256s: Set[str] = frozenset()
    ) -> "_Issued":
        """Return what is known with one more record."""
        return _Issued(sequence, self.acts | {act}, self.totals_minor | totals_minor, self.sha256s | sha256s)


def check_bills(scope: Scope, check: Check) -> None:
    """Lines, totals, keys, states, values as of the run that was billed, and the record of the issue."""
    issued = _issued(scope.tenant_id)
    lost, unrecorded, unsummed = dict(issued), dict[str, dict[str, Any]](), 0
    query = Bill.objects.filter(tenant_id=scope.tenant_id).select_related(
        "usage_point", "tariff_version", "reverses"
    )
    for bill in query.prefetch_related("lines", "reversed_by").order_by("id").iterator(500):
        check.examined_count += 1
        scope.on_done(1)
        _check_lines(check, bill)
        _check_document(check, bill)
        _check_values(scope, check, bill)
        _check_state(check, bill)
        lost.pop(bill.document["document_key"], None)
        record = issued.get(bill.document["document_key"])
        if record is None:
            unrecorded[bill.document["document_key"]] = _place(bill)
            continue
        if not _acts(bill) & record.acts:
            told = {"issued": bill.issued_at.isoformat(), "sequence": record.sequence}
            check.fault("verify.bill-misdated", **told, **_place(bill))
        if bill.reverses is None:
            unsummed += _check_issued(check, bill, record)
    later = _issued(scope.tenant_id) if unrecorded else {}  # with those of bills that came meanwhile
    for key in unrecorded.keys() - later.keys():
        check.fault("verify.bill-unrecorded", **unrecorded[key])
    for key, record in lost.items():
        place = {"tenant_id": scope.tenant_id, "sequence": record.sequence}
        check.fault("verify.bill-lost", document_key=key, **place)
    if unsummed:
        check.cannot("verify.bills-unsummed", tenant_id=scope.tenant_id, bills=unsummed)


def _acts(bill: Bill) -> set[_Act]:
    """Return what the audit may say of the issue of a bill: it has to say one of them.

    Releases before took a bill back as they issued the one in its place: under its usage point.
    """
    subjects = {f"usage-point:{bill.usage_point_id}"}
    if bill.reverses is not None:
        subjects.add(f"bill:{bill.reverses_id}")
    return {_Act(subject, bill.issued_at, bill.corrects_id is not None) for subject in subjects}


def _check_issued(check: Check, bill: Bill, record: _Issued) -> bool:
    """The document is, to the letter, one that was issued under its key; return whether only its total is."""
    told = {content_sha256(bill.document)} if record.sha256s else set()
    if bill.document["total_minor"] not in record.totals_minor or not told <= record.sha256s:
        check.fault("verify.bill-changed", sequence=record.sequence, **_place(bill))
    return not record.sha256s


def _check_state(check: Check, bill: Bill) -> None:
    """A bill was taken back if there is a document that does so, and that is its mirror."""
    reversals = [each.document_key for each in bill.reversed_by.all()]
    is_reversal = bill.reverses is not None
    wanted = State.REVERSAL if is_reversal else State.REVERSED if reversals else State.ISSUED
    if bill.state != wanted or len(reversals) > 1:
        check.fault("verify.bill-state", state=bill.state, wanted=wanted.value, **_place(bill))
    if bill.reverses is not None and (
        bill.usage_point_id != bill.reverses.usage_point_id
        or bill_from_json(bill.document) != reverse(bill_from_json(bill.reverses.document))
    ):
        check.fault("verify.bill-document", **_place(bill))


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
        (line.unit, unit_of(told)),
        (line.unit_price, str(told["unit_price"])),
        (line.amount_minor, told["amount_minor"]),
        (line.trace.get("trace"), told["trace"]),
        (line.trace.get("amount"), told["amount"]),
        (line.trace.get("estimated_share"), told["estimated_share"]),
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
        (bill.document_key, _kept_by(bill, key)),
    )
    priced_by = "{code}/{version}".format_map(bill.tariff_version.document)
    if any(one != other for one, other in same) or priced_by not in told["tariff_keys"]:
        check.fault("verify.bill-document", **_place(bill))


def _kept_by(bill: Bill, key: str) -> str:
    """Return the key that a document is kept by: one that took another's place is kept by that one's, too."""
    if bill.reverses is not None:
        return document_key("reversal", bill.reverses.document_key)
    if bill.document_key == key:
        return key
    same = {"usage_point": bill.usage_point, "starts_at": bill.starts_at, "ends_at": bill.ends_at}
    taken_back = Bill.objects.filter(**same, state=State.REVERSED, id__lt=bill.id).order_by("-id").first()
    return key if taken_back is None else document_key(key, taken_back.id)


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


def _issued(tenant_id: int) -> dict[str, _Issued]:
    """Return what the audit says of the documents that were issued, by their key."""
    verbs = ("billing.issue", "billing.replace")
    records = AuditRecord.objects.filter(tenant_id=tenant_id, verb__in=verbs).order_by("sequence")
    columns = records.values_list("detail", "sequence", "subject", "recorded_at")
    found: dict[str, _Issued] = {}
    for detail, sequence, subject, recorded_at in columns.iterator(2000):
        if key := detail.get("reversal_key"):
            act = _Act(subject, recorded_at, is_correction=False)
            found[key] = found.get(key, _Issued()).plus(sequence, act)
        if (key := detail.get("document_key")) and detail.get("outcome") != "unchanged":
            act = _Act(subject, recorded_at, detail.get("outcome") == "corrected")
            digest = {detail["document_sha256"]} if "document_sha256" in detail else set()
            found[key] = found.get(key, _Issued()).plus(sequence, act, {detail["total_minor"]}, digest)
    return found


def _place(bill: Bill) -> dict[str, Any]:
    return {
        "bill_id": bill.id,
        "usage_point": bill.usage_point.code,
        "from": bill.starts_at.isoformat(),
        "to": bill.ends_at.isoformat(),
    }
