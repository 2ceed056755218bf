"""Revoke a program's key."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import ApiKey, Role


@audited("accounts.revoke-api-key", role=Role.VIEWER)
def revoke_api_key(entry: Entry, *, actor: Actor, now: datetime, api_key_id: int) -> None:
    """
    Make a key useless at once: one's own, or, as administrator, another person's.

    :raises WattkeeperError: ``registry.not-found``, ``accounts.not-allowed``
    """
    key = ApiKey.objects.filter(id=api_key_id, user__tenant_id=actor.tenant_id).first()
    if key is None:
        raise WattkeeperError("registry.not-found", kind="apikey", id=api_key_id)
    if key.user_id != actor.user_id:
        actor.require(Role.ADMINISTRATOR)
    entry.subject = f"api-key:{key.id}"
    key.revoked_at = key.revoked_at or now
    key.save(update_fields=["revoked_at"])
