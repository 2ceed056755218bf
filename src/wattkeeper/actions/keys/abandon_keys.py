"""Go on without a key file that is lost for good: what it sealed is given up, everything else stays."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.keys.ready_keys import check_keys
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.models import DeviceKey
from wattkeeper.data.sealing.models import SealedWord, TenantKey
from wattkeeper.data.sealing.sweep import sealed_models


@audited("keys.abandon", role=Role.ADMINISTRATOR)
def abandon_keys(entry: Entry, *, actor: Actor, now: datetime) -> int:
    """
    Empty every sealed value and forget the keys; return how many values that were.

    :raises WattkeeperError: ``keys.openable`` as long as the key file opens them
    """
    if _is_openable():
        raise WattkeeperError("keys.openable")
    count = 0
    for model in sealed_models():
        for column in model.sealed_fields():
            given = {f"{column.name}__isnull": False}
            count += model._default_manager.filter(**given).update(**{column.name: None})
    count += DeviceKey.objects.all().delete()[0]
    SealedWord.objects.all().delete()
    TenantKey.objects.all().delete()
    entry.subject, entry.detail = "keys", {"values": count}
    return count


def _is_openable() -> bool:
    try:
        check_keys()
    except WattkeeperError:
        return False
    return True
