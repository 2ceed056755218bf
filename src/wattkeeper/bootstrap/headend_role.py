"""The head-end child, wired. Import it after `setup_django()`."""

import asyncio
import signal

import uvloop
from prometheus_client import generate_latest

from wattkeeper.bootstrap.engines import data_folder, make_clock, open_store
from wattkeeper.bootstrap.headend_ports import DataPlan, StoreHoldings, StoreSink
from wattkeeper.bootstrap.headend_reports import DataReports
from wattkeeper.bootstrap.plants import read_plant
from wattkeeper.bootstrap.services import DataOutbox
from wattkeeper.headend.dispatch import read_relay_back
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.plants import drop_gaps, trust_acknowledgement
from wattkeeper.headend.ports import Clock
from wattkeeper.headend.service import run_headend
from wattkeeper.headend.services import fetch_every_gap
from wattkeeper.headend.spool import Spool

METRICS_PERIOD_S = 1.0


def run_headend_role() -> None:
    """Collect, hand over and dispatch."""
    uvloop.run(_run_headend(make_clock(follower="headend"), read_plant()))


async def _run_headend(clock: Clock, plant: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    folder = data_folder()
    store = open_store()
    metrics = HeadendMetrics()
    spool = Spool(folder / "spool")
    publisher = asyncio.create_task(_publish_metrics(metrics))
    try:
        await run_headend(
            plan=DataPlan(folder, clock.now),
            holdings=StoreHoldings(store),
            sink=StoreSink(store, clock.now),
            report=DataReports(clock.now),
            outbox=DataOutbox(),
            clock=clock,
            spool=spool,
            stop=stop,
            metrics=metrics,
            backfill_policy=drop_gaps if plant == "drop-backfill" else fetch_every_gap,
            read_back_policy=trust_acknowledgement if plant == "trust-ack" else read_relay_back,
        )
    finally:
        publisher.cancel()
        spool.close()


async def _publish_metrics(metrics: HeadendMetrics) -> None:
    """Write the counters where the web child finds them."""
    path = data_folder() / "run" / "headend.prom"
    while True:
        fresh = path.with_suffix(".new")
        await asyncio.to_thread(fresh.write_bytes, generate_latest(metrics.registry))
        fresh.replace(path)
        await asyncio.sleep(METRICS_PERIOD_S)
