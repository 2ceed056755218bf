"""Usage points, their multipliers, topology and contracts."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from wattkeeper.actions.registry.add_usage_point import add_usage_point
from wattkeeper.actions.registry.change_multiplier import change_multiplier
from wattkeeper.actions.registry.copy_usage_point import copy_usage_point
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.registry.erase_customer import erase_customer
from wattkeeper.actions.registry.retire_usage_point import retire_usage_point
from wattkeeper.actions.registry.set_topology import set_topology
from wattkeeper.actions.tariffs.end_contract import end_contract
from wattkeeper.actions.tariffs.reopen_contract import reopen_contract
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.actions.tariffs.withdraw_contract import withdraw_contract
from wattkeeper.data.billing.queries import list_contracts
from wattkeeper.data.registry import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.meter_schemas import AtIn
from wattkeeper.interfaces.web.api.schemas import (
    ContractIn,
    ContractOut,
    CopyIn,
    Made,
    MultiplierIn,
    Paging,
    ReopenIn,
    TopologyIn,
    UsagePointDetailOut,
    UsagePointEdit,
    UsagePointIn,
    UsagePointPage,
    WithdrawIn,
)
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["usage points"])
ONE = "/usage-points/{int:usage_point_id}"


@router.get("/usage-points", response=UsagePointPage)
def list_some(
    request: HttpRequest,
    paging: Query[Paging],
    search: str = "",
    site_id: int | None = None,
    with_retired: bool = False,
) -> Any:
    """List usage points."""
    return queries.list_usage_points(
        tenant_id=actor_of(request).tenant_id,
        now=get_services().now(),
        search=search,
        site_id=site_id,
        with_retired=with_retired,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.post("/usage-points", response=Made)
def add(request: HttpRequest, payload: UsagePointIn) -> Any:
    """Add a usage point."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_usage_point(actor=actor, now=now, **payload.dict())})


@router.get(ONE, response=UsagePointDetailOut)
def get(request: HttpRequest, usage_point_id: int) -> Any:
    """Get a usage point."""
    detail = queries.get_usage_point(
        tenant_id=actor_of(request).tenant_id, usage_point_id=usage_point_id, now=get_services().now()
    )
    return found(detail, "usagepoint", usage_point_id)


@router.patch(ONE, response={204: None})
def edit(request: HttpRequest, usage_point_id: int, payload: UsagePointEdit) -> Any:
    """Change fields of a usage point."""
    edit_usage_point(
        actor=actor_of(request),
        now=get_services().now(),
        usage_point_id=usage_point_id,
        **payload.dict(exclude_unset=True),
    )
    return Status(204, None)


@router.post(ONE + "/copy", response=Made)
def copy(request: HttpRequest, usage_point_id: int, payload: CopyIn) -> Any:
    """Copy a usage point without its customer and meter."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {
            "id": copy_usage_point(actor=actor, now=now, usage_point_id=usage_point_id, **payload.dict())
        },
    )


@router.post(ONE + "/retire", response={204: None})
def retire(request: HttpRequest, usage_point_id: int) -> Any:
    """Retire a usage point."""
    retire_usage_point(actor=actor_of(request), now=get_services().now(), usage_point_id=usage_point_id)
    return Status(204, None)


@router.post(ONE + "/multipliers", response=Made)
def multiply(request: HttpRequest, usage_point_id: int, payload: MultiplierIn) -> Any:
    """Change the multiplier from an instant on, back-dated if need be."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {
            "id": change_multiplier(actor=actor, now=now, usage_point_id=usage_point_id, **payload.dict())
        },
    )


@router.post(ONE + "/topology", response={204: None})
def feed(request: HttpRequest, usage_point_id: int, payload: TopologyIn) -> Any:
    """Say through which usage point this one is fed."""
    set_topology(actor=actor_of(request), now=get_services().now(), child_id=usage_point_id, **payload.dict())
    return Status(204, None)


@router.get(ONE + "/contracts", response=list[ContractOut])
def list_its_contracts(request: HttpRequest, usage_point_id: int) -> Any:
    """List by which tariffs this usage point is billed, in order of time."""
    tenant_id = actor_of(request).tenant_id
    detail = queries.get_usage_point(
        tenant_id=tenant_id, usage_point_id=usage_point_id, now=get_services().now()
    )
    found(detail, "usagepoint", usage_point_id)
    return list_contracts(tenant_id=tenant_id, usage_point_ids=[usage_point_id])


@router.post(ONE + "/contracts", response=Made)
def contract(request: HttpRequest, usage_point_id: int, payload: ContractIn) -> Any:
    """Say by which tariff this usage point is billed."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {"id": set_contract(actor=actor, now=now, usage_point_id=usage_point_id, **payload.dict())},
    )


@router.post(ONE + "/erase-customer", response={204: None})
def erase(request: HttpRequest, usage_point_id: int) -> Any:
    """Erase the customer's name and contacts, and what was said of the findings here."""
    erase_customer(actor=actor_of(request), now=get_services().now(), usage_point_id=usage_point_id)
    return Status(204, None)


@router.post(ONE + "/end-contract", response={204: None})
def end_its_contract(request: HttpRequest, usage_point_id: int, payload: AtIn) -> Any:
    """End the contract of this usage point: from `at` on nobody is billed for it."""
    actor, now = actor_of(request), get_services().now()
    end_contract(actor=actor, now=now, usage_point_id=usage_point_id, at=payload.at)
    return Status(204, None)


@router.post(ONE + "/reopen-contract", response={204: None})
def reopen_its_contract(request: HttpRequest, usage_point_id: int, payload: ReopenIn) -> Any:
    """Let the contract of this usage point that ended go on."""
    actor, now = actor_of(request), get_services().now()
    reopen_contract(actor=actor, now=now, usage_point_id=usage_point_id, until=payload.until)
    return Status(204, None)


@router.post(ONE + "/withdraw-contract", response={204: None})
def withdraw_its_contract(request: HttpRequest, usage_point_id: int, payload: WithdrawIn) -> Any:
    """Take away a contract of this usage point that nothing was billed under."""
    actor, now = actor_of(request), get_services().now()
    withdraw_contract(actor=actor, now=now, usage_point_id=usage_point_id, **payload.dict())
    return Status(204, None)
