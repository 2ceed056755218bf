"""Links."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from wattkeeper.actions.registry.add_link import add_link
from wattkeeper.actions.registry.copy_link import copy_link
from wattkeeper.actions.registry.edit_link import edit_link
from wattkeeper.actions.registry.retire_link import retire_link
from wattkeeper.data.collection import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import LinkCopyIn, LinkEdit, LinkIn, LinkOut, Made
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["links"])


@router.get("/links", response=list[LinkOut])
def list_all(request: HttpRequest, site_id: int | None = None) -> Any:
    """List links."""
    return queries.list_links(tenant_id=actor_of(request).tenant_id, site_id=site_id)


@router.post("/links", response=Made)
def add(request: HttpRequest, payload: LinkIn) -> Any:
    """Add a link."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_link(actor=actor, now=now, **payload.dict())})


@router.get("/links/{int:link_id}", response=LinkOut)
def get(request: HttpRequest, link_id: int) -> Any:
    """Get a link."""
    rows = queries.list_links(tenant_id=actor_of(request).tenant_id, link_id=link_id)
    return found(rows[0] if rows else None, "link", link_id)


@router.patch("/links/{int:link_id}", response={204: None})
def edit(request: HttpRequest, link_id: int, payload: LinkEdit) -> Any:
    """Change fields of a link."""
    changes = payload.dict(exclude_unset=True)
    edit_link(actor=actor_of(request), now=get_services().now(), link_id=link_id, **changes)
    return Status(204, None)


@router.post("/links/{int:link_id}/copy", response=Made)
def copy(request: HttpRequest, link_id: int, payload: LinkCopyIn) -> Any:
    """Copy a link without its meters."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {"id": copy_link(actor=actor, now=now, link_id=link_id, **payload.dict())},
    )


@router.post("/links/{int:link_id}/retire", response={204: None})
def retire(request: HttpRequest, link_id: int) -> Any:
    """Retire a link."""
    retire_link(actor=actor_of(request), now=get_services().now(), link_id=link_id)
    return Status(204, None)
