"""Add a link."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.endpoints import check_endpoint
from wattkeeper.actions.registry.fields import LINK_FIELDS, LinkFields
from wattkeeper.core.kernel.endpoints import kept_endpoint
from wattkeeper.data.collection.models import Link
from wattkeeper.data.registry.models import Site


@audited("registry.add-link")
def add_link(entry: Entry, *, actor: Actor, now: datetime, site_id: int, **fields: Unpack[LinkFields]) -> int:
    """
    Add a line to devices at a site and return its id.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``headend.broker-invalid``, ``headend.broker-insecure``, ``links.secret-elsewhere``
    """
    site = own(Site, site_id, actor=actor)
    kept_endpoint(fields.get("endpoint", ""), "")  # nothing is stored that a mark could stand for
    link = Link(tenant_id=actor.tenant_id, site=site)
    entry.detail = {"site_id": site.id, **change(link, fields, allowed=LINK_FIELDS)}
    check_endpoint(link)
    entry.subject = f"link:{link.id}"
    return link.id
