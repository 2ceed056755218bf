"""How long readings stay: shown and set by administrators; what would go by it."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema

from wattkeeper.actions.operations.keep_retention import list_due
from wattkeeper.actions.operations.set_retention import set_retention
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.retention import own_rules
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.schemas import In
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["retention"])
NO_CONTENT = 204


class RetentionIn(In):
    """Months beside the running one: in the store, and until the files are destroyed; null: for good."""

    store_months_count: int | None
    file_months_count: int | None = None


class RetentionOut(Schema):
    """How long readings of a kind stay."""

    kind: str
    store_months_count: int | None
    file_months_count: int | None


class DueOut(Schema):
    """A month (yyyymm, UTC) of a table that is due; `step` is ``archive`` or ``destroy``.

    `held_by`: the code of what still needs it, empty where it goes; `held_at`: codes of own usage points
    where it is needed, the oldest first; `held_elsewhere`: other organisations need it.
    """

    month: int
    step: str
    kind: str
    table: str
    rows_count: int
    held_by: str
    held_at: list[str]
    held_elsewhere: bool


@router.get("/retention", response=list[RetentionOut])
def list_rules(request: HttpRequest) -> Any:
    """List how long frames, reads and values stay."""
    actor = actor_of(request)
    actor.require(Role.ADMINISTRATOR)
    return own_rules(actor.tenant_id)


@router.get("/retention/due", response=list[DueOut])
def list_due_months(request: HttpRequest) -> Any:
    """List which months would go, and what holds the others; nothing is changed."""
    actor = actor_of(request)
    actor.require(Role.ADMINISTRATOR)
    services = get_services()
    return list_due(services=services, now=services.now(), tenant_id=actor.tenant_id)


@router.put("/retention/{kind}", response={NO_CONTENT: None})
def put(request: HttpRequest, kind: str, payload: RetentionIn) -> Any:
    """Set how long readings of a kind (FRAMES, READS, VALUES) stay."""
    set_retention(actor=actor_of(request), now=get_services().now(), kind=kind, **payload.dict())
    return HttpResponse(status=NO_CONTENT)
