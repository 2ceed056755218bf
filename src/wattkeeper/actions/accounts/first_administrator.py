"""Make the first tenant and its administrator."""

from datetime import datetime

from django.db import transaction

from wattkeeper.actions.accounts.create_user import create_user
from wattkeeper.actions.accounts.passwords import make_password
from wattkeeper.actions.actor import Actor
from wattkeeper.data.accounts.models import Role, User
from wattkeeper.data.registry.models import Tenant

USERNAME = "admin"


def first_administrator(
    *, now: datetime, tenant_name: str = "Wattkeeper", password: str | None = None
) -> tuple[str, str] | None:
    """
    Make the first tenant and administrator and return (user name, password); None if there are users already.

    The password is random unless given, is returned this once and kept as a hash.
    """
    with transaction.atomic():
        tenant, _ = Tenant.objects.get_or_create(name=tenant_name, defaults={"created_at": now})
        list(Tenant.objects.select_for_update().filter(id=tenant.id))
        if User.objects.exists():
            return None
        chosen = password or make_password()
        machine = Actor(tenant.id, None, "first-start", Role.ADMINISTRATOR, "system")
        create_user(actor=machine, now=now, username=USERNAME, password=chosen, role=Role.ADMINISTRATOR.value)
    return USERNAME, chosen
