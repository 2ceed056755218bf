"""Manual edits: asked for, decided by a second person, withdrawn; and the versions of a value."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from wattkeeper.actions.vee.decide_edit import approve_edit, reject_edit, set_edit_threshold, withdraw_edit
from wattkeeper.actions.vee.edit_values import edit_values
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.vee import queries
from wattkeeper.interfaces.reads.intervals import get_series
from wattkeeper.interfaces.reads.versions import IntervalVersion, interval_history
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made, Paging
from wattkeeper.interfaces.web.api.vee_schemas import (
    EditIn,
    EditOut,
    EditPage,
    EditSettings,
    HistoryOut,
    NoteIn,
)
from wattkeeper.interfaces.web.services import get_services, require_store

router = Router(tags=["edits"])
NO_CONTENT = 204


@router.get("/edits", response=EditPage)
def list_some(
    request: HttpRequest, paging: Query[Paging], series_id: int | None = None, state: str | None = None
) -> Any:
    """List edits, newest first."""
    return queries.list_edits(
        tenant_id=actor_of(request).tenant_id,
        series_id=series_id,
        state=state,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.get("/edits/settings", response=EditSettings)
def get_settings(request: HttpRequest) -> Any:
    """Get from how much changed energy on an edit needs a second person."""
    return {"edit_approval_milliwh": queries.edit_approval_milliwh(actor_of(request).tenant_id)}


@router.put("/edits/settings", response={NO_CONTENT: None})
def put_settings(request: HttpRequest, payload: EditSettings) -> Any:
    """Set from how much changed energy on an edit needs a second person."""
    actor, now = actor_of(request), get_services().now()
    set_edit_threshold(actor=actor, now=now, milliwh=payload.edit_approval_milliwh)
    return HttpResponse(status=NO_CONTENT)


@router.get("/edits/{int:edit_id}", response=EditOut)
def get(request: HttpRequest, edit_id: int) -> Any:
    """Get an edit."""
    return found(queries.get_edit(tenant_id=actor_of(request).tenant_id, edit_id=edit_id), "edit", edit_id)


@router.post("/series/{int:series_id}/edits", response=Made)
def add(request: HttpRequest, series_id: int, payload: EditIn) -> Any:
    """Edit values; from the tenant's threshold on it waits for a second person."""
    actor, services = actor_of(request), get_services()
    return once(
        request,
        actor,
        lambda: {
            "id": edit_values(
                actor=actor, now=services.now(), services=services, series_id=series_id, **payload.dict()
            )
        },
    )


@router.post("/edits/{int:edit_id}/approve", response={NO_CONTENT: None})
def approve(request: HttpRequest, edit_id: int) -> Any:
    """Approve somebody else's edit."""
    approve_edit(actor=actor_of(request), now=get_services().now(), edit_id=edit_id)
    return HttpResponse(status=NO_CONTENT)


@router.post("/edits/{int:edit_id}/reject", response={NO_CONTENT: None})
def reject(request: HttpRequest, edit_id: int, payload: NoteIn) -> Any:
    """Reject somebody else's edit, and say why."""
    reject_edit(actor=actor_of(request), now=get_services().now(), edit_id=edit_id, note=payload.note)
    return HttpResponse(status=NO_CONTENT)


@router.post("/edits/{int:edit_id}/withdraw", response={NO_CONTENT: None})
def withdraw(request: HttpRequest, edit_id: int) -> Any:
    """Take an edit back."""
    withdraw_edit(actor=actor_of(request), now=get_services().now(), edit_id=edit_id)
    return HttpResponse(status=NO_CONTENT)


@router.get("/series/{int:series_id}/versions", response=HistoryOut)
def list_versions(request: HttpRequest, series_id: int, starts_at: datetime) -> Any:
    """List every version of the value of the interval that starts at an instant, newest first."""
    if starts_at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    tenant_id = actor_of(request).tenant_id
    series = found(get_series(tenant_id=tenant_id, series_id=series_id), "series", series_id)
    starts_at_s = int(starts_at.timestamp())
    history = interval_history(require_store(get_services()), series=series, starts_at_s=starts_at_s)
    return {
        "versions": [_version(version) for version in history.versions],
        "rules": history.rules,
        "edits": history.edits,
    }


def _version(version: IntervalVersion) -> dict[str, Any]:
    row = version.row
    return {
        "value_milliwh": None if row.is_missing else row.energy_milliwh,
        "interval_s": version.interval_s,
        "provenance": int(row.provenance),
        "flags": row.flags_code,
        "method": row.method,
        "run_id": row.run_id,
        "recorded_at": version.recorded_at,
        "known_from": version.known_from,
        "rule_set": version.rule_set,
        "code_version": version.code_version,
    }
