"""How long the intervals of series were as of an instant, of those that files have changed since."""

from datetime import datetime

from wattkeeper.data.audit.models import AuditRecord

FORMER_LENGTHS = "former_lengths_s"  # in the audit of an import: by series


def former_lengths_s(tenant_id: int, as_of: datetime | None) -> dict[int, int]:
    """Return the lengths, in seconds; none as of now."""
    if as_of is None:
        return {}
    later = AuditRecord.objects.filter(
        tenant_id=tenant_id,
        recorded_at__gt=as_of,
        verb="registry.import-meters",
        detail__has_key=FORMER_LENGTHS,
    )
    found: dict[int, int] = {}
    for lengths in later.order_by("-sequence").values_list(f"detail__{FORMER_LENGTHS}", flat=True):
        found |= {int(series_id): length_s for series_id, length_s in lengths.items()}
    return found
