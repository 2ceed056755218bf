"""A `RawBatch` as bytes and back: an Arrow stream of its reads, one of its frames, and what they share.

Layout: length of the reads' stream (8 bytes, little endian), the reads' stream, the frames' stream. What the
batch shares (tenant, id, receive time) is schema metadata. Integrity is the spool's job.
"""

import struct

import numpy as np
import pyarrow as pa

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.api import RawBatch, RawFrame

_READS = ("channel_id", "measured_at_s", "value", "flags", "source", "frame_index")
_SHARED = ("tenant_id", "batch_id", "received_at_s")
_FRAMES = pa.schema(
    [
        pa.field("link_id", pa.int64()),
        pa.field("device_id", pa.int64()),
        pa.field("received_at_s", pa.int64()),
        pa.field("content", pa.binary()),
    ]
)
_LENGTH = struct.Struct("<q")


class BatchDamaged(WattkeeperError):
    """Raised when bytes are not a batch: ``store.batch-damaged``."""


def encode_batch(batch: RawBatch) -> bytes:
    """Return the batch as bytes."""
    shared = {
        "tenant_id": str(batch.tenant_id),
        "batch_id": str(batch.batch_id),
        "received_at_s": str(batch.received_at_s),
    }
    reads = pa.table({name: pa.array(getattr(batch, name), pa.int64()) for name in _READS})
    frames = pa.table(
        {name: [getattr(frame, name) for frame in batch.frames] for name in _FRAMES.names}, schema=_FRAMES
    )
    head = to_stream(reads.replace_schema_metadata(shared))
    return _LENGTH.pack(len(head)) + head + to_stream(frames)


def decode_batch(content: bytes) -> RawBatch:
    """Return the batch of `content`.

    :raises BatchDamaged: if it is none
    """
    try:
        (length,) = _LENGTH.unpack_from(content)
        if not 0 <= length <= len(content) - _LENGTH.size:
            raise BatchDamaged("store.batch-damaged", reason="length")
        reads = pa.ipc.open_stream(content[_LENGTH.size : _LENGTH.size + length]).read_all()
        frames = pa.ipc.open_stream(content[_LENGTH.size + length :]).read_all()
        if reads.schema.names != list(_READS) or frames.schema != _FRAMES:
            raise BatchDamaged("store.batch-damaged", reason="columns")
        shared = [int(reads.schema.metadata[name.encode()]) for name in _SHARED]
        columns = [reads[name].to_numpy().astype(np.int64) for name in _READS]
    except (pa.ArrowException, struct.error, KeyError, TypeError, ValueError, OSError) as error:
        raise BatchDamaged("store.batch-damaged", reason=type(error).__name__) from error
    own_frames = tuple(RawFrame(**row) for row in frames.to_pylist())
    return RawBatch(
        tenant_id=shared[0],
        batch_id=shared[1],
        received_at_s=shared[2],
        **dict(zip(_READS, columns, strict=True)),
        frames=own_frames,
    )


def to_stream(table: pa.Table) -> bytes:
    """Return an Arrow table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content
