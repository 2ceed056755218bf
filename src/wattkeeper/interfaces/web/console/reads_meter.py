"""A meter's page: what its channels say now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.alarms.queries import FindingRow, list_findings
from wattkeeper.data.registry.meters import ChannelRow
from wattkeeper.interfaces.reads.figures import counts_text, unit_of
from wattkeeper.store.api import LatestRead, ReadingStore
from wattkeeper.store.standing import as_corrected, latest_standing

FINDINGS_COUNT = 10


@dataclass(frozen=True, slots=True)
class ChannelValue:
    """The newest read of a channel, in its own unit, as the device says it."""

    reading_type: str
    obis: str
    text: str
    unit: str
    measured_at: datetime


@dataclass(frozen=True, slots=True)
class NewestValues:
    """Newest reads: what is measured now, and what the registers show."""

    live: tuple[ChannelValue, ...] = ()
    registers: tuple[ChannelValue, ...] = ()

    @property
    def live_at(self) -> datetime | None:
        """When the newest of the live values was measured."""
        return max((value.measured_at for value in self.live), default=None)


def newest_values(store: ReadingStore, *, tenant_id: int, channels: Sequence[ChannelRow]) -> NewestValues:
    """Return the newest read of each channel that has one, in the channels' order."""
    newest = latest_standing(store, tenant_id, [channel.channel_id for channel in channels])
    latest = as_corrected(store, tenant_id, newest)
    found: dict[Kind, list[ChannelValue]] = {kind: [] for kind in Kind}
    for channel in channels:
        read = latest.get(channel.channel_id)
        if read is not None and channel.reading_type != "clock_offset_s":
            found[READING_TYPES[channel.reading_type].kind].append(_value(channel, read))
    return NewestValues(tuple(found[Kind.INSTANT]), tuple(found[Kind.CUMULATIVE]))


def findings_around(
    *, tenant_id: int, usage_point_id: int | None, meter_id: int | None = None
) -> list[FindingRow]:
    """Return findings about a meter or the usage point it is at: open ones first, then the newest."""
    found: dict[int, FindingRow] = {}
    if meter_id is not None:
        found |= _newest_findings(tenant_id, meter_id=meter_id)
    if usage_point_id is not None:
        found |= _newest_findings(tenant_id, usage_point_id=usage_point_id)
    newest = sorted(found.values(), key=lambda row: row.starts_at, reverse=True)
    return sorted(newest, key=lambda row: row.state != Finding.State.OPEN)[:FINDINGS_COUNT]


def _newest_findings(
    tenant_id: int, *, meter_id: int | None = None, usage_point_id: int | None = None
) -> dict[int, FindingRow]:
    found: dict[int, FindingRow] = {}
    for state in Finding.State.values:
        rows = list_findings(
            tenant_id=tenant_id,
            state=state,
            meter_id=meter_id,
            usage_point_id=usage_point_id,
            limit_count=FINDINGS_COUNT,
        )
        found |= {row.finding_id: row for row in rows.items}
    return found


def _value(channel: ChannelRow, read: LatestRead) -> ChannelValue:
    return ChannelValue(
        reading_type=channel.reading_type,
        obis=READING_TYPES[channel.reading_type].obis,
        text=counts_text(read.value, channel.step),
        unit=unit_of(channel.reading_type),
        measured_at=from_seconds(read.measured_at_s),
    )
