"""Receipts: how many reads a batch held in each month, and a sum that no other reads have.

Each read becomes 64 bits, and the numbers of a batch are added modulo 2^64 (`mixing`): the engine computes
the same sum from what it stores (`READ_MIX`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import RawBatch
from wattkeeper.store.mixing import mix_columns, mix_sql

_COLUMNS = ("channel_id", "measured_at_s", "value", "flags", "source")
READ_MIX = mix_sql(
    (
        "toUInt64(channel_id)",
        "toUInt64(toUnixTimestamp(measured_at))",
        "toUInt64(value)",
        "toUInt64(toInt64(flags))",
        "toUInt64(toInt64(source))",
    )
)
_FRAME = ("toUInt64(CRC32(content))", "toUInt64(toInt64(frame_index))")
FRAME_MIX = mix_sql(
    (*_FRAME, "toUInt64(link_id)", "toUInt64(device_id)", "toUInt64(toUnixTimestamp(received_at))")
)
EARLIER_FRAME_MIX = mix_sql(_FRAME)  # of receipts of earlier releases, which say only what came


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one batch held in one month."""

    tenant_id: int
    batch_id: int
    first_at_s: int
    last_at_s: int
    received_at_s: int
    first_channel_id: int
    last_channel_id: int
    reads_count: int
    reads_mix: int
    frames_count: int
    frames_mix: int


def frames_mix(batch: RawBatch) -> int:
    """Return the sum over the batch's frames."""
    if not batch.frames:
        return 0
    rows = [
        (crc32(frame.content), index, frame.link_id, frame.device_id, frame.received_at_s)
        for index, frame in enumerate(batch.frames)
    ]
    return int(mix_columns(list(np.array(rows, np.int64).T)).sum(dtype=np.uint64))


def receipts_of(batch: RawBatch) -> Iterator[Receipt]:
    """Yield one receipt a month; one without reads where the batch has only frames."""
    frames = (len(batch.frames), frames_mix(batch))
    if not len(batch.channel_id):
        if batch.frames:
            instants = (batch.received_at_s,) * 3
            yield Receipt(batch.tenant_id, batch.batch_id, *instants, 0, 0, 0, 0, *frames)
        return
    mixed = mix_columns([getattr(batch, name) for name in _COLUMNS])
    for rows in _by_month(batch.measured_at_s):
        at_s, channel_id = batch.measured_at_s[rows], batch.channel_id[rows]
        distinct = _distinct(batch, rows) if _may_repeat(channel_id, at_s) else slice(None)
        yield Receipt(
            batch.tenant_id,
            batch.batch_id,
            int(at_s.min()),
            int(at_s.max()),
            batch.received_at_s,
            int(channel_id.min()),
            int(channel_id.max()),
            len(mixed[rows][distinct]),
            int(mixed[rows][distinct].sum(dtype=np.uint64)),
            *frames,
        )


def receipt_table(receipts: Sequence[Receipt]) -> pa.Table:
    """Return receipts as rows of ``raw_receipt``."""
    plain = {
        "tenant_id": pa.int64(),
        "batch_id": pa.int64(),
        "first_at_s": pa.uint32(),
        "last_at_s": pa.uint32(),
        "received_at_s": pa.uint32(),
        "first_channel_id": pa.int64(),
        "last_channel_id": pa.int64(),
        "reads_count": pa.int64(),
        "reads_mix": pa.uint64(),
        "frames_count": pa.int64(),
        "frames_mix": pa.uint64(),
    }
    return pa.table(
        {
            name.removesuffix("_s"): pa.array([getattr(row, name) for row in receipts], kind)
            for name, kind in plain.items()
        }
    )


def _by_month(at_s: Int64s) -> "Iterator[slice | NDArray[np.intp]]":
    first, last = np.array([at_s.min(), at_s.max()]).astype("datetime64[s]").astype("datetime64[M]")
    if first == last:
        yield slice(None)
        return
    starts_s = np.arange(first + 1, last + 1).astype("datetime64[s]").astype(np.int64)
    month = np.searchsorted(starts_s, at_s, side="right")
    for number in np.flatnonzero(np.bincount(month)):
        yield np.flatnonzero(month == number)


def _may_repeat(channel_id: Int64s, at_s: Int64s) -> bool:
    """Whether a read may be in the columns twice: not where channel and instant rise together."""
    is_after = (channel_id[1:] == channel_id[:-1]) & (at_s[1:] > at_s[:-1])
    is_after |= channel_id[1:] > channel_id[:-1]
    return not bool(is_after.all())


def _distinct(batch: RawBatch, rows: "slice | NDArray[np.intp]") -> NDArray[np.intp]:
    key = np.stack([getattr(batch, name)[rows] for name in _COLUMNS])
    return np.unique(key, axis=1, return_index=True)[1]
