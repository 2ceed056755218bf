"""Registers that were set to another value, as a person noted it when reading the display."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.registry.installations import RegisterReset
from wattkeeper.data.registry.models import Channel


def get_resets(meter_ids: Collection[int]) -> Mapping[int, Sequence[RegisterReset]]:
    """Return the resets of meters by channel, in order of time; of an instant what was noted last holds."""
    channels = Channel.objects.filter(meter_id__in=meter_ids)
    ever_set = set(channels.filter(field_reads__set_to_count__isnull=False).values_list("id", flat=True))
    if not ever_set:
        return {}
    noted = {
        (channel_id, measured_at): (value_count, set_to_count)
        for channel_id, measured_at, value_count, set_to_count in Channel.objects.filter(id__in=ever_set)
        .order_by("field_reads__measured_at", "field_reads__correction_index")
        .values_list(*(f"field_reads__{name}" for name in _COLUMNS))
    }
    found: dict[int, list[RegisterReset]] = defaultdict(list)
    for (channel_id, measured_at), (value_count, set_to_count) in noted.items():
        if set_to_count is not None:
            found[channel_id].append(RegisterReset(to_seconds(measured_at), value_count, set_to_count))
    return found


def list_reset_series(tenant_id: int) -> list[int]:
    """Return the series of points with a meter of which anybody ever noted that a register was set."""
    noted = Channel.objects.filter(field_reads__tenant_id=tenant_id, field_reads__set_to_count__isnull=False)
    ids = noted.values_list("meter__installations__usage_point__series__id", flat=True).distinct()
    return [series_id for series_id in ids if series_id is not None]


_COLUMNS = ("channel_id", "measured_at", "value_count", "set_to_count")
