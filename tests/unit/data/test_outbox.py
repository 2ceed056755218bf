"""The outbox: what was taken and never left ends as such, and what may not leave any more does not."""

from datetime import datetime, timedelta

import pytest

from relational import NOW, People, Street
from wattkeeper.actions.commands.outbox import list_to_read_back, record_result, take
from wattkeeper.actions.commands.set_kill_switch import set_kill_switch
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.data.commands.models import Command

SOON = NOW + timedelta(minutes=10)


@pytest.fixture
def cut(ours: People, street: Street) -> Command:
    """A disconnect in the outbox."""
    return Command.objects.create(
        tenant_id=ours.tenant.id,
        meter_id=street.meter_id,
        kind="DISCONNECT",
        state="QUEUED",
        reason="unpaid",
        idempotency_key="cut",
        requested_by_id=ours.operator.user_id,
        requested_at=NOW,
        valid_until=SOON,
    )


def tell(command: Command, outcome: str, relay_state: RelayState | None = None, at: datetime = NOW) -> str:
    """Record an outcome and return the state that the command has come to."""
    record_result(command_id=command.id, outcome=outcome, at=at, relay_state=relay_state, detail_code=None)
    command.refresh_from_db()
    return command.state


def test_what_was_taken_and_never_left_expires(cut: Command) -> None:
    """Its head-end was killed before it could send, or could not write down that it does."""
    assert [command.id for command in take(now=NOW)] == [cut.id]
    assert list(take(now=SOON - timedelta(seconds=1))) == []
    assert list(take(now=SOON)) == []
    cut.refresh_from_db()
    assert cut.state == "EXPIRED"
    assert [step.to_state for step in cut.steps.all()] == ["EXPIRED"]
    with pytest.raises(WattkeeperError, match=r"commands\.transition-refused"):
        tell(cut, "SENT", at=SOON)


def test_what_left_never_expires(cut: Command) -> None:
    take(now=NOW)
    assert tell(cut, "SENT") == "SENT"
    assert list(take(now=SOON)) == []
    assert [command.id for command in list_to_read_back()] == [cut.id]
    assert tell(cut, "READ_BACK", RelayState.DISCONNECTED, at=SOON) == "VERIFIED"


def test_a_disconnect_that_was_taken_before_the_kill_switch_does_not_leave(
    cut: Command, ours: People
) -> None:
    take(now=NOW)
    set_kill_switch(actor=ours.operator, now=NOW, is_on=True)
    with pytest.raises(WattkeeperError, match=r"commands\.kill-switch"):
        tell(cut, "SENT")
    assert tell(cut, "NO_ANSWER") == "REFUSED"


def test_a_reconnect_leaves_whatever_the_kill_switch(cut: Command, ours: People) -> None:
    cut.kind = "RECONNECT"
    cut.save()
    set_kill_switch(actor=ours.operator, now=NOW, is_on=True)
    assert len(take(now=NOW)) == 1
    assert tell(cut, "SENT") == "SENT"
