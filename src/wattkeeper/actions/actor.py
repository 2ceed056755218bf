"""Who acts: a person or program of one tenant, with a role."""

from dataclasses import dataclass

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User

_RANKS = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMINISTRATOR: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """`user_id` is None for the machine itself (first start, shell); `origin`: web, api, cli, system."""

    tenant_id: int
    user_id: int | None
    name: str
    role: Role
    origin: str

    @classmethod
    def of_user(cls, user: User, *, origin: str) -> "Actor":
        """Return the actor that a logged-in person is.

        :raises WattkeeperError: ``accounts.no-tenant`` for a person of no tenant
        """
        if user.tenant_id is None:
            raise WattkeeperError("accounts.no-tenant", username=user.username)
        return cls(user.tenant_id, user.id, user.username, Role(user.role), origin)

    def can(self, role: Role) -> bool:
        """Whether the actor's role includes `role`."""
        return _RANKS[self.role] >= _RANKS[role]

    def require(self, role: Role) -> None:
        """Check that the actor's role includes `role`.

        :raises WattkeeperError: ``accounts.not-allowed``
        """
        if not self.can(role):
            raise WattkeeperError("accounts.not-allowed", role=str(self.role.value), needed=str(role.value))

    def __str__(self) -> str:
        return f"{self.origin}:{self.name}"
