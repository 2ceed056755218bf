"""Say when a tenant's disconnects may leave."""

from datetime import datetime, time

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.commands.models import CutPolicy


@audited("commands.set-cut-policy", role=Role.ADMINISTRATOR)
def set_cut_policy(
    entry: Entry, *, actor: Actor, now: datetime, opens: time, closes: time, is_any_day: bool
) -> None:
    """
    Let disconnects leave from `opens` to before `closes`, local time of the site.

    :raises WattkeeperError: ``commands.policy-empty`` unless `opens` is before `closes`
    """
    if opens >= closes:
        raise WattkeeperError("commands.policy-empty", opens=str(opens), closes=str(closes))
    CutPolicy.objects.update_or_create(
        tenant_id=actor.tenant_id, defaults={"opens": opens, "closes": closes, "is_any_day": is_any_day}
    )
    entry.subject = "cut-policy"
    entry.detail = {"opens": str(opens), "closes": str(closes), "is_any_day": is_any_day}
