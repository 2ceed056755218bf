"""What of a block can be a raw read: what the store and the grid of the local days have a place for."""

from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.actions.records import check_fits_days
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, local_midnight, to_seconds
from wattkeeper.data.registry.models import Site
from wattkeeper.formats.api import IntervalBlock, RowError
from wattkeeper.formats.units import written_unit
from wattkeeper.store.ranges import INSTANT_MAX_S

ENERGY_OF_UNIT = {"Wh": ("energy", "kwh"), "varh": ("energy_reactive", "kvarh")}


def zone_of(block: IntervalBlock, site: Site) -> ZoneInfo:
    """Return where a block's days begin: at its usage point, or where that one will be made."""
    code = block.usage_point or block.meter_serial
    there = Site.objects.filter(usage_points__tenant_id=site.tenant_id, usage_points__code=code).first()
    return ZoneInfo((there or site).time_zone)


def storable(block: IntervalBlock, zone: ZoneInfo) -> tuple[IntervalBlock, list[RowError]]:
    """Return what of a block can be a raw read, and an error for what can't.

    :raises WattkeeperError: ``imports.unit-not-kept`` for what is no energy, ``series.interval-not-kept``
    """
    if block.unit not in ENERGY_OF_UNIT:
        raise WattkeeperError(
            "imports.unit-not-kept",
            channel=block.channel,
            unit=written_unit(block.unit)[0],
            count=len(block.starts_at_s),
            first_at=from_seconds(int(block.starts_at_s[0])).isoformat(),
        )
    is_off = np.zeros(len(block.starts_at_s), dtype=np.bool_)
    if block.interval_s:
        check_fits_days(block.interval_s, zone.key, usage_point=block.usage_point)
        day = from_seconds(int(block.starts_at_s[0])).astimezone(zone).date()
        is_off = (block.starts_at_s - to_seconds(local_midnight(day, zone))) % block.interval_s != 0
    ends_at_s = block.starts_at_s + block.interval_s
    is_kept = np.ones(len(ends_at_s), dtype=np.bool_)
    errors = []
    for code, is_out in (
        ("imports.negative-value", block.value_milli < 0),
        ("imports.time-not-kept", (block.starts_at_s < 0) | (ends_at_s > INSTANT_MAX_S)),
        ("imports.off-grid", is_off),
    ):
        if is_out.any():
            params = {
                "usage_point": block.usage_point,
                "channel": block.channel,
                "count": int(is_out.sum()),
                "first_at": from_seconds(int(block.starts_at_s[is_out][0])).isoformat(),
                "interval_s": block.interval_s,
                "zone": zone.key,
            }
            errors.append(RowError(0, 0, code, params))
            is_kept &= ~is_out
    if not errors:
        return block, []
    return block.where(is_kept), errors
