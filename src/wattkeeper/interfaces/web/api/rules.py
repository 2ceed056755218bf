"""Rule sets, groups of series, and which group is judged by what from which day on."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from wattkeeper.actions.vee.add_rule_set import add_rule_set
from wattkeeper.actions.vee.assign_rule_set import assign_rule_set, withdraw_assignment
from wattkeeper.actions.vee.groups import add_group, put_in_group
from wattkeeper.data.vee import queries
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.schemas import Made
from wattkeeper.interfaces.web.api.vee_schemas import (
    AssignmentIn,
    AssignmentOut,
    ChangedOut,
    GroupIn,
    GroupOut,
    MembersIn,
    RuleSetIn,
    RuleSetOut,
)
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["rules"])


@router.get("/rule-sets", response=list[RuleSetOut])
def list_rule_sets(request: HttpRequest) -> Any:
    """List rule sets, newest first."""
    return queries.list_rule_sets(tenant_id=actor_of(request).tenant_id)


@router.get("/rule-sets/{int:rule_set_id}", response=RuleSetOut)
def get_rule_set(request: HttpRequest, rule_set_id: int) -> Any:
    """Get a rule set."""
    rows = queries.list_rule_sets(tenant_id=actor_of(request).tenant_id, rule_set_id=rule_set_id)
    return found(rows[0] if rows else None, "rule-set", rule_set_id)


@router.post("/rule-sets", response=Made)
def add_one(request: HttpRequest, payload: RuleSetIn) -> Any:
    """Add a rule set; it never changes afterwards."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_rule_set(actor=actor, now=now, document=payload.document)})


@router.get("/series-groups", response=list[GroupOut])
def list_groups(request: HttpRequest) -> Any:
    """List groups of series."""
    return queries.list_groups(tenant_id=actor_of(request).tenant_id)


@router.post("/series-groups", response=Made)
def add_empty_group(request: HttpRequest, payload: GroupIn) -> Any:
    """Add an empty group."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": add_group(actor=actor, now=now, **payload.dict())})


@router.post("/series-groups/{int:series_group_id}/members", response=ChangedOut)
def put_members(request: HttpRequest, series_group_id: int, payload: MembersIn) -> Any:
    """Move series into a group; what is judged otherwise by that is derived again."""
    return {"series_count": _put(request, payload, series_group_id)}


@router.post("/series-groups/none/members", response=ChangedOut)
def take_members(request: HttpRequest, payload: MembersIn) -> Any:
    """Take series out of their groups."""
    return {"series_count": _put(request, payload, None)}


@router.get("/rule-assignments", response=list[AssignmentOut])
def list_assignments(request: HttpRequest, with_withdrawn: bool = False) -> Any:
    """List which group is judged by what from which local day on."""
    return queries.list_assignments(tenant_id=actor_of(request).tenant_id, with_withdrawn=with_withdrawn)


@router.post("/rule-assignments", response=Made)
def assign(request: HttpRequest, payload: AssignmentIn) -> Any:
    """Judge a group by a rule set from a local day on, until its next assignment."""
    actor, now = actor_of(request), get_services().now()
    return once(request, actor, lambda: {"id": assign_rule_set(actor=actor, now=now, **payload.dict())})


@router.delete("/rule-assignments/{int:assignment_id}", response=ChangedOut)
def withdraw(request: HttpRequest, assignment_id: int) -> Any:
    """Take an assignment back."""
    actor, now = actor_of(request), get_services().now()
    return {"series_count": withdraw_assignment(actor=actor, now=now, assignment_id=assignment_id)}


def _put(request: HttpRequest, payload: MembersIn, group_id: int | None) -> int:
    actor, now = actor_of(request), get_services().now()
    return put_in_group(actor=actor, now=now, series_ids=payload.series_ids, group_id=group_id)
