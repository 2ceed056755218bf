"""Between the store's columns and the engine's. Ranges were checked before: nothing here may wrap around."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import Measurements, RawBatch, RawFrame, RawReads
from wattkeeper.store.native import Columns

READS = ("channel_id", "measured_at_s", "value", "flags", "source", "batch_id", "frame_index")
MEASURED = ("series_id", "starts_at_s", "value_milliwh", "provenance", "flags", "method", "run_id")


def reads_of(blocks: Sequence[Columns]) -> RawReads:
    """Return the reads of the blocks, one after the other."""
    return RawReads(*(column_of(blocks, name) for name in READS))


def column_of(blocks: Sequence[Columns], name: str) -> Int64s:
    """Return one column of the blocks, one after the other."""
    columns = [block[name] for block in blocks] or [np.empty(0, np.int64)]
    return np.concatenate(columns, dtype=np.int64, casting="unsafe")


def read_columns(batches: Sequence[RawBatch]) -> Columns:
    """Return the batches' reads as columns of ``raw_read``, those of low channels first."""
    known = [batch for batch in batches if len(batch.channel_id)]
    known.sort(key=lambda batch: (batch.tenant_id, int(batch.channel_id[0])))
    counts = [len(batch.channel_id) for batch in known]

    def alike(name: str) -> NDArray[Any]:
        numbers = np.array([getattr(batch, name) for batch in known], np.int64)
        return np.repeat(_joined([numbers]), counts)

    def each(name: str, kind: DTypeLike | None = None) -> NDArray[Any]:
        return _joined([getattr(batch, name) for batch in known], kind)

    return {
        "tenant_id": alike("tenant_id"),
        "channel_id": each("channel_id"),
        "measured_at": each("measured_at_s", np.uint32),
        "source": each("source"),
        "value": each("value"),
        "flags": each("flags"),
        "batch_id": alike("batch_id"),
        "frame_index": each("frame_index"),
    }


def frame_table(frames: Sequence[tuple[int, int, int, RawFrame]]) -> pa.Table:
    """Return frames (tenant_id, batch_id, frame_index, frame) as rows of ``raw_frame``."""
    return pa.table(
        {
            "tenant_id": pa.array([row[0] for row in frames], pa.int64()),
            "batch_id": pa.array([row[1] for row in frames], pa.int64()),
            "frame_index": pa.array([row[2] for row in frames], pa.int32()),
            "link_id": pa.array([row[3].link_id for row in frames], pa.int64()),
            "device_id": pa.array([row[3].device_id for row in frames], pa.int64()),
            "received_at": pa.array([row[3].received_at_s for row in frames], pa.uint32()),
            "content": pa.array([row[3].content for row in frames], pa.binary()),
        }
    )


def measurement_columns(tenant_id: int, measurements: Measurements) -> Columns:
    """Return the values as columns of ``measurement``."""
    count = len(measurements.series_id)
    return {
        "tenant_id": np.repeat(_joined([np.array([tenant_id])]), count),
        "series_id": _joined([measurements.series_id]),
        "starts_at": measurements.starts_at_s.astype(np.uint32),
        "run_id": _joined([measurements.run_id]),
        "value_milliwh": measurements.value_milliwh,
        "provenance": _joined([measurements.provenance]),
        "flags": _joined([measurements.flags]),
        "method": _joined([measurements.method]),
    }


def to_stream(table: pa.Table) -> bytes:
    """Return the table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _joined(parts: Sequence[Int64s], kind: DTypeLike | None = None) -> NDArray[Any]:
    """Return the numbers, one part after the other; of the narrowest type where none is named."""
    known = [part for part in parts if len(part)] or [np.empty(0, np.int64)]
    return np.concatenate(known, dtype=kind or _narrowest(known), casting="unsafe")


def _narrowest(parts: Sequence[Int64s]) -> DTypeLike:
    least = min(int(np.minimum.reduce(part, initial=0)) for part in parts)
    most = max(int(np.maximum.reduce(part, initial=0)) for part in parts)
    return np.min_scalar_type(min(least, -most - 1))
