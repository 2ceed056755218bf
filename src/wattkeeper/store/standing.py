"""What stands of the raw reads of a store: all but those off a display that a person withdrew.

The store keeps both, the read and its withdrawal; who derives, bills or shows asks here, and is answered as
if it had never been noted.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.readings.told import find_withdrawn, is_withdrawal
from wattkeeper.store.api import Ids, LatestRead, RawReads, ReadingStore
from wattkeeper.store.ranges import INSTANT_MAX_S

ALL_SOURCES = tuple(int(source) for source in Source)


def tellers_of(reads: RawReads) -> NDArray[np.int64]:
    """Return who tells each read: its source in its channel."""
    return reads.channel_id * (max(ALL_SOURCES) + 1) + reads.source


def standing_reads(
    store: ReadingStore,
    tenant_id: int,
    channel_ids: Ids,
    from_s: int,
    to_s: int,
    *,
    has_origins: bool = True,
) -> RawReads:
    """Return the reads with from_s <= measured_at_s < to_s that stand, as `ReadingStore.raw_reads` does."""
    reads = store.raw_reads(tenant_id, channel_ids, from_s, to_s, has_origins=has_origins)
    if not is_withdrawal(reads.flags).any():
        return reads
    return reads.take(~find_withdrawn(reads.measured_at_s, reads.flags, tellers_of(reads)))


def best_reads(reads: RawReads, sources: Sequence[int] = ALL_SOURCES) -> RawReads:
    """Return of each channel's standing reads at one instant that of the highest source, corrected last."""
    reads = reads.take(np.isin(reads.source, list(sources)))
    order = np.lexsort((reads.value, -reads.flags, -reads.source, reads.channel_id))
    return reads.take(order[np.diff(reads.channel_id[order], prepend=-1) != 0])


def nearest_standing(
    store: ReadingStore,
    tenant_id: int,
    channel_ids: Ids,
    at_s: int,
    *,
    before: bool,
    sources: Sequence[int] = ALL_SOURCES,
) -> RawReads:
    """Return per channel the nearest read that stands, as `ReadingStore.nearest_reads` does."""
    found = store.nearest_reads(tenant_id, channel_ids, at_s, before=before, sources=sources)
    is_gone = is_withdrawal(found.flags)
    if not is_gone.any():
        return found
    parts = [found.take(~is_gone)]
    for instant_s in np.unique(found.measured_at_s[is_gone]).tolist():
        own = found.channel_id[is_gone & (found.measured_at_s == instant_s)].tolist()
        there = best_reads(standing_reads(store, tenant_id, own, instant_s, instant_s + 1), sources)
        others = sorted(set(own) - set(there.channel_id.tolist()))
        beyond_s = instant_s if before else instant_s + 1
        parts += [
            there,
            nearest_standing(store, tenant_id, others, beyond_s, before=before, sources=sources),
        ]
    return _join(parts)


def latest_standing(store: ReadingStore, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
    """Return the newest read that stands of each channel that has one, as `ReadingStore.latest` does."""
    latest = store.latest(tenant_id, channel_ids)
    flags = np.array([read.flags for read in latest.values()], dtype=np.int64)
    gone = np.array(list(latest), dtype=np.int64)[is_withdrawal(flags)].tolist()
    if not gone:
        return latest
    stands = _as_latest(nearest_standing(store, tenant_id, gone, INSTANT_MAX_S, before=True))
    return {own: read for own, read in latest.items() if own not in gone} | stands


def as_corrected(
    store: ReadingStore, tenant_id: int, latest: Mapping[int, LatestRead]
) -> dict[int, LatestRead]:
    """Return newest reads, those off a display as they were corrected last."""
    found = dict(latest)
    for own, read in latest.items():
        if read.source == Source.FIELD:
            at_s = read.measured_at_s
            found |= _as_latest(best_reads(standing_reads(store, tenant_id, [own], at_s, at_s + 1)))
    return found


def _as_latest(reads: RawReads) -> dict[int, LatestRead]:
    columns = (reads.channel_id, reads.measured_at_s, reads.value, reads.flags, reads.source)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {row[0]: LatestRead(*row) for row in rows}


def _join(parts: Sequence[RawReads]) -> RawReads:
    """Return reads of distinct channels in order of channel."""
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in RawReads.__slots__]
    order = np.argsort(columns[0])
    return RawReads(*(column[order] for column in columns))
