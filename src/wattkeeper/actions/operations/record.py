"""The audit row of work on the whole installation, written when it is done: no transaction lasts so long."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.data.accounts.models import Role


@audited("operations.done", role=Role.ADMINISTRATOR)
def record_operation(
    entry: Entry, *, actor: Actor, now: datetime, what: str, detail: Mapping[str, Any]
) -> None:
    """Write down what an operator did to the installation.

    :raises WattkeeperError: ``accounts.not-allowed``
    """
    entry.subject = f"installation:{what}"
    entry.detail = dict(detail)
