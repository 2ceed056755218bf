"""The audit chain: append a record, prove that none was changed, dropped or slipped in."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.audit.walk import check_chain
from wattkeeper.data.registry.models import Tenant

SYSTEM_TENANT_ID = 0


def append_record(
    *,
    tenant_id: int | None,
    recorded_at: datetime,
    actor: str,
    verb: str,
    subject: str,
    detail: Mapping[str, Any],
) -> AuditRecord:
    """Append one record to its tenant's chain, inside the caller's transaction."""
    chain_id = tenant_id or SYSTEM_TENANT_ID
    list(Tenant.objects.select_for_update().filter(id=chain_id).values_list("id"))  # one writer a chain
    newest = AuditRecord.objects.filter(tenant_id=chain_id).order_by("-sequence").first()
    record = AuditRecord(
        tenant_id=chain_id,
        sequence=newest.sequence + 1 if newest else 1,
        recorded_at=recorded_at,
        actor=actor,
        verb=verb,
        subject=subject,
        detail=json.loads(_canonical(detail)),
        previous_hash=newest.hash if newest else "",
    )
    record.hash = hash_of(record)
    record.save(force_insert=True)
    return record


def hash_of(record: AuditRecord) -> str:
    """Return SHA-256 of the previous hash and the record's canonical JSON, in hexadecimal."""
    fields = {
        "tenant_id": record.tenant_id,
        "sequence": record.sequence,
        "recorded_at": record.recorded_at,
        "actor": record.actor,
        "verb": record.verb,
        "subject": record.subject,
        "detail": record.detail,
    }
    return hashlib.sha256((record.previous_hash + _canonical(fields)).encode()).hexdigest()


def find_break(tenant_id: int) -> int | None:
    """Return the first sequence number at which a tenant's chain does not hold, None when it does.

    Seen: a changed field, a missing or repeated number, a replaced hash. Records cut off at the end and
    chains made anew are seen against signed heads (`walk.check_chain`).
    """
    fault = check_chain(tenant_id, {})[1]
    if fault is None:
        return None
    return fault.first_sequence if fault.kind == "missing" else fault.last_sequence


def newest_hash(tenant_id: int) -> tuple[int, str]:
    """Return the sequence number and hash of a tenant's newest record, (0, "") where there is none."""
    newest = AuditRecord.objects.filter(tenant_id=tenant_id).order_by("-sequence").first()
    return (newest.sequence, newest.hash) if newest else (0, "")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return str(value)
