"""What the head-end takes from the outbox and what it brings back. A result is recorded once, in order."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from wattkeeper.actions.commands.steps import go_to
from wattkeeper.core.commands.read_back import judge_read_back
from wattkeeper.core.commands.states import Kind, State
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.data.alarms.queries import FindingDraft, close_gone, keep_events, keep_findings
from wattkeeper.data.audit.chain import append_record
from wattkeeper.data.collection.models import MAIN
from wattkeeper.data.commands.models import Command, KillSwitch
from wattkeeper.data.registry.models import Meter

TO_READ_BACK = (State.SENT, State.ACKED, State.UNKNOWN, State.ARMED)
_EVENTS = {
    RelayState.DISCONNECTED: "relay.disconnected",
    RelayState.CONNECTED: "relay.connected",
    RelayState.READY_FOR_RECONNECTION: "relay.ready",
}


def take(*, now: datetime, headend: str = MAIN) -> Sequence[Command]:
    """Return a head-end's queued commands that nobody took, each once; what is too late expires instead.

    While a tenant's kill switch is on its disconnects stay where they are. What was taken and is queued still
    never left: whoever took it ended before that, or could not write it down.
    """
    with transaction.atomic():
        due = Q(taken_at__isnull=True) | Q(valid_until__lte=now)
        queued = Command.objects.select_for_update().filter(due, state=State.QUEUED.value)
        stopped_ids = set(_stopped().values_list("tenant_id", flat=True))
        taken = []
        for command in _of_headend(queued, headend):
            if now >= command.valid_until:
                go_to(command, State.EXPIRED, now=now)
            elif command.kind != Kind.DISCONNECT.value or command.tenant_id not in stopped_ids:
                command.taken_at = now
                command.save(update_fields=["taken_at"])
                taken.append(command)
        return taken


def _stopped() -> QuerySet[KillSwitch]:
    return KillSwitch.objects.filter(is_on=True)


def list_to_read_back(*, headend: str = MAIN) -> Sequence[Command]:
    """Return a head-end's commands of which the relay is still to be read."""
    waiting = Command.objects.filter(state__in=[state.value for state in TO_READ_BACK])
    return list(_of_headend(waiting, headend))


def _of_headend(commands: QuerySet[Command], headend: str) -> QuerySet[Command]:
    """Return those for meters that the head-end reads; the main one answers for meters that nobody reads."""
    if headend == MAIN:
        elsewhere = Meter.objects.filter(link__isnull=False).exclude(link__headend=MAIN)
        return commands.exclude(meter_id__in=elsewhere.values("id"))
    return commands.filter(meter_id__in=Meter.objects.filter(link__headend=headend).values("id"))


def record_result(
    *,
    command_id: int,
    outcome: str,
    at: datetime,
    relay_state: RelayState | None,
    detail_code: str | None,
) -> None:
    """
    Keep what came of a command: SENT, ACKED, NO_ANSWER, REFUSED_BY_DEVICE, EXPIRED or READ_BACK.

    :raises WattkeeperError: ``commands.kill-switch`` if it may not leave any more: what can't be kept as SENT
        is not sent
    """
    with transaction.atomic():
        command = Command.objects.select_for_update().get(id=command_id)
        state = State(command.state)
        is_cut = outcome == "SENT" and command.kind == Kind.DISCONNECT.value
        if is_cut and _stopped().filter(tenant_id=command.tenant_id).exists():
            raise WattkeeperError("commands.kill-switch", is_permanent=False)
        following = _following(command, state, outcome, relay_state)
        if relay_state is not None:
            command.relay_state_code, command.read_back_at = int(relay_state), at
        if outcome == "SENT":
            command.sent_at = at
        if detail_code:
            command.refusal_code = detail_code
        command.save()
        for step in following:
            go_to(command, step, now=at, detail={"outcome": outcome, "code": detail_code or ""})
        if following:
            _tell(command, relay_state, at)


def _following(
    command: Command, state: State, outcome: str, relay_state: RelayState | None
) -> tuple[State, ...]:
    if outcome == "READ_BACK":
        return _after_read_back(command, state, relay_state)
    if outcome == "SENT":
        return (State.SENT,)
    if outcome == "ACKED":
        return (State.ACKED,)
    if outcome == "EXPIRED":
        return (State.EXPIRED,) if state is State.QUEUED else ()
    if state is State.QUEUED:  # it never left
        return (State.REFUSED,)
    return (State.UNKNOWN,) if state in (State.SENT, State.ACKED) else ()


def _after_read_back(command: Command, state: State, relay_state: RelayState | None) -> tuple[State, ...]:
    judged = judge_read_back(Kind(command.kind), relay_state)
    if state is State.ARMED and judged is State.ARMED:
        return ()
    if judged is State.UNKNOWN:
        return () if state is State.UNKNOWN else (State.UNKNOWN,)
    return (State.UNKNOWN, judged) if state is State.SENT else (judged,)


def _tell(command: Command, relay_state: RelayState | None, at: datetime) -> None:
    append_record(
        tenant_id=command.tenant_id,
        recorded_at=at,
        actor="system:headend",
        verb="commands.result",
        subject=f"command:{command.id}",
        detail={"state": command.state, "relay_state_code": command.relay_state_code},
    )
    subject_key = f"command:{command.id}"
    if command.state == State.UNKNOWN.value:
        draft = FindingDraft(
            command.tenant_id, "commands.unknown", subject_key, at, meter_id=command.meter_id
        )
        keep_findings([draft], now=at)
    else:
        close_gone(tenant_id=command.tenant_id, rule="commands.unknown", subject_key=subject_key, now=at)
    if relay_state is not None:
        event = (command.tenant_id, command.meter_id, _EVENTS[relay_state], at, {"command_id": command.id})
        keep_events([event])
