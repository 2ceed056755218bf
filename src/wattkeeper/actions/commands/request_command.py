"""Ask for a supply to be switched off, or armed for switching on."""

from datetime import datetime, timedelta

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.commands.facts import command_fact, read_facts
from wattkeeper.actions.commands.steps import go_to
from wattkeeper.actions.records import own
from wattkeeper.core.commands.authorize import UnableToAuthorize, authorize
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.commands.models import Command
from wattkeeper.data.registry.models import Meter

VALID_S_MAX = 24 * 3600
_SAME = ("meter_id", "kind", "reason", "requested_by_id")


@audited("commands.request")
def request_command(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    meter_id: int,
    kind: str,
    reason: str,
    idempotency_key: str,
    valid_s: int = 600,
) -> int:
    """
    Write down a command and decide whether it may go; return its id.

    A command that may not go is kept as REFUSED with the reason's code. The same key with the same content is
    the same command, with other content an error.

    :raises WattkeeperError: ``registry.not-found``, ``commands.reason-missing``, ``commands.key-reused``,
        ``commands.validity``, ``commands.unknown-kind``, ``commands.needs-a-person``
    """
    meter = own(Meter, meter_id, actor=actor)
    person_id = _check(actor, kind=kind, reason=reason, valid_s=valid_s)
    command = Command(
        tenant_id=actor.tenant_id,
        meter=meter,
        kind=kind,
        reason=reason.strip(),
        state=State.REQUESTED.value,
        idempotency_key=idempotency_key,
        requested_by_id=person_id,
        requested_at=now,
        valid_until=now + timedelta(seconds=valid_s),
    )
    earlier = Command.objects.filter(tenant_id=actor.tenant_id, idempotency_key=idempotency_key).first()
    if earlier is not None:
        if any(getattr(earlier, name) != getattr(command, name) for name in _SAME):
            raise WattkeeperError("commands.key-reused", key=idempotency_key)
        entry.subject = f"command:{earlier.id}"
        return earlier.id
    command.save()
    entry.subject = f"command:{command.id}"
    _decide(command, now=now)
    entry.detail = {
        "meter_id": meter.id,
        "kind": kind,
        "reason": command.reason,
        "state": command.state,
        "refusal_code": command.refusal_code,
    }
    return command.id


def _check(actor: Actor, *, kind: str, reason: str, valid_s: int) -> int:
    if actor.user_id is None:
        raise WattkeeperError("commands.needs-a-person")
    if kind not in {known.value for known in Kind}:
        raise WattkeeperError("commands.unknown-kind", kind=kind)
    if not reason.strip():
        raise WattkeeperError("commands.reason-missing")
    if not 0 < valid_s <= VALID_S_MAX:
        raise WattkeeperError("commands.validity", most_s=VALID_S_MAX)
    return actor.user_id


def _decide(command: Command, *, now: datetime) -> None:
    try:
        authorize(command=command_fact(command), facts=read_facts(command, now=now), now=now)
    except UnableToAuthorize as error:
        command.refusal_code = error.code
        state = State.QUARANTINED if error.quarantines else State.REFUSED
        go_to(command, state, now=now, detail=error.params)
    else:
        go_to(command, State.APPROVED, now=now)
