"""Changing a command's state: only as the table allows, each change a row that stays."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wattkeeper.core.commands.states import Kind, State, change_state
from wattkeeper.data.commands.models import Command, CommandStep


def go_to(command: Command, state: State, *, now: datetime, detail: Mapping[str, Any] | None = None) -> None:
    """Move the command to `state` and keep the step.

    :raises TransitionRefused: if the table has no such change
    """
    before = State(command.state)
    command.state = change_state(Kind(command.kind), before, state).value
    command.save()
    CommandStep.objects.create(
        command=command, at=now, from_state=before.value, to_state=state.value, detail=dict(detail or {})
    )
