"""The head-end as one task: links from the plan, one drain, one dispatch, one timetable."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from datetime import timedelta

import structlog

from wattkeeper.headend.contained import call_port
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.dispatch import Dispatch, ReadBackPolicy, read_relay_back
from wattkeeper.headend.door import DoorLimits
from wattkeeper.headend.doors import Doors
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.families import MakeDriver, make_family_driver
from wattkeeper.headend.line import Line
from wattkeeper.headend.link import RunningLink, start_link
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import (
    Clock,
    HoldingsPort,
    LinkPlan,
    OutboxPort,
    PlanPort,
    ReportPort,
    SinkPort,
)
from wattkeeper.headend.progress import Progress
from wattkeeper.headend.services import BackfillPolicy, Services, fetch_every_gap
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.spool_watch import SpoolWatch
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.headend.supervise import supervise
from wattkeeper.headend.timetable import Timetable

_PLAN_PERIOD_REAL_S = 1.0
_PLAN_PERIOD = timedelta(seconds=1)
_log = structlog.get_logger(__name__)


async def run_headend(
    *,
    plan: PlanPort,
    holdings: HoldingsPort,
    sink: SinkPort,
    report: ReportPort,
    outbox: OutboxPort,
    clock: Clock,
    spool: Spool,
    stop: asyncio.Event,
    metrics: HeadendMetrics | None = None,
    make_driver: MakeDriver = make_family_driver,
    backfill_policy: BackfillPolicy = fetch_every_gap,
    read_back_policy: ReadBackPolicy = read_relay_back,
    seed: int | None = None,
    limits: DoorLimits | None = None,
    command_threads: Executor | None = None,
) -> None:
    """
    Collect, hand over and dispatch until `stop` is set.

    `seed` makes the jitter repeatable; `spool` stays open and is closed by who opened it; `command_threads`
    ask the outbox, all else is asked in the loop's own.
    """
    counters = metrics or HeadendMetrics()
    headend = Headend(plan=plan, clock=clock, metrics=counters)
    progress = Progress(report, counters)
    drain = Drain(
        spool, sink, clock, headend.timetable.add(), counters, is_filling=lambda: progress.is_running
    )
    doors = Doors(clock, plan, report, make_driver, counters, limits or DoorLimits())
    headend.services = Services(
        clock=clock,
        plan=plan,
        holdings=holdings,
        report=report,
        spool=SpoolWriter(spool, counters, on_stored=drain.wake),
        metrics=counters,
        timetable=headend.timetable,
        progress=progress,
        make_driver=make_driver,
        backfill_policy=backfill_policy,
        dice=random.Random(seed),
        doors=doors,
    )
    dispatch = Dispatch(
        outbox,
        clock,
        counters,
        find_device=headend.find_device,
        busy=headend.timetable.busy,
        read_back_policy=read_back_policy,
        threads=command_threads,
    )
    watch = SpoolWatch(headend.services.spool, report, clock, counters)
    await headend.run(stop, [drain.run, dispatch.run, doors.run, watch.run, progress.run])


class Headend:
    """Keeps the links that run in step with the plan."""

    services: Services

    def __init__(self, *, plan: PlanPort, clock: Clock, metrics: HeadendMetrics) -> None:
        self.timetable = Timetable(clock, on_moved=self._on_clock_moved)
        self._plan = plan
        self._clock = clock
        self._metrics = metrics
        self._links: dict[int, RunningLink] = {}
        self._revision: str | None = None
        self._looked_at = clock.now() - _PLAN_PERIOD
        self._plan_lock = asyncio.Lock()

    def find_device(self, device_id: int) -> tuple[Line, DeviceState] | None:
        """Return the line and state of a device that is collected from."""
        for link in self._links.values():
            state = link.collector.devices.get(device_id)
            if state is not None:
                return link.collector.line, state
        return None

    async def run(self, stop: asyncio.Event, actors: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Run until `stop` is set, then let go of everything."""
        loops = [self.timetable.run, self._watch_plan, *actors]
        tasks = [asyncio.create_task(supervise(loop, self._metrics)) for loop in loops]
        try:
            await stop.wait()
        finally:
            for link_id in list(self._links):
                await self._stop_link(link_id)
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch_plan(self) -> None:
        while True:
            await self._follow_plan()
            await asyncio.sleep(_PLAN_PERIOD_REAL_S)

    async def _on_clock_moved(self) -> None:
        """A clock moved by hand may jump past a change of plan: look before anything is read."""
        if abs(self._clock.now() - self._looked_at) >= _PLAN_PERIOD:
            await self._follow_plan()

    async def _follow_plan(self) -> None:
        async with self._plan_lock:
            self._looked_at = self._clock.now()
            revision = await call_port(self._plan.revision, self._metrics)
            if revision is None or revision == self._revision:
                return
            with self.timetable.busy():
                links = await call_port(self._plan.links, self._metrics)
                if links is not None:
                    await self._apply(links)
                    self._revision = revision

    async def _apply(self, links: Sequence[LinkPlan]) -> None:
        planned = {link.link_id: link for link in links}
        for link_id in self._links.keys() - planned.keys():
            await self._stop_link(link_id)
        for link_id, link in planned.items():
            running = self._links.get(link_id)
            if running is not None and running.fits(link):
                running.update(link)
            else:
                known = {} if running is None else running.collector.devices
                await self._stop_link(link_id)
                self._links[link_id] = start_link(link, self.services, known)
        self._metrics.gauge("devices", sum(len(link.devices) for link in links))
        _log.info("headend.plan", links_count=len(links))

    async def _stop_link(self, link_id: int) -> None:
        running = self._links.pop(link_id, None)
        if running is not None:
            await running.stop()
