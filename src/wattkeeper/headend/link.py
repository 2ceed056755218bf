"""A link that runs: its line, its collector and, where devices push, its ear."""

import asyncio
from dataclasses import dataclass, field

from wattkeeper.headend.collector import LinkCollector
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.doors import Doors
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.line import Line
from wattkeeper.headend.mqtt import OnPush, dial_mqtt
from wattkeeper.headend.ports import LinkPlan, Transport
from wattkeeper.headend.push import Outcome, PushReceiver
from wattkeeper.headend.services import Services
from wattkeeper.headend.slot import Slot
from wattkeeper.headend.supervise import supervise
from wattkeeper.headend.tcp import Connect, dial
from wattkeeper.headend.timetable import Sleeper, Timetable


@dataclass(slots=True)
class RunningLink:
    """The parts of a link that runs."""

    collector: LinkCollector
    sleeper: Sleeper
    timetable: Timetable
    doors: Doors
    slot: Slot | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def fits(self, plan: LinkPlan) -> bool:
        """Whether the connection is as `plan` wants it, so that only devices may have changed."""
        old = self.collector.plan
        return (old.transport, old.endpoint, old.timeout_s, old.retries_count) == (
            plan.transport,
            plan.endpoint,
            plan.timeout_s,
            plan.retries_count,
        )

    def update(self, plan: LinkPlan) -> None:
        """Take over changed devices."""
        self.collector.update(plan)
        if self.slot is not None:
            self.doors.update(self.slot, plan)

    async def stop(self) -> None:
        """End the link's tasks and let go of its connection."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.collector.retire()
        if self.slot is not None:
            self.doors.remove(self.slot)
        self.timetable.remove(self.sleeper)


def start_link(plan: LinkPlan, services: Services, known: dict[int, DeviceState]) -> RunningLink:
    """Start collecting from a link; what is `known` of its devices is kept."""
    sleeper = services.timetable.add()
    receivers: list[PushReceiver] = []

    async def on_push(frame: bytes) -> Outcome:
        return await receivers[0].receive(frame)

    slot = services.doors.add(plan) if plan.transport is Transport.LISTEN else None
    connect = _connect(plan, on_push) if slot is None else slot.connect
    is_push = plan.transport in (Transport.MQTT, Transport.PULSE_TCP)
    line = Line(
        connect,
        timeout_s=plan.timeout_s,
        retries_count=plan.retries_count,
        metrics=services.metrics,
        on_stray=(lambda frame: receivers[0].take(frame)) if is_push else None,
    )
    collector = LinkCollector(plan, line, services, sleeper, known)
    receivers.append(PushReceiver(collector, services))
    collector.on_fetched = receivers[0].acknowledge_withheld
    if slot is not None:
        slot.collector = collector
    running = RunningLink(collector, sleeper, services.timetable, services.doors, slot)
    loops = [collector.run, lambda: listen(collector)] if is_push else [collector.run]
    running.tasks = [asyncio.create_task(supervise(loop, services.metrics)) for loop in loops]
    return running


async def listen(collector: LinkCollector) -> None:
    """Hear what devices send by themselves, for ever; the collector takes up a lost connection again."""
    while True:
        await collector.connected.wait()
        driver = next((state.driver for state in collector.devices.values()), None)
        collector.connected.clear()
        if driver is None:
            continue
        try:
            await collector.line.listen(driver)
        except LinkDown as error:
            await collector.lose_link(error.code)


def _connect(plan: LinkPlan, on_push: OnPush) -> Connect:
    if plan.transport is Transport.MQTT:
        return dial_mqtt(plan.endpoint, f"wattkeeper-headend-{plan.link_id}", on_push)
    return dial(plan.endpoint)
