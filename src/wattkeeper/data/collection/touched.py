"""Which series new reads of channels touch: those their meters measured at the time of the reads."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from django.db.models import Q

from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.collection.spans import Spans
from wattkeeper.data.registry.integer_rows import integer_rows
from wattkeeper.data.registry.models import Channel
from wattkeeper.data.registry.plain_facts import among
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE

CHUNK_COUNT = 16_384
_INSTALLATION = "meter__installations"
_SERIES = f"{_INSTALLATION}__usage_point__series"


def series_of_channels(tenant_id: int, reads: Spans) -> Spans:
    """Return the spans of series that reads of channels touch.

    `reads`: for each channel, rising, [oldest, newest + 1) of its new reads; its `series_id` names channels.
    """
    found = Spans.of(())
    for start in range(0, len(reads), CHUNK_COUNT):
        chunk = reads.where(slice(start, start + CHUNK_COUNT))
        found = found.plus(_of_long_standing(tenant_id, chunk)).plus(Spans.of(_of_a_time(tenant_id, chunk)))
    return found


def _of_long_standing(tenant_id: int, reads: Spans) -> Spans:
    """Return what reads touch whose meters have been where they are since before the oldest of them."""
    is_old = Q(**{f"{_INSTALLATION}__starts_at__lte": from_seconds(reads.from_s.min())})
    is_open = Q(**{f"{_INSTALLATION}__ends_at__isnull": True})
    own = Q(tenant_id=tenant_id) & among("id", reads.series_id) & _same_quantity()
    table = integer_rows(
        Channel.objects.filter(own & is_old & is_open).values_list("id", f"{_SERIES}__id"), 2
    )
    table = table[np.isin(table[:, 0], reads.series_id)]
    place = np.searchsorted(reads.series_id, table[:, 0])
    return Spans(table[:, 1], reads.from_s[place], reads.to_s[place])


def _of_a_time(tenant_id: int, reads: Spans) -> Iterator[tuple[int, int, int]]:
    """Yield what reads touch whose meters came or went; the columns of `reads` name channels."""
    is_later = Q(**{f"{_INSTALLATION}__starts_at__gt": from_seconds(reads.from_s.min())})
    has_ended = Q(**{f"{_INSTALLATION}__ends_at__isnull": False})
    own = Q(tenant_id=tenant_id) & among("id", reads.series_id) & _same_quantity()
    dates = (f"{_INSTALLATION}__starts_at", f"{_INSTALLATION}__ends_at")
    rows = Channel.objects.filter(own & (is_later | has_ended)).values_list("id", f"{_SERIES}__id", *dates)
    for channel_id, series_id, starts_at, ends_at in rows:
        place = int(np.searchsorted(reads.series_id, channel_id))
        if place == len(reads) or reads.series_id[place] != channel_id:
            continue
        from_s, to_s = int(reads.from_s[place]), int(reads.to_s[place])
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
