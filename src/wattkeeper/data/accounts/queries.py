"""People and their keys, as pages and API ask for them."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from wattkeeper.data.accounts.models import ApiKey, User


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person of a tenant."""

    user_id: int
    username: str
    role: str
    language: str
    is_active: bool
    last_login_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A program's key, without the key."""

    api_key_id: int
    user_id: int
    username: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


def list_users(*, tenant_id: int) -> list[UserRow]:
    """Return the people of a tenant."""
    return [_row(user) for user in User.objects.filter(tenant_id=tenant_id).order_by("username")]


def get_user(*, tenant_id: int, user_id: int) -> UserRow | None:
    """Return one person, None where the tenant has none of that id."""
    user = User.objects.filter(tenant_id=tenant_id, id=user_id).first()
    return _row(user) if user else None


def list_api_keys(*, tenant_id: int) -> list[ApiKeyRow]:
    """Return the keys of a tenant's people."""
    return [
        ApiKeyRow(key.id, key.user_id, key.user.username, key.name, key.created_at, key.revoked_at)
        for key in ApiKey.objects.filter(user__tenant_id=tenant_id).select_related("user").order_by("id")
    ]


def find_user_of_key(token: str) -> User | None:
    """Return whose key this is; None for an unknown or revoked key or a person who may not log in."""
    key = (
        ApiKey.objects.select_related("user__tenant")
        .filter(key_hash=hash_of_key(token), revoked_at__isnull=True, user__is_active=True)
        .first()
    )
    return key.user if key else None


def hash_of_key(token: str) -> str:
    """Return what is kept of a key: it is long and random, so one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def _row(user: User) -> UserRow:
    return UserRow(user.id, user.username, user.role, user.language, user.is_active, user.last_login)
