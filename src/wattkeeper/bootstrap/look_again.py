"""Which series are looked at again though nothing came: nobody else notices what never comes."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.collection.windows import mark_recent_dirty
from wattkeeper.data.registry.models import Channel
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.standing import latest_standing

EXPECTED_FOR = timedelta(days=400)  # a meter that is read once a year, and late
CHUNK_COUNT = 4000


def look_again(store: ReadingStore, *, tenant_id: int, since: datetime, now: datetime) -> int:
    """Mark [since, now) of every series that a meter measures now, and return how many those are.

    A meter that nobody asks, because it came from files or is read by hand, is expected to be read for
    `EXPECTED_FOR` after it was installed and after each read; then it has ended, whatever the registry says.
    """
    now = now.replace(microsecond=0)
    ended = set(_find_ended(store, tenant_id, now))
    return mark_recent_dirty(tenant_id=tenant_id, since=since, now=now, besides_meters=ended)


def _find_ended(store: ReadingStore, tenant_id: int, now: datetime) -> Iterator[int]:
    expected_from = now - EXPECTED_FOR
    unasked = Channel.objects.filter(tenant_id=tenant_id, meter__link__isnull=True)
    settled = unasked.filter(
        meter__installations__starts_at__lt=expected_from, meter__installations__ends_at__isnull=True
    )
    meter_of = dict(settled.values_list("id", "meter_id"))
    read: set[int] = set()
    channel_ids = sorted(meter_of)
    for first in range(0, len(channel_ids), CHUNK_COUNT):
        newest = latest_standing(store, tenant_id, channel_ids[first : first + CHUNK_COUNT])
        read.update(
            meter_of[channel_id]
            for channel_id, latest in newest.items()
            if latest.measured_at_s >= to_seconds(expected_from)
        )
    yield from set(meter_of.values()) - read
