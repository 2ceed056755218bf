"""Let approved commands go: authorised once more, counted, and put into the outbox in one transaction."""

from datetime import datetime

from django.db import transaction

from wattkeeper.actions.commands.facts import command_fact, read_facts
from wattkeeper.actions.commands.steps import go_to
from wattkeeper.core.commands.authorize import AuthorizedCommand, UnableToAuthorize, authorize
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.chain import append_record
from wattkeeper.data.commands.models import Command

BATCH_MAX_COUNT = 64


def let_approved_go(*, now: datetime) -> int:
    """Put approved commands into the outbox, or stop them; return how many went.

    A disconnect over a cap holds every disconnect of its tenant that has not left yet. A command that fails
    waits until it expires; its error is raised when the others have gone.
    """
    waiting = Command.objects.filter(state=State.APPROVED.value).order_by("id").values_list("id", flat=True)
    count, failure = 0, None
    for command_id in list(waiting[:BATCH_MAX_COUNT]):
        try:
            count += _let_go(command_id, now=now)
        except Exception as error:  # noqa: BLE001
            failure = failure or error
    if failure is not None:
        raise failure
    return count


def _let_go(command_id: int, *, now: datetime) -> bool:
    with transaction.atomic():
        command = (
            Command.objects.select_for_update().select_related("meter", "requested_by").get(id=command_id)
        )
        if command.state != State.APPROVED.value:
            return False
        try:
            leave = authorize(command=command_fact(command), facts=read_facts(command, now=now), now=now)
        except UnableToAuthorize as error:
            _stop(command, error, now=now)
            return False
        except WattkeeperError as error:
            command.refusal_code = error.code
            go_to(command, State.REFUSED, now=now)
            return False
        _queue(command, leave, now=now)
        return True


def _queue(command: Command, leave: AuthorizedCommand, *, now: datetime) -> None:
    command.queued_at = now
    command.valid_until = leave.valid_until
    go_to(command, State.QUEUED, now=now)
    append_record(
        tenant_id=command.tenant_id,
        recorded_at=now,
        actor="system:worker",
        verb="commands.let-go",
        subject=f"command:{command.id}",
        detail={"kind": command.kind, "meter_id": command.meter_id, "valid_until": leave.valid_until},
    )


def _stop(command: Command, error: UnableToAuthorize, *, now: datetime) -> None:
    command.refusal_code = error.code
    if error.code == "commands.expired":
        go_to(command, State.EXPIRED, now=now, detail=error.params)
        return
    if not error.quarantines:
        go_to(command, State.REFUSED, now=now, detail=error.params)
        return
    pending = Command.objects.select_for_update().filter(
        tenant_id=command.tenant_id,
        kind=Kind.DISCONNECT.value,
        state__in=[State.APPROVED.value, State.QUEUED.value],
        taken_at__isnull=True,
    )
    for held in pending:
        held.refusal_code = error.code
        go_to(held, State.QUARANTINED, now=now, detail=error.params)
