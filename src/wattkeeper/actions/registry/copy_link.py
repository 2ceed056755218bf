"""Copy a link."""

from datetime import datetime

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import keep, own
from wattkeeper.actions.registry.endpoints import check_endpoint
from wattkeeper.core.kernel.endpoints import kept_endpoint
from wattkeeper.data.collection.models import Link


@audited("registry.copy-link")
def copy_link(entry: Entry, *, actor: Actor, now: datetime, link_id: int, name: str, endpoint: str) -> int:
    """
    Add a link like another under a new name and endpoint, without its meters, and return its id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``headend.broker-invalid``, ``headend.broker-insecure``, ``links.secret-elsewhere``
    """
    original = own(Link, link_id, actor=actor)
    copy = Link(
        tenant_id=actor.tenant_id,
        site_id=original.site_id,
        name=name,
        transport=original.transport,
        endpoint=kept_endpoint(endpoint, original.endpoint),
        timeout_ms=original.timeout_ms,
        retries_count=original.retries_count,
        poll_s=original.poll_s,
    )
    keep(copy)
    check_endpoint(copy)
    entry.subject = f"link:{copy.id}"
    entry.detail = {"copied_from": original.id, "name": name}
    return copy.id
