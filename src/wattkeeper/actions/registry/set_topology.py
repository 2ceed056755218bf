"""Say through which usage point another is fed."""

from datetime import datetime

from django.db.models import Q

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, own
from wattkeeper.actions.virtual.formulas import follow_topology
from wattkeeper.actions.virtual.marked_nodes import follow_nodes
from wattkeeper.core.registry.topology import check_topology
from wattkeeper.data.registry.facts import get_topology
from wattkeeper.data.registry.models import Topology, UsagePoint


@audited("registry.set-topology")
def set_topology(
    entry: Entry, *, actor: Actor, now: datetime, child_id: int, parent_id: int | None, at: datetime
) -> None:
    """
    From `at` until the next recorded change, `child_id` is fed through `parent_id`; None: nobody knows.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``topology.cycle``,
        ``formulas.cycle``
    """
    check_instant(at, now=now)
    child = own(UsagePoint, child_id, actor=actor)
    parent = own(UsagePoint, parent_id, actor=actor) if parent_id is not None else None
    entry.subject = f"usage-point:{child.id}"
    entry.detail = {"parent_id": parent_id, "at": at}
    mains = {parent_id} if parent_id is not None else set()
    mains |= set(child.fed_by.exclude(ends_at__lte=at).values_list("parent_id", flat=True))
    ends_at = _cut(child, at)
    if parent is not None:
        Topology.objects.create(
            tenant_id=actor.tenant_id,
            parent=parent,
            child=child,
            starts_at=at,
            ends_at=ends_at,
            recorded_at=now,
        )
        check_topology(get_topology(tenant_id=actor.tenant_id))
    follow_topology(actor.tenant_id, mains, at=at, now=now)
    follow_nodes(tenant_id=actor.tenant_id, main_ids=mains, child_id=child.id, at=at, now=now)


def _cut(child: UsagePoint, at: datetime) -> datetime | None:
    """End the link in force at `at`, drop one that starts there, and return when the new one has to end."""
    facts = child.fed_by.select_for_update()
    in_force = facts.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=at), starts_at__lte=at).first()
    following = facts.filter(starts_at__gt=at).order_by("starts_at").first()
    ends_at = following.starts_at if following else None
    if in_force is None:
        return ends_at
    ends_at = in_force.ends_at
    if in_force.starts_at == at:
        in_force.delete()
    else:
        in_force.ends_at = at
        in_force.save(update_fields=["ends_at"])
    return ends_at
