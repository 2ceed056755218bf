"""Between the store's columns and Arrow tables. Ranges were checked before: nothing here may wrap around."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from wattkeeper.store.api import Int64s, Measurements, RawBatch, RawFrame, RawReads

READS = ("channel_id", "measured_at_s", "value", "flags", "source", "batch_id", "frame_index")
MEASURED = ("series_id", "starts_at_s", "value_milliwh", "provenance", "flags", "method", "run_id")


def reads_of(tables: Iterable[pa.Table]) -> RawReads:
    """Return the reads of the tables, one after the other."""
    known = list(tables)
    return RawReads(*(column_of(known, name) for name in READS))


def column_of(tables: Sequence[pa.Table], name: str) -> Int64s:
    """Return one column of the tables, one after the other."""
    columns = [table[name].to_numpy().astype(np.int64) for table in tables]
    return np.concatenate(columns) if columns else np.empty(0, np.int64)


def read_table(batch: RawBatch) -> pa.Table:
    """Return the batch's reads as rows of ``raw_read``."""
    count = len(batch.channel_id)
    return pa.table(
        {
            "tenant_id": pa.array(np.full(count, batch.tenant_id, np.int64)),
            "channel_id": pa.array(batch.channel_id),
            "measured_at": _instants(batch.measured_at_s),
            "source": pa.array(batch.source.astype(np.int8)),
            "value": pa.array(batch.value),
            "flags": pa.array(batch.flags.astype(np.int32)),
            "batch_id": pa.array(np.full(count, batch.batch_id, np.int64)),
            "frame_index": pa.array(batch.frame_index.astype(np.int32)),
        }
    )


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


def measurement_table(tenant_id: int, measurements: Measurements) -> pa.Table:
    """Return the values as rows of ``measurement``."""
    return pa.table(
        {
            "tenant_id": pa.array(np.full(len(measurements.series_id), tenant_id, np.int64)),
            "series_id": pa.array(measurements.series_id),
            "starts_at": _instants(measurements.starts_at_s),
            "run_id": pa.array(measurements.run_id),
            "value_milliwh": pa.array(measurements.value_milliwh),
            "provenance": pa.array(measurements.provenance.astype(np.int8)),
            "flags": pa.array(measurements.flags.astype(np.int32)),
            "method": pa.array(measurements.method.astype(np.int8)),
        }
    )


def to_stream(table: pa.Table) -> bytes:
    """Return the table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _instants(seconds: Int64s) -> Any:
    return pa.array(seconds.astype(np.uint32), pa.uint32())
