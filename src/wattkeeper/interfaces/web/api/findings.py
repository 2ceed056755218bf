"""Findings."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from wattkeeper.actions.findings.close_finding import close_finding
from wattkeeper.actions.findings.close_findings import close_findings
from wattkeeper.actions.findings.comment_finding import comment_finding
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms import groups, queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import CommentIn, CommentOut, FindingOut, FindingPage, Made, Paging
from wattkeeper.interfaces.web.api.work_schemas import Closed, CloseGroupsIn, FindingGroupPage
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["findings"])
ONE = "/findings/{int:finding_id}"
ALL_STATES = "ALL"


@router.get("/findings", response=FindingPage)
def list_some(
    request: HttpRequest,
    paging: Query[Paging],
    state: str = "OPEN",
    rule: str | None = None,
    meter_id: int | None = None,
    usage_point_id: int | None = None,
    site_id: int | None = None,
    as_of: datetime | None = None,
) -> Any:
    """List findings: OPEN, CLOSED or ALL; as they stand now or stood `as_of`."""
    return queries.list_findings(
        tenant_id=actor_of(request).tenant_id,
        state=None if state == ALL_STATES else state,
        rule=rule,
        meter_id=meter_id,
        usage_point_id=usage_point_id,
        site_id=site_id,
        as_of=as_of,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.get("/findings/groups", response=FindingGroupPage)
def list_groups(
    request: HttpRequest,
    paging: Query[Paging],
    state: str = "OPEN",
    rule: str | None = None,
    meter_id: int | None = None,
    site_id: int | None = None,
    search: str = "",
    as_of: datetime | None = None,
) -> Any:
    """List findings, those of one rule at one meter together: OPEN, CLOSED or ALL; now or `as_of`."""
    page = groups.list_finding_groups(
        tenant_id=actor_of(request).tenant_id,
        state=None if state == ALL_STATES else state,
        rule=rule,
        meter_id=meter_id,
        site_id=site_id,
        search=search,
        as_of=as_of,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )
    return {"items": [_group(row) for row in page.items], "total_count": page.total_count}


@router.post("/findings/close", response=Closed)
def close_groups(request: HttpRequest, payload: CloseGroupsIn) -> Any:
    """Close the open findings of whole groups with a word on why."""
    count = close_findings(
        actor=actor_of(request),
        now=get_services().now(),
        keys=[_key(text) for text in payload.keys],
        up_to_id=payload.up_to_id,
        comment=payload.text,
    )
    return {"closed_count": count}


@router.get(ONE, response=FindingOut)
def get(request: HttpRequest, finding_id: int, as_of: datetime | None = None) -> Any:
    """Get a finding with its evidence, as it stands now or stood `as_of`."""
    row = queries.get_finding(tenant_id=actor_of(request).tenant_id, finding_id=finding_id, as_of=as_of)
    return found(row, "finding", finding_id)


@router.get(ONE + "/comments", response=list[CommentOut])
def list_comments(request: HttpRequest, finding_id: int) -> Any:
    """List what was said about a finding."""
    tenant_id = actor_of(request).tenant_id
    found(queries.get_finding(tenant_id=tenant_id, finding_id=finding_id), "finding", finding_id)
    return queries.list_comments(tenant_id=tenant_id, finding_id=finding_id)


@router.post(ONE + "/comments", response=Made)
def comment(request: HttpRequest, finding_id: int, payload: CommentIn) -> Any:
    """Comment on a finding."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {"id": comment_finding(actor=actor, now=now, finding_id=finding_id, text=payload.text)},
    )


@router.post(ONE + "/close", response={204: None})
def close(request: HttpRequest, finding_id: int, payload: CommentIn) -> Any:
    """Close a finding with a word on why."""
    close_finding(
        actor=actor_of(request), now=get_services().now(), finding_id=finding_id, comment=payload.text
    )
    return Status(204, None)


def _group(row: groups.FindingGroup) -> dict[str, Any]:
    key = row.key
    return {
        **{name: getattr(row, name) for name in _SAME},
        "key": str(key),
        "rule": key.rule,
        "meter_id": key.meter_id,
        "usage_point_id": key.usage_point_id,
    }


_SAME = (
    "meter_serial_number",
    "usage_point_code",
    "findings_count",
    "open_count",
    "first_at",
    "last_at",
    "newest_id",
)


def _key(text: str) -> groups.GroupKey:
    key = groups.GroupKey.parse(text)
    if key is None:
        raise WattkeeperError("findings.group-unknown", key=text)
    return key
