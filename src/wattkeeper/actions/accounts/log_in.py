"""Log a person in, slowly for those who guess."""

from datetime import datetime, timedelta

from django.contrib.auth import authenticate

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import LoginAttempt, Role, User

WINDOW_S = 60
ACCOUNT_TRIES_MAX_COUNT = 5
ADDRESS_TRIES_MAX_COUNT = 20


def log_in(*, username: str, password: str, address: str, now: datetime) -> User:
    """
    Return the person of this name and password.

    A wrong password and an unknown name get the same answer after the same work. More than 5 tries a minute
    for an account, or 20 from an address, are refused unseen; a minute later the owner can log in again.

    :raises WattkeeperError: ``accounts.log-in-refused``, ``accounts.too-many-tries`` (is_permanent False)
    """
    _count_try(username, address, now)
    user = authenticate(username=username, password=password)
    if not isinstance(user, User) or user.tenant_id is None:
        raise WattkeeperError("accounts.log-in-refused")
    LoginAttempt.objects.filter(subject__in=_subjects(username, address)).delete()
    _note_log_in(actor=Actor.of_user(user, origin="web"), now=now, user=user, address=address)
    return user


def _count_try(username: str, address: str, now: datetime) -> None:
    """Write the try down first, then look: tries at the same moment see each other."""
    account, source = _subjects(username, address)
    LoginAttempt.objects.bulk_create(
        [LoginAttempt(subject=account, at=now), LoginAttempt(subject=source, at=now)]
    )
    since = now - timedelta(seconds=WINDOW_S)
    LoginAttempt.objects.filter(at__lte=since).delete()
    recent = LoginAttempt.objects.filter(at__gt=since)
    if (
        recent.filter(subject=account).count() > ACCOUNT_TRIES_MAX_COUNT
        or recent.filter(subject=source).count() > ADDRESS_TRIES_MAX_COUNT
    ):
        raise WattkeeperError("accounts.too-many-tries", is_permanent=False, wait_s=WINDOW_S)


def _subjects(username: str, address: str) -> tuple[str, str]:
    return f"account:{username.casefold()[:150]}", f"address:{address[:64]}"


@audited("accounts.log-in", role=Role.VIEWER)
def _note_log_in(entry: Entry, *, actor: Actor, now: datetime, user: User, address: str) -> None:
    user.last_login = now
    user.save(update_fields=["last_login"])
    entry.subject = f"user:{user.id}"
    entry.detail = {"address": address}
