"""How long the intervals of series were as of an instant, of those that files have changed since."""

from datetime import datetime

from django.db.models import QuerySet

from wattkeeper.data.audit.models import AuditRecord

FORMER_LENGTHS = "former_lengths_s"  # in the audit of an import: by series


def former_lengths_s(tenant_id: int, as_of: datetime | None) -> dict[int, int]:
    """Return the lengths, in seconds; none as of now."""
    if as_of is None:
        return {}
    found: dict[int, int] = {}
    for _, lengths_s in _changes(tenant_id).filter(recorded_at__gt=as_of):
        found |= {int(series_id): length_s for series_id, length_s in lengths_s.items()}
    return found


def length_changes(tenant_id: int, series_id: int) -> list[tuple[datetime, int]]:
    """Return when files changed how long intervals of a series are, and how long they were: newest first."""
    name = str(series_id)
    own = _changes(tenant_id).filter(**{f"detail__{FORMER_LENGTHS}__has_key": name})
    return [(changed_at, lengths_s[name]) for changed_at, lengths_s in own]


def _changes(tenant_id: int) -> "QuerySet[AuditRecord, tuple[datetime, dict[str, int]]]":
    told = AuditRecord.objects.filter(
        tenant_id=tenant_id, verb="registry.import-meters", detail__has_key=FORMER_LENGTHS
    )
    return told.order_by("-sequence").values_list("recorded_at", f"detail__{FORMER_LENGTHS}")
