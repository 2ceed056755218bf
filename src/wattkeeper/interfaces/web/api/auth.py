"""Who asks: a program with a key, or a person with a session."""

from typing import cast

from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User
from wattkeeper.data.accounts.queries import find_user_of_key


class ApiKeyAuth(HttpBearer):
    """``Authorization: Bearer wk_...``."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:  # noqa: ARG002
        """Return who the key acts as."""
        user = find_user_of_key(token)
        return Actor.of_user(user, origin="api") if user else None


class SessionAuth(APIKeyCookie):
    """The session of the pages; what changes anything needs the pages' CSRF token too."""

    param_name = "sessionid"

    def __init__(self) -> None:
        super().__init__(csrf=False)

    def authenticate(self, request: HttpRequest, key: str | None) -> Actor | None:  # noqa: ARG002
        """Return the logged-in person."""
        if not isinstance(request.user, User):
            return None
        if check_csrf(request) is not None:
            raise WattkeeperError("accounts.csrf")
        return Actor.of_user(request.user, origin="web")


def actor_of(request: HttpRequest) -> Actor:
    """Return who asks, as authentication found."""
    return cast("Actor", request.auth)  # type: ignore[attr-defined]
