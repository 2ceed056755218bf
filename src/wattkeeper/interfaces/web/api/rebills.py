"""Rebill proposals: bills whose values changed, approved by reversal and new document, or rejected."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from wattkeeper.actions.billing.propose_rebills import approve_rebill, reject_rebill
from wattkeeper.data.billing.rebills import get_proposal, list_proposals
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Paging
from wattkeeper.interfaces.web.api.vee_schemas import (
    ApprovalIn,
    ProposalOut,
    ProposalPage,
    RebilledOut,
    RejectionIn,
)
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["bills"])
NO_CONTENT = 204


@router.get("/rebill-proposals", response=ProposalPage)
def list_some(
    request: HttpRequest, paging: Query[Paging], state: str | None = None, bill_id: int | None = None
) -> Any:
    """List proposals, newest first."""
    return list_proposals(
        tenant_id=actor_of(request).tenant_id,
        state=state,
        bill_id=bill_id,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.get("/rebill-proposals/{int:proposal_id}", response=ProposalOut)
def get(request: HttpRequest, proposal_id: int) -> Any:
    """Get a proposal."""
    row = get_proposal(tenant_id=actor_of(request).tenant_id, proposal_id=proposal_id)
    return found(row, "rebill-proposal", proposal_id)


@router.post("/rebill-proposals/{int:proposal_id}/approve", response=RebilledOut)
def approve(request: HttpRequest, proposal_id: int, payload: ApprovalIn) -> Any:
    """Reverse the bill and issue what replaces it; returns the new bills' ids."""
    actor, services = actor_of(request), get_services()

    def do() -> dict[str, Any]:
        ids = approve_rebill(
            actor=actor,
            now=services.now(),
            services=services,
            proposal_id=proposal_id,
            version=payload.version,
        )
        return {"id": ids[0] if ids else None, "ids": ids}

    return once(request, actor, do)


@router.post("/rebill-proposals/{int:proposal_id}/reject", response={NO_CONTENT: None})
def reject(request: HttpRequest, proposal_id: int, payload: RejectionIn) -> Any:
    """Let the bill stay as it is, and say why."""
    actor, now = actor_of(request), get_services().now()
    reject_rebill(actor=actor, now=now, proposal_id=proposal_id, version=payload.version, note=payload.note)
    return HttpResponse(status=NO_CONTENT)
