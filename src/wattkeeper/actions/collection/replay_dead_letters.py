"""Replay batches that were set aside."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.data.accounts.models import Role
from wattkeeper.headend.dead_letters import DeadLetters


@audited("collection.replay-dead-letters", role=Role.ADMINISTRATOR)
def replay_dead_letters(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    spool_folder: Path,
    names: Sequence[str] = (),
) -> int:
    """
    Ask the head-end to put these batches (all, where none is named) back into its spool; return how many.

    :raises WattkeeperError: ``headend.dead-letter-unknown``
    """
    entry.subject = "spool"
    count = DeadLetters(spool_folder).ask_again(names)
    entry.detail = {"names": list(names), "count": count}
    return count
