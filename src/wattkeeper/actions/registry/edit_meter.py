"""Edit a meter."""

from collections.abc import Mapping
from datetime import datetime
from typing import Unpack

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.actions.records import change, own
from wattkeeper.actions.registry.fields import METER_FIELDS, MeterFields
from wattkeeper.actions.registry.meter_checks import check_log, check_meter
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.keys import keep_key
from wattkeeper.data.registry.models import Meter


@audited("registry.edit-meter")
def edit_meter(
    entry: Entry,
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    meter_id: int,
    keys: Mapping[str, bytes] | None = None,
    **fields: Unpack[MeterFields],
) -> None:
    """
    Change the given fields of a meter, and replace the given keys.

    The impulses per kilowatt-hour of a meter with reads stay: they are what its counts mean.

    :raises WattkeeperError: ``registry.not-found``, ``registry.taken``, ``registry.invalid-field``,
        ``drivers.unknown-family``, ``meters.constant-fixed``, ``meters.log-beside-days``
    """
    meter = own(Meter, meter_id, actor=actor)
    entry.subject = f"meter:{meter.id}"
    constant = meter.settings.get("imp_per_kwh")
    entry.detail = dict(change(meter, fields, allowed=METER_FIELDS))
    check_meter(meter, actor=actor)
    current = meter.installations.filter(ends_at__isnull=True).select_related("usage_point__site").first()
    if current is not None and {"family", "settings", "interval_s"} & entry.detail.keys():
        check_log(meter, current.usage_point.site.time_zone, at=now)
    if constant != meter.settings.get("imp_per_kwh") and meter.channels.filter(has_reads=True).exists():
        raise WattkeeperError("meters.constant-fixed", serial_number=meter.serial_number)
    for name, secret in (keys or {}).items():
        keep_key(meter_id=meter.id, name=name, secret=secret)
    entry.detail["keys"] = sorted(keys or {})
