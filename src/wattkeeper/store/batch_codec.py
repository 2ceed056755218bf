"""A `RawBatch` as bytes and back, for the spool. Little endian throughout:

    "WKB1" | tenant_id | batch_id | received_at_s | reads (4) | frames (4)
    | channel_id measured_at_s value flags source frame_index: one column after the other, 8 bytes a read
    | link_id device_id received_at_s length: one column after the other, 8 bytes a frame | contents

The length must match to the byte. Whether the bytes are still those that were written, the spool's checksum
says.
"""

import struct
from itertools import pairwise

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.api import Int64s, RawBatch, RawFrame

_HEAD = struct.Struct("<4sqqqII")
_MARK = b"WKB1"
_READS = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")
_FRAME_COLUMNS_COUNT = 4
_NUMBER_BYTES = 8


class BatchDamaged(WattkeeperError):
    """Raised when bytes are not a batch: ``store.batch-damaged``."""


def encode_batch(batch: RawBatch) -> bytes:
    """Return the batch as bytes.

    :raises ValueError: if its columns are not of one length
    """
    columns = np.stack([getattr(batch, name) for name in _READS]).astype("<i8", copy=False)
    frames = [
        (frame.link_id, frame.device_id, frame.received_at_s, len(frame.content)) for frame in batch.frames
    ]
    head = _HEAD.pack(
        _MARK, batch.tenant_id, batch.batch_id, batch.received_at_s, columns.shape[1], len(frames)
    )
    facts = np.array(frames, "<i8").T.tobytes()
    return b"".join((head, columns.tobytes(), facts, *(frame.content for frame in batch.frames)))


def decode_batch(content: bytes) -> RawBatch:
    """Return the batch of `content`.

    :raises BatchDamaged: if it is none
    """
    if len(content) < _HEAD.size or not content.startswith(_MARK):
        raise BatchDamaged("store.batch-damaged", reason="head")
    _, tenant_id, batch_id, received_at_s, reads_count, frames_count = _HEAD.unpack_from(content)
    frames_at = _HEAD.size + len(_READS) * reads_count * _NUMBER_BYTES
    contents_at = frames_at + _FRAME_COLUMNS_COUNT * frames_count * _NUMBER_BYTES
    if len(content) < contents_at:
        raise BatchDamaged("store.batch-damaged", reason="length")
    reads = _columns(content, _HEAD.size, len(_READS), reads_count)
    facts = _columns(content, frames_at, _FRAME_COLUMNS_COUNT, frames_count)
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=batch_id,
        received_at_s=received_at_s,
        **dict(zip(_READS, reads, strict=True)),
        frames=_frames(content, contents_at, facts),
    )


def _columns(content: bytes, at: int, columns_count: int, rows_count: int) -> Int64s:
    numbers = np.frombuffer(content, "<i8", columns_count * rows_count, at)
    return numbers.astype(np.int64).reshape(columns_count, rows_count)


def _frames(content: bytes, at: int, facts: Int64s) -> tuple[RawFrame, ...]:
    ends = [at]
    for length in facts[3].tolist():
        if length < 0:
            raise BatchDamaged("store.batch-damaged", reason="length")
        ends.append(ends[-1] + length)
    if ends[-1] != len(content):
        raise BatchDamaged("store.batch-damaged", reason="length")
    rows = zip(*facts[:3].tolist(), pairwise(ends), strict=True)
    return tuple(
        RawFrame(link_id, device_id, received_at_s, content[start:end])
        for link_id, device_id, received_at_s, (start, end) in rows
    )
