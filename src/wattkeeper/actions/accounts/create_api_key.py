"""Create a key for a program."""

import secrets
from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.data.accounts.models import ApiKey, Role, User
from wattkeeper.data.accounts.queries import hash_of_key


@audited("accounts.create-api-key", role=Role.VIEWER)
def create_api_key(entry: Entry, *, actor: Actor, now: datetime, user_id: int, name: str) -> str:
    """
    Return a new key that acts as a person, shown this once and kept as a hash.

    One's own, or, as administrator, another person's.

    :raises WattkeeperError: ``registry.not-found``, ``accounts.not-allowed``
    """
    if user_id != actor.user_id:
        actor.require(Role.ADMINISTRATOR)
    user = own(User, user_id, actor=actor)
    token = f"wk_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(user=user, name=name[:80], key_hash=hash_of_key(token), created_at=now)
    entry.subject = f"api-key:{key.id}"
    entry.detail = {"user_id": user.id, "name": name}
    return token
