"""Create a user."""

from datetime import datetime

from wattkeeper.actions.accounts.passwords import check_password_strength
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User


@audited("accounts.create-user", role=Role.ADMINISTRATOR)
def create_user(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    username: str,
    password: str,
    role: str,
    language: str = "",
) -> int:
    """
    Create a person of the actor's tenant and return the id.

    :raises WattkeeperError: ``accounts.password-weak``, ``registry.taken``, ``registry.invalid-field``,
        ``accounts.unknown-role``
    """
    if role not in Role.values:
        raise WattkeeperError("accounts.unknown-role", role=role, known=", ".join(Role.values))
    user = User(
        tenant_id=actor.tenant_id,
        username=username,
        role=role,
        language=language,
        created_by_id=actor.user_id,
        date_joined=now,
    )
    check_password_strength(password, user)
    user.set_password(password)
    keep(user)
    entry.subject = f"user:{user.id}"
    entry.detail = {"username": username, "role": role}
    return user.id
