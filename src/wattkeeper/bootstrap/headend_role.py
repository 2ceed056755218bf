"""The head-end child, wired. Import it after `setup_django()`."""

import asyncio
import contextlib
import signal
from pathlib import Path

import uvloop
from prometheus_client import generate_latest

from wattkeeper.bootstrap.engines import carrier_address, data_folder, make_clock, open_store
from wattkeeper.bootstrap.fresh_threads import FreshThreads
from wattkeeper.bootstrap.headend_ports import DataPlan, StoreHoldings, StoreSink
from wattkeeper.bootstrap.headend_reports import DataReports
from wattkeeper.bootstrap.headend_share import OwnedPlan, metrics_path, own_headend, spool_folder
from wattkeeper.bootstrap.plants import read_plant
from wattkeeper.bootstrap.services import DataOutbox
from wattkeeper.data.collection.models import MAIN
from wattkeeper.headend.carry import Carrier
from wattkeeper.headend.carry_link import check_name
from wattkeeper.headend.dispatch import COMMAND_THREADS_COUNT, read_relay_back
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.plants import drop_gaps, trust_acknowledgement
from wattkeeper.headend.ports import Clock
from wattkeeper.headend.service import run_headend
from wattkeeper.headend.services import fetch_every_gap
from wattkeeper.headend.spool import Spool

METRICS_PERIOD_S = 1.0


def run_headend_role(name: str = MAIN) -> None:
    """
    Collect what is given to the head-end of this name, hand over and dispatch.

    :raises WattkeeperError: ``carry.name``, or another ``carry.*`` if the carrier's address is wrong;
        ``headend.spool-busy`` if this head-end runs already
    """
    check_name(name)
    uvloop.run(_run_headend(name, make_clock(follower="headend"), read_plant()))


async def _run_headend(name: str, clock: Clock, plant: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(FreshThreads())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    folder = data_folder()
    store = open_store()
    metrics = HeadendMetrics()
    spool = Spool(spool_folder(folder, name))
    publisher = asyncio.create_task(_publish_metrics(metrics, metrics_path(folder, name)))
    carrier = _make_carrier(name, metrics)
    is_one_of_several = carrier is not None or name != MAIN
    ownership = (
        await asyncio.to_thread(own_headend, name, spool_folder(folder, name)) if is_one_of_several else None
    )
    plan = DataPlan(folder, clock.now, name)
    try:
        if carrier is not None:
            await carrier.start()
        await run_headend(
            plan=plan if ownership is None else OwnedPlan(plan, ownership),
            holdings=StoreHoldings(store),
            sink=carrier or StoreSink(store, clock.now),
            report=DataReports(clock.now, name),
            outbox=DataOutbox(name),
            clock=clock,
            spool=spool,
            stop=stop,
            metrics=metrics,
            backfill_policy=drop_gaps if plant == "drop-backfill" else fetch_every_gap,
            read_back_policy=trust_acknowledgement if plant == "trust-ack" else read_relay_back,
            command_threads=FreshThreads(COMMAND_THREADS_COUNT, "commands"),
        )
    finally:
        publisher.cancel()
        if carrier is not None:
            await carrier.close()
        if ownership is not None:
            await asyncio.to_thread(ownership.stop)
        spool.close()


def _make_carrier(name: str, metrics: HeadendMetrics) -> Carrier | None:
    address = carrier_address()
    return None if address is None else Carrier(address, name, metrics)


async def _publish_metrics(metrics: HeadendMetrics, path: Path) -> None:
    """Write the counters where the web child finds them."""
    path.parent.mkdir(exist_ok=True)
    while True:
        fresh = path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk: they are written once there is room
            await asyncio.to_thread(fresh.write_bytes, generate_latest(metrics.registry))
            fresh.replace(path)
        await asyncio.sleep(METRICS_PERIOD_S)
