"""Services for actions, and the outbox between commands and the head-end."""

from collections.abc import Sequence
from datetime import datetime

from wattkeeper.actions.commands import outbox
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap.engines import data_folder, make_clock, open_store
from wattkeeper.bootstrap.measured import measured_by
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import MAIN
from wattkeeper.data.commands.models import Command
from wattkeeper.headend.ports import CommandKind, CommandResult, OutboxCommand
from wattkeeper.store.api import ReadingStore


def make_services() -> Services:
    """Return what actions need in this process; without a readings store where none is running."""
    now, store = make_clock().now, _store()
    measured = None if store is None else measured_by(store, now)
    return Services(now=now, data_folder=data_folder(), store=store, measured=measured)


def _store() -> ReadingStore | None:
    try:
        return open_store()
    except WattkeeperError:
        return None


class DataOutbox:
    """Commands that may leave to devices of one head-end, and what came of them."""

    def __init__(self, headend: str = MAIN) -> None:
        self._headend = headend

    def claim(self, now: datetime) -> Sequence[OutboxCommand]:
        """Return commands to send now; each is returned once."""
        return [_command(command) for command in outbox.take(now=now, headend=self._headend)]

    def pending_read_backs(self, now: datetime) -> Sequence[OutboxCommand]:  # noqa: ARG002
        """Return commands whose relay state is still to be read."""
        return [_command(command) for command in outbox.list_to_read_back(headend=self._headend)]

    def record(self, result: CommandResult) -> None:
        """Keep a result durably."""
        outbox.record_result(
            command_id=result.command_id,
            outcome=result.outcome,
            at=result.at,
            relay_state=result.relay_state,
            detail_code=result.detail_code,
        )


def _command(command: Command) -> OutboxCommand:
    return OutboxCommand(command.id, command.meter_id, CommandKind(command.kind), command.valid_until)
