"""Commands to meters: asked for, followed to their read-back; what stops them."""

import hashlib
from typing import Any

from django.http import HttpRequest
from django.utils import translation
from ninja import Query, Router, Status

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.commands.request_command import request_command
from wattkeeper.actions.commands.set_cut_policy import set_cut_policy
from wattkeeper.actions.commands.set_kill_switch import set_kill_switch
from wattkeeper.core.commands.states import IS_FINAL, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.data.commands import queries
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Meter
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import HEADER, KEY_MAX_COUNT
from wattkeeper.interfaces.web.api.schemas import Paging
from wattkeeper.interfaces.web.api.work_schemas import (
    CommandDetailOut,
    CommandIn,
    CommandPage,
    CutPolicyState,
    KillSwitchState,
)
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["commands"])


@router.post("/meters/{int:meter_id}/commands", response={202: CommandDetailOut})
def request(request: HttpRequest, meter_id: int, payload: CommandIn) -> Any:
    """Ask for a supply to be switched. Needs an Idempotency-Key: the same key is the same command.

    The answer is the command as it stands, REFUSED with its code where it may not go; follow it at
    ``/commands/{command_id}`` until `is_final`.
    """
    actor, now = actor_of(request), get_services().now()
    meter = Meter.objects.filter(tenant_id=actor.tenant_id, id=meter_id).first()
    found(meter, "meter", meter_id)
    command_id = request_command(
        actor=actor, now=now, meter_id=meter_id, idempotency_key=_key(request, actor), **payload.dict()
    )
    return Status(202, _detail(actor, command_id))


@router.get("/commands", response=CommandPage)
def list_some(
    request: HttpRequest,
    paging: Query[Paging],
    state: str | None = None,
    meter_id: int | None = None,
    search: str = "",
) -> Any:
    """List commands, newest first."""
    rows = queries.list_commands(
        tenant_id=actor_of(request).tenant_id, search=search, state=state, meter_id=meter_id
    )
    part = rows.prefetch_related("steps")[paging.offset : paging.offset + paging.limit]
    return {"items": [_plain(row) for row in part], "total_count": rows.count()}


@router.get("/commands/{int:command_id}", response=CommandDetailOut)
def get(request: HttpRequest, command_id: int) -> Any:
    """Get a command with its steps."""
    return _detail(actor_of(request), command_id)


@router.get("/kill-switch", response=KillSwitchState)
def get_kill_switch(request: HttpRequest) -> Any:
    """Say whether every disconnect is stopped."""
    return {"is_on": queries.is_stopped(tenant_id=actor_of(request).tenant_id)}


@router.put("/kill-switch", response={204: None})
def put_kill_switch(request: HttpRequest, payload: KillSwitchState) -> Any:
    """Stop every disconnect at once; only an administrator lets them go again."""
    set_kill_switch(actor=actor_of(request), now=get_services().now(), is_on=payload.is_on)
    return Status(204, None)


@router.get("/cut-policy", response=CutPolicyState)
def get_cut_policy(request: HttpRequest) -> Any:
    """Say when disconnects may leave."""
    return queries.get_cut_calendar(tenant_id=actor_of(request).tenant_id)


@router.put("/cut-policy", response={204: None})
def put_cut_policy(request: HttpRequest, payload: CutPolicyState) -> Any:
    """Set when disconnects may leave; for administrators."""
    set_cut_policy(actor=actor_of(request), now=get_services().now(), **payload.dict())
    return Status(204, None)


def _key(request: HttpRequest, actor: Actor) -> str:
    """Return the key of the request as commands keep it: each person's keys are their own."""
    given = request.headers.get(HEADER, "")
    if not given:
        raise WattkeeperError("requests.key-missing", header=HEADER)
    if len(given) > KEY_MAX_COUNT:
        raise WattkeeperError("requests.key-too-long", limit=KEY_MAX_COUNT)
    return f"api-{actor.user_id}-{hashlib.sha256(given.encode()).hexdigest()[:40]}"


def _detail(actor: Actor, command_id: int) -> dict[str, Any]:
    row = found(queries.get_command(tenant_id=actor.tenant_id, command_id=command_id), "command", command_id)
    return {**_plain(row), "steps": list(row.steps.order_by("id"))}


def _plain(row: Command) -> dict[str, Any]:
    relay_code = row.relay_state_code
    return {
        **{name: getattr(row, name) for name in _SAME},
        "command_id": row.id,
        "meter_serial_number": row.meter.serial_number,
        "is_final": State(row.state) in IS_FINAL,
        "refusal_message": _why_not(row),
        "requested_by": row.requested_by.username,
        "relay_state": None if relay_code is None else RelayState(relay_code).name,
    }


_SAME = (
    "meter_id",
    "kind",
    "reason",
    "state",
    "refusal_code",
    "requested_at",
    "valid_until",
    "queued_at",
    "sent_at",
    "read_back_at",
)


def _why_not(row: Command) -> str:
    if not row.refusal_code:
        return ""
    steps = sorted(row.steps.all(), key=lambda step: step.id)
    return sentence(row.refusal_code, steps[-1].detail if steps else {}, translation.get_language() or "en")
