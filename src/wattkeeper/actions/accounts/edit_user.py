"""Change a person's role, language or whether they may log in."""

from datetime import datetime
from typing import TypedDict, Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User


class UserFields(TypedDict, total=False):
    """What of a person may be changed."""

    role: str
    language: str
    is_active: bool


USER_FIELDS = frozenset(UserFields.__annotations__)


@audited("accounts.edit-user", role=Role.ADMINISTRATOR)
def edit_user(
    entry: Entry, *, actor: Actor, now: datetime, user_id: int, **fields: Unpack[UserFields]
) -> None:
    """
    Change the given fields of a person; a tenant keeps at least one administrator who may log in.

    :raises WattkeeperError: ``registry.not-found``, ``registry.invalid-field``,
        ``accounts.last-administrator``
    """
    user = own(User, user_id, actor=actor)
    entry.subject = f"user:{user.id}"
    entry.detail = change(user, fields, allowed=USER_FIELDS)
    administrators = User.objects.filter(tenant_id=actor.tenant_id, role=Role.ADMINISTRATOR, is_active=True)
    if not administrators.exists():
        raise WattkeeperError("accounts.last-administrator", username=user.username)
