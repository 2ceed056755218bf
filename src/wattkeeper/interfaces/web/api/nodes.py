"""Energy by site, area, feeder and customer; the groups that it is added up by."""

from datetime import date, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from wattkeeper.actions.virtual.nodes import add_node, edit_node, set_belonging
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.virtual.models import Node
from wattkeeper.data.virtual.nodes import Sort, key_of, node_of_key, number_of
from wattkeeper.interfaces.reads.aggregation import Question, add_up
from wattkeeper.interfaces.reads.node_rows import is_of_tenant, part_rows, period_rows, total_row
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made
from wattkeeper.interfaces.web.api.virtual_schemas import (
    BelongingIn,
    GroupEdit,
    GroupIn,
    GroupOut,
    NodeSumsOut,
)
from wattkeeper.interfaces.web.services import get_services, require_store

router = Router(tags=["energy"])


@router.get("/energy", response=NodeSumsOut)
def get_sums(
    request: HttpRequest,
    first_date: date,
    end_date: date,
    tree: str = "site",
    node: str = "tenant",
    grain: str = "day",
    kind: Annotated[list[str], Query()] = ["CUSTOMER"],  # noqa: B006
    quantity: str = "energy_import",
    as_of: datetime | None = None,
) -> Any:
    """Add up a node and its direct parts over local dates, the last one excluded, as known now or `as_of`.

    `tree`: site, area, feeder, customer, or entry: by site without what another point feeds; `grain`: hour,
    day or month; `kind`: of usage points, repeatable. Sums of a reactive `quantity` are millivar-hours.
    """
    actor, services = actor_of(request), get_services()
    number = node_of_key(node)
    if not is_of_tenant(actor.tenant_id, number):
        raise WattkeeperError("registry.not-found", kind="node", id=node)
    question = Question(tree, number, grain, first_date, end_date, tuple(kind), quantity)
    sums = add_up(
        require_store(services),
        tenant_id=actor.tenant_id,
        question=question,
        now=services.now(),
        as_of=as_of,
    )
    return {
        "tree": tree,
        "node": node,
        "total": total_row(sums),
        "periods": period_rows(sums),
        "parts": part_rows(actor.tenant_id, sums),
    }


@router.get("/groups", response=list[GroupOut])
def list_groups(request: HttpRequest) -> Any:
    """List areas, feeders and customers."""
    rows = Node.objects.filter(tenant_id=actor_of(request).tenant_id).order_by("kind", "code")
    return [
        {
            "id": row.id,
            "key": key_of(number_of(Sort.GROUP, row.id)),
            "kind": row.kind,
            "code": row.code,
            "name": row.name,
        }
        for row in rows
    ]


@router.post("/groups", response=Made)
def add(request: HttpRequest, payload: GroupIn) -> Any:
    """Add a group."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_node(actor=actor, now=now, **payload.dict())})


@router.patch("/groups/{int:group_id}", response={204: None})
def edit(request: HttpRequest, group_id: int, payload: GroupEdit) -> Any:
    """Change fields of a group."""
    changes = payload.dict(exclude_unset=True)
    edit_node(actor=actor_of(request), now=get_services().now(), node_id=group_id, **changes)
    return Status(204, None)


@router.post("/groups/belongings", response={204: None})
def belong(request: HttpRequest, payload: BelongingIn) -> Any:
    """Say what belongs to which group from an instant on."""
    set_belonging(actor=actor_of(request), now=get_services().now(), **payload.dict())
    return Status(204, None)
