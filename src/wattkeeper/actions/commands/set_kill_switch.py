"""Stop every outgoing disconnect of a tenant at once; lifting it takes an administrator."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.commands.models import KillSwitch


@audited("commands.set-kill-switch")
def set_kill_switch(entry: Entry, *, actor: Actor, now: datetime, is_on: bool) -> None:
    """
    Turn the switch on or off.

    :raises WattkeeperError: ``accounts.not-allowed`` when somebody but an administrator lifts it
    """
    if not is_on:
        actor.require(Role.ADMINISTRATOR)
    KillSwitch.objects.update_or_create(
        tenant_id=actor.tenant_id,
        defaults={"is_on": is_on, "changed_at": now, "changed_by_id": actor.user_id},
    )
    entry.subject = "kill-switch"
    entry.detail = {"is_on": is_on}
