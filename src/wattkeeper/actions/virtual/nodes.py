"""Add groups of usage points, and say what belongs to them from an instant on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db.models import Model

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, check_instant, cut_at, own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.registry.topology import TopologyLink, check_topology
from wattkeeper.data.registry.models import Site, UsagePoint
from wattkeeper.data.virtual.models import AreaInArea, Node, PointOfCustomer, PointOnFeeder, SiteInArea

FIELDS = frozenset({"kind", "code", "name"})


class NodeFields(TypedDict, total=False):
    """A group's own fields."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Belonging:
    """Which rows say that parts of one kind belong to groups of another."""

    facts: Any  # a model of dated facts with `part` and `whole`
    part: type[Model]
    whole_kind: str


BELONGINGS = {
    "area": Belonging(AreaInArea, Node, Node.Kind.AREA),
    "site": Belonging(SiteInArea, Site, Node.Kind.AREA),
    "feeder-point": Belonging(PointOnFeeder, UsagePoint, Node.Kind.FEEDER),
    "customer-point": Belonging(PointOfCustomer, UsagePoint, Node.Kind.CUSTOMER),
}


@audited("virtual.add-node")
def add_node(entry: Entry, *, actor: Actor, now: datetime, kind: str, code: str, name: str) -> int:
    """
    Add an area, a feeder or a customer and return its id.

    :raises WattkeeperError: ``registry.taken``, ``registry.invalid-field``
    """
    node = Node(tenant_id=actor.tenant_id)
    entry.detail = change(node, {"kind": kind, "code": code, "name": name}, allowed=FIELDS)
    entry.subject = f"node:{node.id}"
    return node.id


@audited("virtual.edit-node")
def edit_node(
    entry: Entry, *, actor: Actor, now: datetime, node_id: int, **fields: Unpack[NodeFields]
) -> None:
    """
    Change the code or name of a group.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.unknown-field``
    """
    node = own(Node, node_id, actor=actor)
    entry.subject = f"node:{node.id}"
    entry.detail = change(node, fields, allowed=FIELDS - {"kind"})


@audited("virtual.set-belonging")
def set_belonging(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    belonging: str,
    part_id: int,
    whole_id: int | None,
    at: datetime,
) -> None:
    """
    From `at` until the next recorded change a part belongs to a group; None: to none.

    `belonging`: a key of `BELONGINGS`.

    :raises WattkeeperError: ``registry.not-found``, ``registry.in-future``, ``nodes.kind``,
        ``topology.cycle``
    """
    check_instant(at, now=now)
    kind = BELONGINGS.get(belonging)
    if kind is None:
        raise WattkeeperError("registry.not-found", kind="belonging", id=belonging)
    part = own(kind.part, part_id, actor=actor)
    entry.subject = f"{belonging}:{part_id}"
    entry.detail = {"whole_id": whole_id, "at": at}
    ends_at = cut_at(kind.facts._default_manager.filter(part=part), at)
    if whole_id is None:
        return
    whole = own(Node, whole_id, actor=actor)
    if whole.kind != kind.whole_kind or (isinstance(part, Node) and part.kind != Node.Kind.AREA):
        raise WattkeeperError("nodes.kind", node=whole.code, needed=str(kind.whole_kind))
    kind.facts._default_manager.create(
        tenant_id=actor.tenant_id, whole=whole, part=part, starts_at=at, ends_at=ends_at, recorded_at=now
    )
    if belonging == "area":
        _check_areas(actor.tenant_id)


def _check_areas(tenant_id: int) -> None:
    rows = AreaInArea.objects.filter(tenant_id=tenant_id)
    check_topology(
        TopologyLink(
            row.whole_id,
            row.part_id,
            int(row.starts_at.timestamp()),
            None if row.ends_at is None else int(row.ends_at.timestamp()),
        )
        for row in rows
    )
