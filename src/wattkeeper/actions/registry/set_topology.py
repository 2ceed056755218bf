"""Say through which usage point another is fed."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import check_instant, cut_at, own
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
    ends_at = cut_at(child.fed_by.all(), at)
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
