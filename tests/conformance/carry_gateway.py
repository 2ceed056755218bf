"""A head-end whose devices are sockets: eight bytes in, the same back once durable, then over the carrier.

    python carry_gateway.py FOLDER NAME URL CHANNEL_ID MODE

Spool, drain and carrier are the product's. Modes: ``confirmed`` is the product; ``trust-publish`` plants the
fault that a rig must catch: it forgets what the carrier's server said that it has.
"""

import asyncio
import struct
import sys
from pathlib import Path

import numpy as np

from wattkeeper.bootstrap.engines import SystemClock
from wattkeeper.headend.batch import new_batch_id
from wattkeeper.headend.carry import Carrier
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.carry_parcel import STORED, Confirmation, Parcel
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.errors import SpoolFailed, SpoolFull
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.headend.timetable import Timetable
from wattkeeper.store.api import RawBatch

RECORD_BYTES = 8
TENANT_ID = 1
BEGINS_AT_S = 1_700_000_000
_GROUP_MAX_BYTES = RECORD_BYTES * 512


class TrustingCarrier(Carrier):
    """Takes the server's word for the writer's."""

    async def _carry(self, parcel: Parcel) -> Confirmation:
        is_taken = False
        while not is_taken:
            is_taken = await self._publish(parcel)
        return Confirmation(parcel.digest, parcel.batches_count, 0, 0, STORED)


def batch_of(records: bytes, channel_id: int) -> RawBatch:
    """Return the records as reads: the number is the value and the instant."""
    numbers = np.array([number for (number,) in struct.iter_unpack(">Q", records)], dtype=np.int64)
    zeros = np.zeros(len(numbers), dtype=np.int64)
    return RawBatch(
        tenant_id=TENANT_ID,
        batch_id=new_batch_id(BEGINS_AT_S),
        received_at_s=BEGINS_AT_S,
        channel_id=zeros + channel_id,
        measured_at_s=numbers + BEGINS_AT_S,
        value=numbers,
        flags=zeros,
        source=zeros + 1,
        frame_index=zeros - 1,
    )


class Gateway:
    """Serves clients until it is killed."""

    def __init__(self, writer: SpoolWriter, channel_id: int) -> None:
        self._writer = writer
        self._channel_id = channel_id

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's records when they are durable."""
        left = b""
        try:
            while chunk := await reader.read(_GROUP_MAX_BYTES):
                left += chunk
                whole_bytes = len(left) // RECORD_BYTES * RECORD_BYTES
                records, left = left[:whole_bytes], left[whole_bytes:]
                if records:
                    await self._writer.append(batch_of(records, self._channel_id))
                    writer.write(records)
        except (ConnectionError, SpoolFailed, SpoolFull):
            pass
        finally:
            writer.close()


async def nothing() -> None:
    """The clock is never moved by hand."""


async def main(folder: Path, name: str, url: str, channel_id: int, mode: str) -> None:
    """Print the port once serving."""
    metrics, clock, spool = HeadendMetrics(), SystemClock(), Spool(folder)
    kind = TrustingCarrier if mode == "trust-publish" else Carrier
    carrier = kind(parse_carrier(url), name, metrics, resend_s=1.0, give_up_s=10.0)
    await carrier.start()
    timetable = Timetable(clock, on_moved=nothing)
    drain = Drain(spool, carrier, clock, timetable.add(), metrics)
    gateway = Gateway(SpoolWriter(spool, metrics, on_stored=drain.wake), channel_id)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(server.serve_forever(), timetable.run(), drain.run())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]))
