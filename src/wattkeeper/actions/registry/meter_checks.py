"""What a meter's fields must agree on, and what they must agree with where it is installed."""

from datetime import datetime
from math import gcd
from zoneinfo import ZoneInfo

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.collection.models import Link
from wattkeeper.data.registry.models import Meter
from wattkeeper.drivers import FAMILIES, has_utc_log


def check_meter(meter: Meter, *, actor: Actor) -> None:
    """Check that the meter's driver exists and that its link is the tenant's own and in use.

    :raises WattkeeperError: ``drivers.unknown-family``, ``registry.not-found``, ``meters.constant-missing``
    """
    if meter.family and meter.family not in FAMILIES:
        raise WattkeeperError("drivers.unknown-family", family=meter.family, known=", ".join(FAMILIES))
    links = Link.objects.filter(tenant_id=actor.tenant_id, retired_at__isnull=True)
    if meter.link_id is not None and not links.filter(id=meter.link_id).exists():
        raise WattkeeperError("registry.not-found", kind="link", id=meter.link_id)
    constant = meter.settings.get("imp_per_kwh")
    if meter.family == "pulse_counter" and not (isinstance(constant, int) and constant > 0):
        raise WattkeeperError("meters.constant-missing", reading_type="pulses_imp")


def check_log(meter: Meter, zone: str, *, at: datetime) -> None:
    """Check that slots of UTC days, which some load profiles have, lie on the intervals of local days.

    Hours do not in India and Nepal: half hours and quarters do.

    :raises WattkeeperError: ``meters.log-beside-days``, ``modbus_energy.unknown-map``
    """
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    offset_s = int(offset.total_seconds()) if offset else 0
    if offset_s % meter.interval_s and has_utc_log(meter.family, meter.settings):
        raise WattkeeperError(
            "meters.log-beside-days",
            serial_number=meter.serial_number,
            interval_s=meter.interval_s,
            zone=zone,
            fits_s=gcd(offset_s, meter.interval_s),
        )
