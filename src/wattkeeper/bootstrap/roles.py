"""What each child of `serve` runs, wired. A planted fault comes by the environment and is loud in the log."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from django.db import close_old_connections
from prometheus_client import generate_latest

from wattkeeper.actions.commands.let_go import let_approved_go
from wattkeeper.bootstrap.engines import data_folder, make_clock, open_store, setup_django
from wattkeeper.bootstrap.headend_ports import DataPlan, DataReports, StoreHoldings, StoreSink
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.bootstrap.services import DataOutbox
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.data.registry.models import Tenant
from wattkeeper.headend.dispatch import read_relay_back
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.plants import drop_gaps, trust_acknowledgement
from wattkeeper.headend.ports import Clock
from wattkeeper.headend.service import run_headend
from wattkeeper.headend.services import fetch_every_gap
from wattkeeper.headend.spool import Spool
from wattkeeper.pipeline.derive import run_once
from wattkeeper.pipeline.plants import ignore_rollover
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.api import ReadingStore

PLANTS = ("drop-backfill", "ignore-rollover", "trust-ack")
WORK_PERIOD_S = 0.2
METRICS_PERIOD_S = 1.0
log = structlog.get_logger()


def read_plant() -> str:
    """Return the fault that is planted in this installation, empty for none.

    :raises WattkeeperError: ``settings.plant``
    """
    plant = os.environ.get("WATTKEEPER_PLANT", "")
    if plant and plant not in PLANTS:
        raise WattkeeperError("settings.plant", plant=plant, known=", ".join(PLANTS))
    if plant:
        log.warning("plant.active", plant=plant)
    return plant


def run_store_role() -> None:
    """Serve the embedded engine."""
    from wattkeeper.store.process import run_store  # only this role may load the engine

    folder = data_folder()
    run_store(folder / "readings", folder / "run" / "store.json")


def run_headend_role() -> None:
    """Collect, hand over and dispatch."""
    setup_django()
    asyncio.run(_run_headend(make_clock(follower="headend"), read_plant()))


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
            plan=DataPlan(folder),
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


def run_worker_role() -> None:
    """Derive what changed and let approved commands go, until told to stop."""
    setup_django()
    plant = read_plant()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    clock = make_clock(follower="worker")
    worker = Worker(open_store(), clock.now, plant)
    while not stop.is_set():
        has_worked = worker.work()
        close_old_connections()
        if not has_worked:
            stop.wait(WORK_PERIOD_S)


class Worker:
    """One pass after another over what waits; an error holds up nothing else."""

    def __init__(self, store: ReadingStore, now: Callable[[], datetime], plant: str) -> None:
        self._store = store
        self._now = now
        self._advance_rule = ignore_rollover if plant == "ignore-rollover" else register_advance
        self._ports: dict[int, Ports] = {}
        self._pause_until_s = 0.0

    def work(self) -> bool:
        """Do what waits; whether there was anything."""
        return bool(self._try("commands", self._let_go)) | bool(self._try("pipeline", self._derive))

    def _let_go(self) -> int:
        return let_approved_go(now=self._now())

    def _derive(self) -> int:
        if time.monotonic() < self._pause_until_s:
            return 0
        count = 0
        for tenant_id in Tenant.objects.values_list("id", flat=True):
            if tenant_id not in self._ports:
                self._ports[tenant_id] = pipeline_ports(self._store, tenant_id, self._now)
            report = run_once(self._ports[tenant_id], self._now(), advance_rule=self._advance_rule)
            count += report.window_count
            for failure in report.failures:
                log.error("pipeline.failed", series_id=failure.series_id, code=failure.code)
        return count

    def _try(self, what: str, work: Callable[[], int]) -> int:
        try:
            return work()
        except Exception as error:  # logged; the next pass tries again
            code = error.code if isinstance(error, WattkeeperError) else type(error).__name__
            log.exception("worker.failed", what=what, code=code)
            self._pause_until_s = time.monotonic() + 1.0
            return 0
