"""Change a password."""

from datetime import datetime

from wattkeeper.actions.accounts.passwords import check_password_strength
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User


@audited("accounts.change-password", role=Role.VIEWER)
def change_password(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    user_id: int,
    new_password: str,
    current_password: str | None = None,
) -> None:
    """
    Change one's own password, proved by the current one, or, as administrator, another person's.

    Every other session of that person ends with it.

    :raises WattkeeperError: ``registry.not-found``, ``accounts.not-allowed``,
        ``accounts.current-password-wrong``, ``accounts.password-weak``
    """
    if user_id != actor.user_id:
        actor.require(Role.ADMINISTRATOR)
    user = own(User, user_id, actor=actor)
    if user_id == actor.user_id and not user.check_password(current_password or ""):
        raise WattkeeperError("accounts.current-password-wrong")
    check_password_strength(new_password, user)
    user.set_password(new_password)
    user.save(update_fields=["password"])
    entry.subject = f"user:{user.id}"
