"""A writer, wired. Import it after `setup_django()`."""

import asyncio
import signal
from collections.abc import Sequence

import uvloop
from django.db import close_old_connections

from wattkeeper.bootstrap.engines import carrier_address, make_clock, open_store
from wattkeeper.bootstrap.headend_ports import StoreSink
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_writer import Writer
from wattkeeper.store.api import RawBatch


def run_writer_role() -> None:
    """
    Store what head-ends send over the carrier until told to stop.

    :raises WattkeeperError: ``carry.not-set``, or another ``carry.*`` if the carrier's address is wrong;
        ``store.not-running``
    """
    address = carrier_address()
    if address is None:
        raise WattkeeperError("carry.not-set")
    sink = WritingSink(open_store(), make_clock().now)

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await Writer(address, sink, stop=stop).run()

    uvloop.run(run())


class WritingSink(StoreSink):
    """A sink that outlives a database that was away."""

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        """Store the batches durably and mark their windows."""
        try:
            super().deliver(batches)
        finally:
            close_old_connections()
