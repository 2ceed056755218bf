"""Which series new reads of channels touch: those their meters measured at the time of the reads."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from django.db.models import Q

from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.models import Channel
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE

CHUNK_COUNT = 2000
_INSTALLATION = "meter__installations"
_SERIES = f"{_INSTALLATION}__usage_point__series"


def series_of_channels(tenant_id: int, channels: Mapping[int, tuple[int, int]]) -> Spans:
    """Return the spans of series that reads of channels touch.

    `channels`: channel id -> (oldest, newest) `measured_at_s` of its new reads, both included.
    """
    return Spans.of(row for ids in _chunks(sorted(channels)) for row in _touched(tenant_id, ids, channels))


def _touched(
    tenant_id: int, ids: list[int], channels: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[int, int, int]]:
    oldest = from_seconds(min(channels[channel_id][0] for channel_id in ids))
    own = Q(tenant_id=tenant_id, id__in=ids) & _same_quantity()
    is_old = Q(**{f"{_INSTALLATION}__starts_at__lte": oldest})
    is_open = Q(**{f"{_INSTALLATION}__ends_at__isnull": True})
    throughout = Channel.objects.filter(own & is_old & is_open)
    for channel_id, series_id in throughout.values_list("id", f"{_SERIES}__id"):
        yield series_id, channels[channel_id][0], channels[channel_id][1] + 1
    is_later = Q(**{f"{_INSTALLATION}__starts_at__gt": oldest})
    has_ended = Q(**{f"{_INSTALLATION}__ends_at__isnull": False})
    for_a_time = Channel.objects.filter(own & (is_later | has_ended))
    dates = (f"{_INSTALLATION}__starts_at", f"{_INSTALLATION}__ends_at")
    for channel_id, series_id, starts_at, ends_at in for_a_time.values_list("id", f"{_SERIES}__id", *dates):
        from_s, to_s = channels[channel_id][0], channels[channel_id][1] + 1
        # the read at the instant of a removal still ends that meter's last interval
        installed = Period(starts_at, ends_at and ends_at + timedelta(seconds=1))
        if installed.overlaps(Period(from_seconds(from_s), from_seconds(to_s))):
            yield series_id, from_s, to_s


def _same_quantity() -> Q:
    """The series of a channel's quantity, wherever its meter ever was; all in one join."""
    same_quantity = Q()
    for quantity in sorted(set(QUANTITY_OF_READING_TYPE.values())):
        types = [code for code, own in QUANTITY_OF_READING_TYPE.items() if own == quantity]
        same_quantity |= Q(**{f"{_SERIES}__quantity": quantity, "reading_type__in": types})
    return same_quantity


def _chunks(ids: list[int]) -> Iterable[list[int]]:
    for start in range(0, len(ids), CHUNK_COUNT):
        yield ids[start : start + CHUNK_COUNT]
