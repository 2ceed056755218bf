"""Edit a link."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.endpoints import check_endpoint
from wattkeeper.actions.registry.fields import LINK_FIELDS, LinkFields
from wattkeeper.data.collection.models import Link


@audited("registry.edit-link")
def edit_link(
    entry: Entry, *, actor: Actor, now: datetime, link_id: int, **fields: Unpack[LinkFields]
) -> None:
    """
    Change the given fields of a link.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``headend.broker-invalid``, ``headend.broker-insecure``
    """
    link = own(Link, link_id, actor=actor)
    entry.subject = f"link:{link.id}"
    entry.detail = change(link, fields, allowed=LINK_FIELDS)
    check_endpoint(link)
