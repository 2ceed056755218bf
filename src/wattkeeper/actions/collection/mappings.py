"""Mappings kept under a name: how the columns of somebody's files say intervals."""

from dataclasses import dataclass
from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import ImportMapping
from wattkeeper.formats.mapping import Mapping, parse_mapping


@dataclass(frozen=True, slots=True)
class MappingRow:
    """A kept mapping's name, and when it was kept."""

    mapping_id: int
    name: str
    changed_at: datetime


@audited("imports.save-mapping")
def save_mapping(entry: Entry, *, actor: Actor, now: datetime, name: str, mapping: Mapping) -> None:
    """
    Keep a mapping under a name, in place of one that had it.

    :raises WattkeeperError: ``registry.invalid-field``, ``accounts.not-allowed``
    """
    row = _find(actor, name) or ImportMapping(tenant_id=actor.tenant_id, name=name)
    before = row.content
    row.content, row.changed_at = mapping.to_json(), now
    keep(row)
    entry.subject = f"mapping:{row.pk}"
    entry.detail = {"name": name, "before": before, "after": row.content}


@audited("imports.remove-mapping")
def remove_mapping(entry: Entry, *, actor: Actor, now: datetime, name: str) -> None:
    """
    Remove a mapping.

    :raises WattkeeperError: ``mapping.unknown``, ``accounts.not-allowed``
    """
    row = _find(actor, name)
    if row is None:
        raise WattkeeperError("mapping.unknown", name=name)
    entry.subject = f"mapping:{row.pk}"
    entry.detail = {"name": name, "before": row.content}
    row.delete()


def get_mapping(*, tenant_id: int, name: str) -> Mapping:
    """
    Return the mapping of a name.

    :raises WattkeeperError: ``mapping.unknown``
    """
    row = ImportMapping.objects.filter(tenant_id=tenant_id, name=name).first()
    if row is None:
        raise WattkeeperError("mapping.unknown", name=name)
    return parse_mapping(row.content)


def name_of_mapping(*, tenant_id: int, mapping_id: int) -> str:
    """
    Return the name under which a mapping is kept.

    :raises WattkeeperError: ``registry.not-found``
    """
    row = ImportMapping.objects.filter(tenant_id=tenant_id, id=mapping_id).first()
    if row is None:
        raise WattkeeperError("registry.not-found", kind="importmapping", id=mapping_id)
    return row.name


def list_mappings(*, tenant_id: int) -> list[MappingRow]:
    """Return the mappings of a tenant, by name."""
    rows = ImportMapping.objects.filter(tenant_id=tenant_id).order_by("name")
    return [MappingRow(row.id, row.name, row.changed_at) for row in rows]


def _find(actor: Actor, name: str) -> ImportMapping | None:
    return ImportMapping.objects.select_for_update().filter(tenant_id=actor.tenant_id, name=name).first()
