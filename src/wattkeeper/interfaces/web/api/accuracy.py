"""Standing comparisons of meters and their reports."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from wattkeeper.actions.virtual.accuracy_checks import add_accuracy_check, retire_accuracy_check
from wattkeeper.actions.virtual.judge_accuracy import judge_accuracy
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.virtual import accuracy
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made
from wattkeeper.interfaces.web.api.virtual_schemas import (
    AccuracyCheckIn,
    AccuracyCheckOut,
    AccuracyReportOut,
    JudgedOut,
)
from wattkeeper.interfaces.web.services import get_services, require_store

router = Router(tags=["accuracy"])


@router.get("/accuracy-checks", response=list[AccuracyCheckOut])
def list_all(request: HttpRequest, verdict: str | None = None) -> Any:
    """List comparisons with their newest reports; `verdict`: within, outside, undecided or no-load."""
    return accuracy.list_checks(tenant_id=actor_of(request).tenant_id, verdict=verdict)


@router.post("/accuracy-checks", response=Made)
def add(request: HttpRequest, payload: AccuracyCheckIn) -> Any:
    """Add a comparison."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_accuracy_check(actor=actor, now=now, **payload.dict())})


@router.get("/accuracy-checks/{int:check_id}", response=AccuracyCheckOut)
def get(request: HttpRequest, check_id: int) -> Any:
    """Get a comparison with its newest report."""
    return found(
        accuracy.get_check(tenant_id=actor_of(request).tenant_id, check_id=check_id),
        "accuracy-check",
        check_id,
    )


@router.get("/accuracy-checks/{int:check_id}/reports", response=list[AccuracyReportOut])
def list_reports(request: HttpRequest, check_id: int) -> Any:
    """List the reports of a comparison, newest first."""
    get(request, check_id)
    return accuracy.list_results(check_id)


@router.post("/accuracy-checks/{int:check_id}/judge", response=JudgedOut)
def judge(request: HttpRequest, check_id: int) -> Any:
    """Judge a comparison now, over its newest whole days."""
    actor, services = actor_of(request), get_services()
    actor.require(Role.OPERATOR)
    get(request, check_id)
    count = judge_accuracy(
        require_store(services), tenant_id=actor.tenant_id, now=services.now(), check_id=check_id
    )
    return {"judged_count": count}


@router.post("/accuracy-checks/{int:check_id}/retire", response={204: None})
def retire(request: HttpRequest, check_id: int) -> Any:
    """End a comparison; its reports stay."""
    retire_accuracy_check(actor=actor_of(request), now=get_services().now(), check_id=check_id)
    return Status(204, None)
