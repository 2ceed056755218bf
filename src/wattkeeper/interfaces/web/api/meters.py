"""Meters: list, add, edit, copy, retire, delete; install, remove, exchange."""

from fractions import Fraction
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from wattkeeper.actions.registry.add_meter import add_meter
from wattkeeper.actions.registry.channels import ChannelSpec
from wattkeeper.actions.registry.copy_meter import copy_meter
from wattkeeper.actions.registry.delete_meter import delete_meter
from wattkeeper.actions.registry.edit_meter import edit_meter
from wattkeeper.actions.registry.exchange_meter import exchange_meter
from wattkeeper.actions.registry.install_meter import install_meter
from wattkeeper.actions.registry.note_read import note_read
from wattkeeper.actions.registry.remove_meter import remove_meter
from wattkeeper.actions.registry.retire_meter import retire_meter
from wattkeeper.actions.vee.decide_withdrawal import approve_withdrawal, reject_withdrawal
from wattkeeper.actions.vee.withdraw_read import withdraw_read
from wattkeeper.data.registry import meters as queries
from wattkeeper.data.vee.noted_reads import list_noted
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.idempotency import once
from wattkeeper.interfaces.web.api.meter_schemas import (
    AtIn,
    ExchangeIn,
    InstallIn,
    MeterCopyIn,
    MeterDetailOut,
    MeterEdit,
    MeterIn,
    MeterPage,
    MeterQuery,
    NotedOut,
    ReadIn,
    RemoveIn,
    WithdrawReadIn,
)
from wattkeeper.interfaces.web.api.schemas import Made, Paging
from wattkeeper.interfaces.web.api.vee_schemas import NoteIn
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["meters"])
ONE = "/meters/{int:meter_id}"


@router.get("/meters", response=MeterPage)
def list_some(request: HttpRequest, query: Query[MeterQuery], paging: Query[Paging]) -> Any:
    """List meters: search, filter, sort, page."""
    wanted = query.dict()
    sort = wanted.pop("sort")
    return queries.list_meters(
        tenant_id=actor_of(request).tenant_id,
        now=get_services().now(),
        only=queries.MeterFilter(**wanted),
        sort=sort,
        offset_index=paging.offset,
        limit_count=paging.limit,
    )


@router.post("/meters", response=Made)
def add(request: HttpRequest, payload: MeterIn) -> Any:
    """Add a meter to the stock of a site."""
    actor, services = actor_of(request), get_services()
    fields = payload.dict()
    keys, channels = fields.pop("keys"), fields.pop("channels")

    def act() -> dict[str, Any]:
        meter_id = add_meter(
            actor=actor,
            now=services.now(),
            services=services,
            keys=_secrets(keys),
            channels=None if channels is None else [_spec(channel) for channel in channels],
            **fields,
        )
        return {"id": meter_id}

    return once(request, actor, act)


@router.get(ONE, response=MeterDetailOut)
def get(request: HttpRequest, meter_id: int) -> Any:
    """Get a meter with its channels and installations."""
    detail = queries.get_meter(
        tenant_id=actor_of(request).tenant_id, meter_id=meter_id, now=get_services().now()
    )
    return found(detail, "meter", meter_id)


@router.patch(ONE, response={204: None})
def edit(request: HttpRequest, meter_id: int, payload: MeterEdit) -> Any:
    """Change fields of a meter; replace keys."""
    services = get_services()
    changes = payload.dict(exclude_unset=True)
    keys = _secrets(changes.pop("keys", None))
    edit_meter(
        actor=actor_of(request),
        now=services.now(),
        services=services,
        meter_id=meter_id,
        keys=keys,
        **changes,
    )
    return Status(204, None)


@router.delete(ONE, response={204: None})
def delete(request: HttpRequest, meter_id: int) -> Any:
    """Delete a meter that was never read; any other is retired."""
    delete_meter(actor=actor_of(request), now=get_services().now(), meter_id=meter_id)
    return Status(204, None)


@router.post(ONE + "/copy", response=Made)
def copy(request: HttpRequest, meter_id: int, payload: MeterCopyIn) -> Any:
    """Copy a meter without its keys and installations."""
    actor, now = actor_of(request), get_services().now()
    return once(
        request,
        actor,
        lambda: {"id": copy_meter(actor=actor, now=now, meter_id=meter_id, **payload.dict())},
    )


