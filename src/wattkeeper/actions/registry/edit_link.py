"""Edit a link."""

from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.endpoints import check_endpoint
from wattkeeper.actions.registry.fields import LINK_FIELDS, LinkFields
from wattkeeper.core.kernel.endpoints import kept_endpoint
from wattkeeper.data.collection.models import Link


@audited("registry.edit-link")
def edit_link(
    entry: Entry, *, actor: Actor, now: datetime, link_id: int, **fields: Unpack[LinkFields]
) -> None:
    """
    Change the given fields of a link; where its endpoint is given as it is shown, its secrets stay.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``headend.broker-invalid``, ``headend.broker-insecure``, ``links.secret-elsewhere``
    """
    link = own(Link, link_id, actor=actor)
    entry.subject = f"link:{link.id}"
    if endpoint := fields.get("endpoint"):
        fields["endpoint"] = kept_endpoint(endpoint, link.endpoint)
    entry.detail = change(link, fields, allowed=LINK_FIELDS)
    check_endpoint(link)
