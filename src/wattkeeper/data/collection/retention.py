"""How long readings stay: what an organisation wants, and what follows where several share the store."""

from collections import defaultdict
from dataclasses import dataclass

from wattkeeper.data.collection.models import Retention
from wattkeeper.data.registry.models import Tenant


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Months beside the running one that readings of a kind stay in the store, and then in files.

    None: for good. `file_months_count` counts from the same month as `store_months_count`.
    """

    kind: str
    store_months_count: int | None
    file_months_count: int | None


def own_rules(tenant_id: int) -> list[RetentionRule]:
    """Return what an organisation wants of each kind."""
    rows = {row.kind: row for row in Retention.objects.filter(tenant_id=tenant_id)}
    return [
        RetentionRule(kind, rows[kind].store_months_count, rows[kind].file_months_count)
        if kind in rows
        else RetentionRule(kind, None, None)
        for kind in Retention.Kind.values
    ]


def rules_in_force() -> list[RetentionRule]:
    """Return what holds for the store: a kind leaves when all organisations let it, as late as any wants."""
    rows = defaultdict(list)
    for row in Retention.objects.all():
        rows[row.kind].append(row)
    tenants_count = Tenant.objects.count()
    return [
        RetentionRule(
            kind,
            max(row.store_months_count for row in rows[kind]),
            None if None in files else max(count for count in files if count is not None),
        )
        for kind in Retention.Kind.values
        if len(rows[kind]) == tenants_count and (files := [row.file_months_count for row in rows[kind]])
    ]
