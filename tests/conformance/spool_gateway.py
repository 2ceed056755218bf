"""A small gateway over the real spool: eight bytes come in, the same eight go back once they are durable.

    python spool_gateway.py FOLDER MODE

Modes: ``durable`` is the product; the others plant the fault that a rig must catch: ``ack-first`` answers
before the write, ``no-fsync`` commits without flushing, ``retry-after-eio`` repeats a failed commit on its
connection and takes it for done. ``folding`` is the product that folds its log after every few commits,
``fold-without-fsync`` does so without flushing what it folds.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path

import structlog
from fastcrc import crc32

from wattkeeper.headend import segment as segment_module
from wattkeeper.headend.errors import SpoolFailed, SpoolFull
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.segment import Segment
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.spool_writer import SpoolWriter

RECORD_BYTES = 8
_ACK_FIRST_DELAY_S = 0.02


def plant(mode: str) -> None:
    """Bend the spool the way `mode` says."""
    if mode == "no-fsync":
        connect = Segment._connect

        def connect_without_fsync(segment: Segment) -> sqlite3.Connection:
            connection = connect(segment)
            connection.execute("PRAGMA synchronous=OFF")
            return connection

        Segment._connect = connect_without_fsync  # type: ignore[method-assign]
    if mode == "retry-after-eio":
        Segment.append = _append_and_retry  # type: ignore[method-assign]
    if mode.startswith("fold"):
        segment_module._LOG_MAX_BYTES = 128 * 1024
    if mode == "fold-without-fsync":
        fold = Segment._fold

        def fold_without_fsync(segment: Segment) -> bool:
            segment._connection.execute("PRAGMA synchronous=OFF")
            is_folded = fold(segment)
            segment._connection.execute("PRAGMA synchronous=FULL")
            return is_folded

        Segment._fold = fold_without_fsync  # type: ignore[method-assign]


def _append_and_retry(segment: Segment, contents: list[bytes]) -> None:
    """What many a spool does: commit again until it says yes."""
    rows = [(crc32.iscsi(content), content) for content in contents]
    connection = segment._connection
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO batch (crc32c, content) VALUES (?, ?)", rows)
    while True:
        try:
            connection.execute("COMMIT")
            break
        except sqlite3.OperationalError:
            if not connection.in_transaction:
                break


class Gateway:
    """Serves clients until it is killed."""

    def __init__(self, folder: Path, mode: str) -> None:
        self._mode = mode
        self._writer = SpoolWriter(Spool(folder), HeadendMetrics(), on_stored=lambda: None)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's records, each when it is durable."""
        try:
            while True:
                record = await reader.readexactly(RECORD_BYTES)
                if self._mode == "ack-first":
                    writer.write(record)
                task = asyncio.create_task(self._keep(record, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _keep(self, record: bytes, writer: asyncio.StreamWriter) -> None:
        if self._mode == "ack-first":
            await asyncio.sleep(_ACK_FIRST_DELAY_S)
        try:
            await self._writer.append_bytes(record)
        except (SpoolFailed, SpoolFull):
            writer.close()
            return
        if self._mode != "ack-first":
            writer.write(record)


async def main(folder: Path, mode: str) -> None:
    """Print the port once serving."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the port
    plant(mode)
    gateway = Gateway(folder, mode)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
