"""Tariffs."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.data.billing import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made, TariffOut, TariffVersionIn
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["tariffs"])


@router.get("/tariffs", response=list[TariffOut])
def list_all(request: HttpRequest) -> Any:
    """List tariffs with their versions."""
    return queries.list_tariffs(tenant_id=actor_of(request).tenant_id)


@router.get("/tariffs/{int:tariff_id}", response=TariffOut)
def get(request: HttpRequest, tariff_id: int) -> Any:
    """Get a tariff with its versions."""
    rows = queries.list_tariffs(tenant_id=actor_of(request).tenant_id, tariff_id=tariff_id)
    return found(rows[0] if rows else None, "tariff", tariff_id)


@router.post("/tariffs", response=Made)
def add(request: HttpRequest, payload: TariffVersionIn) -> Any:
    """Add a tariff, or the next version of one; returns the version's id."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_tariff_version(actor=actor, now=now, **payload.dict())})
