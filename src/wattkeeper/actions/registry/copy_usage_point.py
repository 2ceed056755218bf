"""Copy a usage point."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.data.registry.models import UsagePoint


@audited("registry.copy-usage-point")
def copy_usage_point(
    entry: Entry, *, actor: Actor, now: datetime, usage_point_id: int, code: str, name: str
) -> int:
    """
    Add a usage point like another under a new code and name and return its id.

    The customer, the protection and the meter stay with the original.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    original = own(UsagePoint, usage_point_id, actor=actor)
    copy = UsagePoint(
        tenant_id=actor.tenant_id,
        site_id=original.site_id,
        code=code,
        name=name,
        kind=original.kind,
        power_max_w=original.power_max_w,
    )
    keep(copy)
    entry.subject = f"usage-point:{copy.id}"
    entry.detail = {"copied_from": original.id, "code": code}
    return copy.id
