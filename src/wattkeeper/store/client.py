"""The store over ClickHouse's HTTP dialect and Arrow streams.

The same client speaks to the embedded engine's process and to a server or cluster.
"""

import threading
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import pyarrow as pa

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import queries
from wattkeeper.store.api import (
    Int64s,
    LatestRead,
    Measurements,
    RawBatch,
    RawFrame,
    RawReads,
    StoreCounts,
)
from wattkeeper.store.batch_codec import to_stream
from wattkeeper.store.schema import TABLES

_READS = ("channel_id", "measured_at_s", "value", "flags", "source", "batch_id", "frame_index")
_MEASURED = ("series_id", "starts_at_s", "value_milliwh", "provenance", "flags", "method", "run_id")
_TIMEOUT_S = 120.0
_DISK_FULL = ("NOT_ENOUGH_SPACE", "No space left on device")


class StoreRefused(WattkeeperError):
    """Raised when the engine answers with an error: ``store.refused``, ``store.disk-full``."""


class StoreUnreachable(WattkeeperError):
    """Raised when no engine answers: ``store.unreachable``; asking again later can help."""


class HttpReadingStore:
    """A `ReadingStore` behind an HTTP address. Safe to use from several threads: one connection each."""

    def __init__(self, url: str, secret: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 8123
        self._headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": secret}
        self._local = threading.local()

    def make_tables(self) -> None:
        """Create what is not there yet."""
        for statement in TABLES.values():
            self._ask(statement)

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        """Append the batches durably; frames first, so that no read points at nothing."""
        frames = [
            (batch.tenant_id, batch.batch_id, index, frame)
            for batch in batches
            for index, frame in enumerate(batch.frames)
        ]
        if frames:
            self._insert("raw_frame", _frame_table(frames))
        if any(len(batch.channel_id) for batch in batches):
            self._insert("raw_read", pa.concat_tables([_read_table(batch) for batch in batches]))

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        """Append the values of one run durably."""
        if not len(measurements.series_id):
            return
        count = len(measurements.series_id)
        self._insert(
            "measurement",
            pa.table(
                {
                    "tenant_id": pa.array(np.full(count, tenant_id, np.int64)),
                    "series_id": pa.array(measurements.series_id),
                    "starts_at": _instants(measurements.starts_at_s),
                    "run_id": pa.array(measurements.run_id),
                    "value_milliwh": pa.array(measurements.value_milliwh),
                    "provenance": pa.array(measurements.provenance.astype(np.int8)),
                    "flags": pa.array(measurements.flags.astype(np.int32)),
                    "method": pa.array(measurements.method.astype(np.int8)),
                }
            ),
        )

    def raw_reads(self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int) -> RawReads:
        """Return the distinct reads with from_s <= measured_at_s < to_s."""
        return self._reads(queries.raw_reads(tenant_id, channel_ids, from_s, to_s))

    def nearest_reads(
        self, tenant_id: int, channel_ids: Sequence[int], at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        """Return, per channel, the newest read strictly before `at_s` (or the oldest at or after it)."""
        return self._reads(
            queries.nearest_reads(tenant_id, channel_ids, at_s, before=before, sources=sources)
        )

    def measurements(
        self,
        tenant_id: int,
        series_ids: Sequence[int],
        from_s: int,
        to_s: int,
        *,
        as_of_run_id: int | None = None,
    ) -> Measurements:
        """Return the current values, or those as of a run, ordered by series and start."""
        table = self._select(queries.measurements(tenant_id, series_ids, from_s, to_s, as_of_run_id))
        return Measurements(*(_column(table, name) for name in _MEASURED))

    def daily_energy(
        self, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int]
    ) -> dict[int, list[int]]:
        """Return, per series, the sums of current values (milliwatt-hours) between consecutive bounds."""
        sums = {int(series_id): [0] * (len(bounds_s) - 1) for series_id in series_ids}
        if len(bounds_s) < 2:
            return sums
        position = {int(bound): index for index, bound in enumerate(bounds_s)}
        for row in self._select(queries.daily_energy(tenant_id, series_ids, bounds_s)).to_pylist():
            sums[row["series_id"]][position[row["bound_s"]]] = row["energy_milliwh"]
        return sums

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        """Return the newest read of each channel that has one."""
        found = self._reads(queries.latest(tenant_id, channel_ids))
        rows = zip(
            *(column.tolist() for column in (found.channel_id, found.measured_at_s, found.value)),
            found.flags.tolist(),
            found.source.tolist(),
            strict=True,
        )
        return {row[0]: LatestRead(*row) for row in rows}

    def stamps_held(
        self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int, *, sources: Sequence[int]
    ) -> dict[int, Int64s]:
        """Return, per channel, the instants held from these sources."""
        table = self._select(queries.stamps_held(tenant_id, channel_ids, from_s, to_s, sources))
        channels, stamps = _column(table, "channel_id"), _column(table, "measured_at_s")
        return {int(channel_id): stamps[channels == channel_id] for channel_id in channel_ids}

    def frames(self, tenant_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RawFrame]:
        """Return the frames named by (batch_id, frame_index)."""
        if not keys:
            return {}
        rows = self._select(queries.frames(tenant_id, keys)).to_pylist()
        return {
            (row["batch_id"], row["frame_index"]): RawFrame(
                row["link_id"], row["device_id"], row["received_at_s"], bytes(row["content"])
            )
            for row in rows
        }

    def counts(self, tenant_id: int) -> StoreCounts:
        """Return how much is held."""
        row = self._select(queries.counts(tenant_id)).to_pylist()[0]
        return StoreCounts(
            int(row["raw_reads"]), int(row["raw_rows"]), int(row["measurements"]), int(row["frames"])
        )

    def _reads(self, query: str) -> RawReads:
        table = self._select(query)
        return RawReads(*(_column(table, name) for name in _READS))

    def _select(self, query: str) -> pa.Table:
        content = self._ask(query)
        return pa.ipc.open_stream(content).read_all() if content else pa.table({})

    def _insert(self, table_name: str, table: pa.Table) -> None:
        statement = f"INSERT INTO {table_name} ({', '.join(table.column_names)}) FORMAT ArrowStream"
        self._ask(to_stream(table), path=f"/?query={quote(statement)}")

    def _ask(self, body: str | bytes, path: str = "/") -> bytes:
        """Send one request; a connection that the other side closed meanwhile is opened again once.

        Sending an insert twice is harmless: reads are a set and a run's values are the same.
        """
        content = body.encode() if isinstance(body, str) else body
        for is_last in (False, True):
            try:
                return self._exchange(content, path)
            except (HTTPException, OSError) as error:
                self._close()
                if is_last:
                    raise StoreUnreachable(
                        "store.unreachable", is_permanent=False, address=f"{self._host}:{self._port}"
                    ) from error
        return b""

    def _exchange(self, content: bytes, path: str) -> bytes:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
            self._local.connection = connection
        connection.request("POST", path, body=content, headers=self._headers)
        answer = connection.getresponse()
        told = answer.read()
        if answer.status == 200:
            return told
        text = told.decode("utf-8", "replace")
        if any(sign in text for sign in _DISK_FULL):
            raise StoreRefused("store.disk-full", is_permanent=False)
        raise StoreRefused("store.refused", status=answer.status, reason=text[:500])

    def _close(self) -> None:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _column(table: pa.Table, name: str) -> Int64s:
    if name not in table.column_names:
        return np.empty(0, np.int64)
    column: Int64s = table[name].to_numpy().astype(np.int64)
    return column


def _instants(seconds: Int64s) -> Any:
    return pa.array(seconds.astype(np.uint32), pa.uint32())


def _read_table(batch: RawBatch) -> pa.Table:
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


def _frame_table(frames: list[tuple[int, int, int, RawFrame]]) -> pa.Table:
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
