"""Add a meter."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.channels import ChannelSpec, make_channels, usual_channels
from wattkeeper.actions.registry.fields import METER_FIELDS, MeterFields
from wattkeeper.actions.registry.meter_checks import check_meter
from wattkeeper.actions.services import Services
from wattkeeper.data.collection.keys import keep_key
from wattkeeper.data.registry.models import Meter, Site


@audited("registry.add-meter")
def add_meter(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    site_id: int,
    channels: Sequence[ChannelSpec] | None = None,
    keys: Mapping[str, bytes] | None = None,
    **fields: Unpack[MeterFields],
) -> int:
    """
    Add a meter to a site's stock and return its id. Without `channels` it gets what its family usually has.

    `keys` are sealed at once and never shown again.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``drivers.unknown-family``, ``channels.*``
    """
    site = own(Site, site_id, actor=actor)
    meter = Meter(tenant_id=actor.tenant_id, site=site)
    entry.detail = {"site_id": site.id, **change(meter, fields, allowed=METER_FIELDS)}
    check_meter(meter, actor=actor)
    entry.subject = f"meter:{meter.id}"
    specs = channels or usual_channels(meter.family, meter.settings, has_relay=meter.has_relay)
    make_channels(meter, specs)
    for name, secret in (keys or {}).items():
        keep_key(meter_id=meter.id, name=name, secret=secret)
    entry.detail["channels"] = [spec.reading_type for spec in specs]
    entry.detail["keys"] = sorted(keys or {})
    return meter.id
