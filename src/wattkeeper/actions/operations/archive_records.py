"""What the audit says of archived months: written once for each, whoever finished what another began."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.operations.record import record_operation
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.models import Tenant
from wattkeeper.store.archive import Manifest

ARCHIVED, REMOVED, RESTORED, DESTROYED = "archived", "removed", "restored", "destroyed"
Known = tuple[str, int, str]  # table, month, SHA-256 of the file


def record_month(actor: Actor, now: datetime, what: str, manifest: Manifest) -> None:
    """Write down what was done to a month of a table.

    :raises WattkeeperError: ``accounts.not-allowed``
    """
    detail = {
        "table": manifest.table,
        "month": manifest.month,
        "rows": manifest.rows_count,
        "sha256": manifest.file_sha256,
    }
    record_operation(actor=actor, now=now, what=f"archive-{what}", detail=detail)


def record_for_all(now: datetime, what: str, manifest: Manifest) -> None:
    """Write down what the machine did by itself, for every organisation: a month holds all of theirs."""
    with transaction.atomic():
        for tenant_id in Tenant.objects.order_by("id").values_list("id", flat=True):
            machine = Actor(tenant_id, None, "retention", Role.ADMINISTRATOR, "system")
            record_month(machine, now, what, manifest)


def known_months(what: str) -> set[Known]:
    """Return of which months the audit says that this was done to them."""
    return {(detail["table"], detail["month"], detail["sha256"]) for detail in _details(what)}


def last_done() -> dict[tuple[str, int], str]:
    """Return what was done last to each month of a table, of all that the audit says."""
    names = [ARCHIVED, REMOVED, RESTORED, DESTROYED]
    subjects = {f"installation:archive-{what}": what for what in names}
    records = AuditRecord.objects.filter(verb="operations.done", subject__in=list(subjects)).order_by("id")
    told = records.values_list("detail", "subject").iterator(2000)
    return {(detail["table"], detail["month"]): subjects[subject] for detail, subject in told}


def restored_since(instant: datetime) -> set[tuple[str, int]]:
    """Return the tables and months that somebody restored since then."""
    return {(detail["table"], detail["month"]) for detail in _details(RESTORED, recorded_at__gte=instant)}


def known_as(manifest: Manifest) -> Known:
    """Return what tells this file of a month from any other."""
    return manifest.table, manifest.month, manifest.file_sha256


def _details(what: str, **chosen: Any) -> Iterator[dict[str, Any]]:
    records = AuditRecord.objects.filter(
        verb="operations.done", subject=f"installation:archive-{what}", **chosen
    )
    return records.values_list("detail", flat=True).iterator(2000)
