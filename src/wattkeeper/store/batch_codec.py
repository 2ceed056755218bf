"""A `RawBatch` as bytes and back, for the spool. Little endian throughout:

    "WKB2" | tenant_id | batch_id | received_at_s | reads (4) | frames (4) | width of each column (1 each)
    | least of each column (8 each) | channel_id measured_at_s value flags source frame_index
    | link_id device_id received_at_s length | contents of the frames

A column holds how much each number exceeds its column's least, in as few bytes as its largest needs: 0 (all
are alike), 1, 2, 4 or 8; those of channel_id and link_id at least 1. The length must match to the byte.
Whether the bytes are still those that were written, the spool's checksum says.
"""

import struct
from itertools import pairwise

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import RawBatch, RawFrame

_HEAD = struct.Struct("<4sqqqII")
_MARK = b"WKB2"
_READS = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")
_FRAME_COLUMNS_COUNT = 4
_COLUMNS_COUNT = len(_READS) + _FRAME_COLUMNS_COUNT
_FACTS = struct.Struct(f"<{_COLUMNS_COUNT}B{_COLUMNS_COUNT}q")
_WIDTHS_BYTES = (1, 2, 4, 8)
_COUNTED = (0, 6)  # channel_id and link_id take a byte at least, so that no count exceeds the length


class BatchDamaged(WattkeeperError):
    """Raised when bytes are not a batch: ``store.batch-damaged``."""


def encode_batch(batch: RawBatch) -> bytes:
    """Return the batch as bytes.

    :raises ValueError: if its columns are not of one length
    """
    reads_count = len(batch.channel_id)
    columns = [getattr(batch, name) for name in _READS]
    if any(len(column) != reads_count for column in columns):
        raise ValueError("columns of unequal length")
    facts = np.array(
        [(frame.link_id, frame.device_id, frame.received_at_s, len(frame.content)) for frame in batch.frames],
        np.int64,
    )
    columns += list(facts.reshape(-1, _FRAME_COLUMNS_COUNT).T)
    widths, least, narrow = zip(
        *(_narrow(column, width_min_bytes=int(index in _COUNTED)) for index, column in enumerate(columns)),
        strict=True,
    )
    head = _HEAD.pack(
        _MARK, batch.tenant_id, batch.batch_id, batch.received_at_s, reads_count, len(batch.frames)
    )
    contents = (frame.content for frame in batch.frames)
    return b"".join((head, _FACTS.pack(*widths, *least), *narrow, *contents))


def decode_batch(content: bytes) -> RawBatch:
    """Return the batch of `content`.

    :raises BatchDamaged: if it is none
    """
    if len(content) < _HEAD.size + _FACTS.size or not content.startswith(_MARK):
        raise BatchDamaged("store.batch-damaged", reason="head")
    _, tenant_id, batch_id, received_at_s, reads_count, frames_count = _HEAD.unpack_from(content)
    facts = _FACTS.unpack_from(content, _HEAD.size)
    columns = []
    at = _HEAD.size + _FACTS.size
    for index in range(_COLUMNS_COUNT):
        width_bytes, least = facts[index], facts[_COLUMNS_COUNT + index]
        count = reads_count if index < len(_READS) else frames_count
        columns.append(_widen(content, at, width_bytes, least, count))
        at += width_bytes * count
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=batch_id,
        received_at_s=received_at_s,
        **dict(zip(_READS, columns, strict=False)),
        frames=_frames(content, at, columns[len(_READS) :]),
    )


def _narrow(column: Int64s, *, width_min_bytes: int = 0) -> tuple[int, int, bytes]:
    """Return the column's width in bytes, its least number, and its bytes."""
    if not len(column):
        return 0, 0, b""
    least, most = int(np.minimum.reduce(column)), int(np.maximum.reduce(column))
    width_bytes = _width_bytes(most - least) or width_min_bytes
    if not width_bytes:
        return 0, least, b""
    above = column if least == 0 else column - least  # may wrap around: modulo 2^64 it is right
    return width_bytes, least, above.astype(f"<u{width_bytes}").tobytes()


def _width_bytes(most: int) -> int:
    return next(width for width in (0, *_WIDTHS_BYTES) if most < 1 << 8 * width)


def _widen(content: bytes, at: int, width_bytes: int, least: int, count: int) -> Int64s:
    if width_bytes == 0 and count <= len(content):
        return np.ndarray(count, np.int64, struct.pack("=q", least), strides=(0,))
    if width_bytes not in _WIDTHS_BYTES or len(content) < at + width_bytes * count:
        raise BatchDamaged("store.batch-damaged", reason="length")
    above = np.frombuffer(content, f"<u{width_bytes}", count, at)
    numbers: Int64s = np.add(above, np.int64(least), dtype=np.int64, casting="unsafe")
    return numbers


def _frames(content: bytes, at: int, facts: list[Int64s]) -> tuple[RawFrame, ...]:
    ends = [at]
    for length in facts[3].tolist():
        if length < 0:
            raise BatchDamaged("store.batch-damaged", reason="length")
        ends.append(ends[-1] + length)
    if ends[-1] != len(content):
        raise BatchDamaged("store.batch-damaged", reason="length")
    rows = zip(*(column.tolist() for column in facts[:3]), pairwise(ends), strict=True)
    return tuple(
        RawFrame(link_id, device_id, received_at_s, content[start:end])
        for link_id, device_id, received_at_s, (start, end) in rows
    )
