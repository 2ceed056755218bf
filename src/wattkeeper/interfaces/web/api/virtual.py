"""Virtual meters and their formulas."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from wattkeeper.actions.virtual.add_virtual_meter import add_virtual_meter
from wattkeeper.actions.virtual.set_formula import set_formula
from wattkeeper.data.registry.queries import get_site
from wattkeeper.interfaces.reads import virtual
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made
from wattkeeper.interfaces.web.api.virtual_schemas import (
    FormulaIn,
    FormulaOut,
    PreviewIn,
    PreviewOut,
    VirtualMeterIn,
    VirtualMeterOut,
)
from wattkeeper.interfaces.web.services import get_services, require_store

router = Router(tags=["virtual meters"])


@router.get("/virtual-meters", response=list[VirtualMeterOut])
def list_all(request: HttpRequest, search: str = "") -> Any:
    """List virtual meters with the formulas in force."""
    actor = actor_of(request)
    return virtual.list_virtual(tenant_id=actor.tenant_id, now=get_services().now(), search=search)


@router.post("/virtual-meters", response=Made)
def add(request: HttpRequest, payload: VirtualMeterIn) -> Any:
    """Add a virtual meter; its values are derived from the formula's first instant on."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_virtual_meter(actor=actor, now=now, **payload.dict())})


@router.post("/virtual-meters/preview", response=PreviewOut)
def preview(request: HttpRequest, payload: PreviewIn) -> Any:
    """Try a formula over the newest days; nothing is kept."""
    actor, services = actor_of(request), get_services()
    site = found(get_site(tenant_id=actor.tenant_id, site_id=payload.site_id), "site", payload.site_id)
    return virtual.preview_formula(
        require_store(services),
        tenant_id=actor.tenant_id,
        text=payload.formula,
        zone=site.time_zone,
        now=services.now(),
    )


@router.get("/virtual-meters/{int:virtual_meter_id}", response=VirtualMeterOut)
def get(request: HttpRequest, virtual_meter_id: int) -> Any:
    """Get a virtual meter."""
    return _own(request, virtual_meter_id)


@router.get("/virtual-meters/{int:virtual_meter_id}/formulas", response=list[FormulaOut])
def list_formulas(request: HttpRequest, virtual_meter_id: int) -> Any:
    """List a virtual meter's formulas, newest first."""
    _own(request, virtual_meter_id)
    return virtual.list_formulas(virtual_meter_id)


@router.post("/virtual-meters/{int:virtual_meter_id}/formulas", response={204: None})
def change_formula(request: HttpRequest, virtual_meter_id: int, payload: FormulaIn) -> Any:
    """Say what a virtual meter is made of from an instant on."""
    now = get_services().now()
    set_formula(actor=actor_of(request), now=now, usage_point_id=virtual_meter_id, **payload.dict())
    return Status(204, None)


def _own(request: HttpRequest, virtual_meter_id: int) -> virtual.VirtualRow:
    row = virtual.get_virtual(
        tenant_id=actor_of(request).tenant_id, usage_point_id=virtual_meter_id, now=get_services().now()
    )
    return found(row, "virtual-meter", virtual_meter_id)
