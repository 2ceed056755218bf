"""The newest read of each channel in a hand-over, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import RawBatch


@dataclass(frozen=True, slots=True, eq=False)
class Newest:
    """One read of each channel: arrays of shape (n,), int64.

    Of several at one instant the one of the highest source, then of the least value, then of the least flags.
    """

    tenant_id: Int64s
    channel_id: Int64s
    measured_at_s: Int64s
    value: Int64s
    flags: Int64s
    source: Int64s

    def rows(self, chosen: "NDArray[np.bool_] | NDArray[np.intp]") -> "Newest":
        """Return those rows."""
        return Newest(*(getattr(self, name)[chosen] for name in Newest.__slots__))


def newest_of(batches: Sequence[RawBatch]) -> Newest:
    """Return the newest read of each channel in the batches."""
    parts = [_candidates(batch) for batch in batches]
    columns = [
        np.concatenate([getattr(part, name) for part in parts] or [np.empty(0, np.int64)])
        for name in Newest.__slots__
    ]
    return _last_of_each(Newest(*columns))


def is_newer(one: Newest, other: Newest) -> NDArray[np.bool_]:
    """Return, per row, whether the first is newer."""
    result = one.flags < other.flags
    for mine, yours in (
        (~one.value, ~other.value),
        (one.source, other.source),
        (one.measured_at_s, other.measured_at_s),
    ):
        result = (mine > yours) | ((mine == yours) & result)
    return result


def _candidates(batch: RawBatch) -> Newest:
    """The last read of each run of one channel, where time rises within runs; else after sorting."""
    channel_id, at_s = batch.channel_id, batch.measured_at_s
    ends = np.flatnonzero(channel_id[1:] != channel_id[:-1])
    falls = np.flatnonzero(at_s[1:] <= at_s[:-1])
    is_rising = len(falls) <= len(ends) and bool(np.isin(falls, ends).all())
    rows = np.append(ends, len(channel_id) - 1) if is_rising else np.arange(len(channel_id))
    rows = rows[: len(channel_id)]
    found = Newest(
        np.full(len(rows), batch.tenant_id, np.int64),
        *(getattr(batch, name)[rows] for name in Newest.__slots__[1:]),
    )
    return found if is_rising else _last_of_each(found)


def _last_of_each(reads: Newest) -> Newest:
    order = np.lexsort(
        (~reads.flags, ~reads.value, reads.source, reads.measured_at_s, reads.channel_id, reads.tenant_id)
    )
    tenant_id, channel_id = reads.tenant_id[order], reads.channel_id[order]
    is_last = np.ones(len(order), np.bool_)
    is_last[:-1] = (channel_id[1:] != channel_id[:-1]) | (tenant_id[1:] != tenant_id[:-1])
    return reads.rows(order[is_last])
