"""Bills."""

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from wattkeeper.data.billing import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.schemas import BillDetailOut, BillPage, Paging

router = Router(tags=["bills"])


@router.get("/bills", response=BillPage)
def list_some(
    request: HttpRequest,
    paging: Query[Paging],
    usage_point_id: int | None = None,
    site_id: int | None = None,
    state: str | None = None,
    search: str = "",
) -> Any:
    """List bills."""
    return queries.list_bills(
        tenant_id=actor_of(request).tenant_id,
        usage_point_id=usage_point_id,
        site_id=site_id,
        state=state,
        search=search,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.get("/bills/{int:bill_id}", response=BillDetailOut)
def get(request: HttpRequest, bill_id: int) -> Any:
    """Get a bill with its lines."""
    detail = queries.get_bill(tenant_id=actor_of(request).tenant_id, bill_id=bill_id)
    return found(detail, "bill", bill_id)