@router.post(ONE + "/retire", response={204: None})
def retire(request: HttpRequest, meter_id: int, payload: AtIn) -> Any:
    """Retire a meter; its readings stay."""
    retire_meter(actor=actor_of(request), now=get_services().now(), meter_id=meter_id, at=payload.at)
    return Status(204, None)


@router.post(ONE + "/install", response=Made)
def install(request: HttpRequest, meter_id: int, payload: InstallIn) -> Any:
    """Install a meter at a usage point."""
    actor, services = actor_of(request), get_services()

    def act() -> dict[str, Any]:
        installation_id = install_meter(
            actor=actor, now=services.now(), services=services, meter_id=meter_id, **payload.dict()
        )
        return {"id": installation_id}

    return once(request, actor, act)


@router.post(ONE + "/remove", response={204: None})
def remove(request: HttpRequest, meter_id: int, payload: RemoveIn) -> Any:
    """Remove a meter from its usage point."""
    services = get_services()
    remove_meter(
        actor=actor_of(request), now=services.now(), services=services, meter_id=meter_id, **payload.dict()
    )
    return Status(204, None)


@router.post(ONE + "/exchange", response=Made)
def exchange(request: HttpRequest, meter_id: int, payload: ExchangeIn) -> Any:
    """Exchange a meter for another."""
    actor, services = actor_of(request), get_services()

    def act() -> dict[str, Any]:
        installation_id = exchange_meter(
            actor=actor, now=services.now(), services=services, meter_id=meter_id, **payload.dict()
        )
        return {"id": installation_id}

    return once(request, actor, act)


@router.post(ONE + "/reads", response={204: None})
def note(request: HttpRequest, meter_id: int, payload: ReadIn) -> Any:
    """Note what a register showed; noted again for the same instant, it corrects what was noted before."""
    services = get_services()
    note_read(
        actor=actor_of(request), now=services.now(), services=services, meter_id=meter_id, **payload.dict()
    )
    return Status(204, None)


@router.get(ONE + "/reads", response=list[NotedOut])
def list_reads(request: HttpRequest, meter_id: int) -> Any:
    """List what was noted of a meter's registers, newest first, and what was withdrawn."""
    own = {"tenant_id": actor_of(request).tenant_id, "meter_id": meter_id}
    found(queries.get_meter(**own, now=get_services().now()), "meter", meter_id)
    return list_noted(**own)


@router.post(ONE + "/reads/withdraw", response=Made)
def withdraw(request: HttpRequest, meter_id: int, payload: WithdrawReadIn) -> Any:
    """Withdraw a noted reading; from the tenant's threshold on it waits for a second person."""
    actor, services = actor_of(request), get_services()

    def act() -> dict[str, Any]:
        withdrawal_id = withdraw_read(
            actor=actor, now=services.now(), services=services, meter_id=meter_id, **payload.dict()
        )
        return {"id": withdrawal_id}

    return once(request, actor, act)


@router.post("/read-withdrawals/{int:withdrawal_id}/approve", response={204: None})
def approve_its_withdrawal(request: HttpRequest, withdrawal_id: int) -> Any:
    """Approve somebody else's withdrawal of a noted reading."""
    services = get_services()
    approve_withdrawal(
        actor=actor_of(request), now=services.now(), services=services, withdrawal_id=withdrawal_id
    )
    return Status(204, None)


@router.post("/read-withdrawals/{int:withdrawal_id}/reject", response={204: None})
def reject_its_withdrawal(request: HttpRequest, withdrawal_id: int, payload: NoteIn) -> Any:
    """Reject somebody else's withdrawal of a noted reading, and say why."""
    now = get_services().now()
    reject_withdrawal(actor=actor_of(request), now=now, withdrawal_id=withdrawal_id, note=payload.note)
    return Status(204, None)


def _secrets(keys: dict[str, str] | None) -> dict[str, bytes] | None:
    return None if keys is None else {name: bytes.fromhex(secret) for name, secret in keys.items()}


def _spec(channel: dict[str, Any]) -> ChannelSpec:
    return ChannelSpec(**{**channel, "step": Fraction(channel["step"])})
