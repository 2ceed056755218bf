"""Tariff versions against what the audit says was added: nothing changed, lost or slipped in."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from wattkeeper.actions.operations.verify_scope import Scope
from wattkeeper.core.kernel.content import content_sha256
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import TariffVersion
from wattkeeper.store.verify import Check


class _Added(NamedTuple):
    sequence: int
    valid_from_date: str
    document_sha256: str | None  # None: by a release that did not write it down


def check_tariffs(scope: Scope, check: Check) -> None:
    """Every version is the document that was added, in force since its day, and every added one is there."""
    versions = TariffVersion.objects.filter(tariff__tenant_id=scope.tenant_id).order_by("id")
    held = list(versions.select_related("tariff"))
    added = _added(scope.tenant_id)  # asked after: it knows of each of them
    unsummed = 0
    for version in held:
        check.examined_count += 1
        told = added.pop(version.id, None)
        place = {"tariff": version.tariff.code, "date": version.valid_from_date.isoformat()}
        if told is None:
            check.fault("verify.tariff-unrecorded", version_id=version.id, **place)
        elif not _is_same(version, told):
            check.fault("verify.tariff-changed", version_id=version.id, sequence=told.sequence, **place)
        else:
            unsummed += told.document_sha256 is None
    for version_id in added.keys() - set(versions.filter(id__in=added).values_list("id", flat=True)):
        told = added[version_id]
        check.fault(
            "verify.tariff-lost",
            tenant_id=scope.tenant_id,
            sequence=told.sequence,
            version_id=version_id,
            date=told.valid_from_date,
        )
    if unsummed:
        check.cannot("verify.tariffs-unsummed", tenant_id=scope.tenant_id, versions=unsummed)


def _is_same(version: TariffVersion, told: _Added) -> bool:
    """Whether row, document and audit agree; the day and the number, and the content where it is known."""
    document: Mapping[str, Any] = version.document
    days = {told.valid_from_date, document.get("valid_from"), version.valid_from_date.isoformat()}
    is_whole = told.document_sha256 in {None, content_sha256(document)}
    return is_whole and days == {told.valid_from_date} and document.get("code") == version.tariff.code


def _added(tenant_id: int) -> dict[int, _Added]:
    records = AuditRecord.objects.filter(tenant_id=tenant_id, verb="tariffs.add-version").order_by("sequence")
    return {
        detail["version_id"]: _Added(
            sequence, date.fromisoformat(detail["valid_from_date"]).isoformat(), detail.get("document_sha256")
        )
        for detail, sequence in records.values_list("detail", "sequence").iterator(2000)
    }
