"""Sites."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from wattkeeper.actions.registry.add_site import add_site
from wattkeeper.actions.registry.copy_site import copy_site
from wattkeeper.actions.registry.edit_site import edit_site
from wattkeeper.actions.registry.retire_site import retire_site
from wattkeeper.data.registry import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import CopyIn, Made, SiteEdit, SiteIn, SiteOut
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["sites"])


@router.get("/sites", response=list[SiteOut])
def list_all(request: HttpRequest, search: str = "", with_retired: bool = False) -> Any:
    """List sites."""
    actor = actor_of(request)
    return queries.list_sites(tenant_id=actor.tenant_id, search=search, with_retired=with_retired)


@router.post("/sites", response=Made)
def add(request: HttpRequest, payload: SiteIn) -> Any:
    """Add a site."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_site(actor=actor, now=now, **payload.dict())})


@router.get("/sites/{int:site_id}", response=SiteOut)
def get(request: HttpRequest, site_id: int) -> Any:
    """Get a site."""
    row = queries.get_site(tenant_id=actor_of(request).tenant_id, site_id=site_id)
    return found(row, "site", site_id)


@router.patch("/sites/{int:site_id}", response={204: None})
def edit(request: HttpRequest, site_id: int, payload: SiteEdit) -> Any:
    """Change fields of a site."""
    changes = payload.dict(exclude_unset=True)
    edit_site(actor=actor_of(request), now=get_services().now(), site_id=site_id, **changes)
    return Status(204, None)


@router.post("/sites/{int:site_id}/copy", response=Made)
def copy(request: HttpRequest, site_id: int, payload: CopyIn) -> Any:
    """Copy a site without its usage points."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {"id": copy_site(actor=actor, now=now, site_id=site_id, **payload.dict())},
    )


@router.post("/sites/{int:site_id}/retire", response={204: None})
def retire(request: HttpRequest, site_id: int) -> Any:
    """Retire a site."""
    retire_site(actor=actor_of(request), now=get_services().now(), site_id=site_id)
    return Status(204, None)
