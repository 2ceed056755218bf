"""Passwords: strong enough when chosen, random when made."""

import secrets

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User

_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MADE_COUNT = 16


def check_password_strength(password: str, user: User) -> None:
    """Check a chosen password.

    :raises WattkeeperError: ``accounts.password-weak`` with the first reason
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WattkeeperError("accounts.password-weak", reason=error.error_list[0].code or "weak") from error


def make_password() -> str:
    """Return a random password without letters that look alike."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_MADE_COUNT))
