"""People and the keys of their programs; for administrators, and each person's own."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from wattkeeper.actions.accounts.change_password import change_password
from wattkeeper.actions.accounts.create_api_key import create_api_key
from wattkeeper.actions.accounts.create_user import create_user
from wattkeeper.actions.accounts.edit_user import edit_user
from wattkeeper.actions.accounts.revoke_api_key import revoke_api_key
from wattkeeper.data.accounts import queries
from wattkeeper.data.accounts.models import Role
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.schemas import (
    ApiKeyIn,
    ApiKeyMade,
    ApiKeyOut,
    Made,
    PasswordIn,
    UserEdit,
    UserIn,
    UserOut,
)
from wattkeeper.interfaces.web.services import get_services

router = Router(tags=["users"])


@router.get("/users", response=list[UserOut])
def list_all(request: HttpRequest) -> Any:
    """List the people of the tenant."""
    actor = actor_of(request)
    actor.require(Role.ADMINISTRATOR)
    return queries.list_users(tenant_id=actor.tenant_id)


@router.post("/users", response=Made)
def add(request: HttpRequest, payload: UserIn) -> Any:
    """Create a person."""
    user_id = create_user(actor=actor_of(request), now=get_services().now(), **payload.dict())
    return {"id": user_id}


@router.get("/users/{int:user_id}", response=UserOut)
def get(request: HttpRequest, user_id: int) -> Any:
    """Get a person."""
    actor = actor_of(request)
    if user_id != actor.user_id:
        actor.require(Role.ADMINISTRATOR)
    return found(queries.get_user(tenant_id=actor.tenant_id, user_id=user_id), "user", user_id)


@router.patch("/users/{int:user_id}", response={204: None})
def edit(request: HttpRequest, user_id: int, payload: UserEdit) -> Any:
    """Change a person's role, language or whether they may log in."""
    changes = payload.dict(exclude_unset=True)
    edit_user(actor=actor_of(request), now=get_services().now(), user_id=user_id, **changes)
    return Status(204, None)


@router.post("/users/{int:user_id}/password", response={204: None})
def set_password(request: HttpRequest, user_id: int, payload: PasswordIn) -> Any:
    """Change a password."""
    change_password(actor=actor_of(request), now=get_services().now(), user_id=user_id, **payload.dict())
    return Status(204, None)


@router.get("/api-keys", response=list[ApiKeyOut])
def list_keys(request: HttpRequest) -> Any:
    """List the keys of the tenant's programs."""
    actor = actor_of(request)
    actor.require(Role.ADMINISTRATOR)
    return queries.list_api_keys(tenant_id=actor.tenant_id)


@router.post("/api-keys", response=ApiKeyMade)
def add_key(request: HttpRequest, payload: ApiKeyIn) -> Any:
    """Create a key; it is shown this once."""
    token = create_api_key(actor=actor_of(request), now=get_services().now(), **payload.dict())
    return {"token": token}


@router.delete("/api-keys/{int:api_key_id}", response={204: None})
def revoke_key(request: HttpRequest, api_key_id: int) -> Any:
    """Make a key useless."""
    revoke_api_key(actor=actor_of(request), now=get_services().now(), api_key_id=api_key_id)
    return Status(204, None)
