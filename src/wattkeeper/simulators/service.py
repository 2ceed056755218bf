"""The simulators as one process: every port open, time followed, what is due published, faults lived."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.simulators import faults
from wattkeeper.simulators.control import Control
from wattkeeper.simulators.dlms_server import DlmsConnection, DlmsMeter
from wattkeeper.simulators.dlt645_server import Concentrator
from wattkeeper.simulators.files import write_atomically
from wattkeeper.simulators.line import LISTEN_ADDRESS, Conversation, Line
from wattkeeper.simulators.modbus_server import Gateway
from wattkeeper.simulators.plant import Meter, Plant
from wattkeeper.simulators.pulse_counters import PulseCounter, PulseGateway
from wattkeeper.simulators.pulse_publisher import GatewayPublisher, MqttPublisher, Publisher
from wattkeeper.simulators.world_model import Link

WALL_POLL_S = 0.25
SHARED_POLL_S = 0.002


class Clock(Protocol):
    """A clock that may be moved by hand."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        ...

    def report_settled(self, instant: datetime) -> None:
        """Say that everything due up to `instant` is finished."""
        ...


class WallClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present instant, UTC."""
        return datetime.now(UTC)

    def report_settled(self, instant: datetime) -> None:
        """Nobody waits for a wall clock."""


class Service:
    """All servers of one world. `broker`: host and port, needed where a link is MQTT."""

    def __init__(self, plant: Plant, clock: Clock, *, broker: tuple[str, int] | None = None) -> None:
        self.plant = plant
        self._clock = clock
        self._poll_s = WALL_POLL_S if isinstance(clock, WallClock) else SHARED_POLL_S
        self._broker = broker
        self._lines: dict[str, Line] = {}
        self._counters: dict[str, PulseCounter] = {}
        self._publisher: Publisher | None = None
        self._control: Control | None = None

    def now_s(self) -> int:
        """Return the present second."""
        return to_seconds(self._clock.now().replace(microsecond=0))

    async def start(self) -> dict[str, object]:
        """Open every port and return what the ready file says; nobody waits for a first answer."""
        for meter in self.plant.meters.values():
            meter.registers.display(self.now_s())
        links: dict[str, object] = {}
        for link in self.plant.world.links:
            links[link.name] = await self._open(link)
        line_faults = {name: line.faults for name, line in self._lines.items()}
        self._control = Control(self.plant, line_faults, self.now_s)
        port = await self._control.start()
        return {"links": links, "control": {"host": LISTEN_ADDRESS, "port": port}}

    async def _open(self, link: Link) -> dict[str, object]:
        meters = self.plant.on_link(link.name)
        if meters and meters[0].entry.family == "pulse_counter":
            self._counters = {m.entry.meter_serial: PulseCounter(m, self.now_s()) for m in meters}
        if link.transport == "MQTT":
            return await self._open_mqtt(link)
        conversation, damage = self._protocol(meters)
        line = Line(
            make_conversation=conversation,
            faults=faults.LineFaults(
                seed=self.plant.world.seed, link=link.name, per_mille=link.faults_per_mille, damage=damage
            ),
            outages=link.outages,
            now_s=self.now_s,
            faults_after_s=self.plant.world.window[0] if self.plant.world.window else 0,
        )
        self._lines[link.name] = line
        if link.transport == "PULSE_TCP":
            self._publisher = GatewayPublisher(line)
        port = await line.start()
        return {"transport": link.transport, "host": LISTEN_ADDRESS, "port": port}

    async def _open_mqtt(self, link: Link) -> dict[str, object]:
        if self._broker is None:
            raise ValueError(f"the link {link.name} needs a broker")
        publisher = MqttPublisher(self._counters, self.now_s, seed=self.plant.world.seed)
        await publisher.start(*self._broker)
        self._publisher = publisher
        return {"transport": link.transport, "host": self._broker[0], "port": self._broker[1]}

    def _protocol(self, meters: list[Meter]) -> tuple[Callable[[], Conversation], faults.Damage]:
        family = meters[0].entry.family
        if family == "dlt645_2007":
            zones = {site.code: site.time_zone for site in self.plant.world.sites}
            zone = ZoneInfo(zones[meters[0].entry.site])
            return partial(Concentrator, meters, zone), faults.damage_anywhere
        if family == "modbus_energy":
            return partial(Gateway, meters), faults.damage_modbus_header
        if family == "dlms_three_phase":
            device = DlmsMeter(meters[0], self.now_s)
            return partial(DlmsConnection, device), faults.damage_wrapper
        return partial(PulseGateway, self._counters), faults.damage_json_line

    async def run(self, stopped: asyncio.Event) -> None:
        """Follow time until `stopped`."""
        settled: datetime | None = None
        while not stopped.is_set():
            now = self._clock.now()
            if now != settled:
                await self._live_until(to_seconds(now.replace(microsecond=0)))
                self._clock.report_settled(now)
                settled = now
            await asyncio.sleep(self._poll_s)

    async def _live_until(self, now_s: int) -> None:
        for line in self._lines.values():
            line.tick(now_s)
        messages = [sent for counter in self._counters.values() for sent in counter.due(now_s)]
        if messages and self._publisher is not None:
            await self._publisher.send(messages)

    async def stop(self) -> None:
        """Close every port."""
        for line in self._lines.values():
            await line.stop()
        if self._control is not None:
            await self._control.stop()
        if isinstance(self._publisher, MqttPublisher):
            await self._publisher.stop()


async def serve(service: Service, ready: Path, stopped: asyncio.Event) -> None:
    """Run `service` until `stopped`; `ready` appears when every port is open."""
    try:
        description = await service.start()
        write_atomically(ready, json.dumps(description, indent=1))
        await service.run(stopped)
    finally:
        await service.stop()
