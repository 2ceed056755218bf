"""Copy a site."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.data.registry.models import Site


@audited("registry.copy-site")
def copy_site(entry: Entry, *, actor: Actor, now: datetime, site_id: int, code: str, name: str) -> int:
    """
    Add a site like another under a new code and name, without its usage points, and return its id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``
    """
    original = own(Site, site_id, actor=actor)
    copy = Site(
        tenant_id=actor.tenant_id,
        code=code,
        name=name,
        kind=original.kind,
        time_zone=original.time_zone,
        address=original.address,
    )
    keep(copy)
    entry.subject = f"site:{copy.id}"
    entry.detail = {"copied_from": original.id, "code": code}
    return copy.id
