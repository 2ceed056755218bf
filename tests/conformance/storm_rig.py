"""A head-end as a process: `python storm_rig.py PORT MODEMS PLANT FOLDER`; a line on stdin asks for figures.

Modems dial in, each known by its registration packet. The first `STEADY_COUNT` stand before the storm; from
the line `storm` on they are sent commands, five at a time, until the line `calm`.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import structlog
import uvloop

from unit.headend.bench import ManualClock, Running, World, device, running_headend
from wattkeeper.headend import dispatch, doors
from wattkeeper.headend.door import DoorLimits
from wattkeeper.headend.ports import (
    CommandKind,
    CommandResult,
    DeviceReport,
    LinkPlan,
    OutboxCommand,
    Transport,
)

STEADY_COUNT = 20
TIMEOUT_S = 2.0
STORE_S, REGISTRY_S = 0.005, 0.002  # for one question, for one transaction
_COMMAND_MAX_S = 30.0
_AT_A_TIME_COUNT = 5


def link(number: int, port: int) -> LinkPlan:
    endpoint = f"listen://0.0.0.0:{port}?token=modem-{number:06}"
    plan = device(number, memory_s=3600, has_relay=number <= STEADY_COUNT)
    return LinkPlan(number, 1, f"{number}", Transport.LISTEN, endpoint, TIMEOUT_S, 2, 900, (plan,))


class SlowWorld(World):
    """Ports that take their time: the store answers one question after another, the registry writes so."""

    def __init__(self, links: Sequence[LinkPlan]) -> None:
        super().__init__(links)
        self.is_slow = False
        self._store, self._registry = threading.Lock(), threading.Lock()

    def take(self, lock: threading.Lock, seconds: float) -> None:
        with lock:
            time.sleep(seconds * self.is_slow)

    def stamps_held(
        self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, Sequence[int]]:
        self.take(self._store, STORE_S)
        return {}

    def report_devices(self, reports: Sequence[DeviceReport]) -> None:
        self.take(self._registry, REGISTRY_S)
        super().report_devices(reports)

    def report_link(self, link_id: int, at: datetime, *, is_up: bool, error_code: str | None) -> None:
        self.take(self._registry, REGISTRY_S)

    def report_known(self, link_id: int, peer: str, port: int, at: datetime) -> None:
        self.take(self._registry, REGISTRY_S)

    def record(self, result: CommandResult) -> None:
        self.take(self._registry, REGISTRY_S)
        super().record(result)


class Commands:
    """Sends commands, some at a time, and notes how long each took to be read back."""

    def __init__(self, headend: Running) -> None:
        self.took_s: list[float] = []
        self.lost_count = 0
        self._headend = headend
        self._numbers = count(1)

    async def run(self) -> None:
        await asyncio.gather(*(self._send_each() for _ in range(_AT_A_TIME_COUNT)))

    async def _send_each(self) -> None:
        world = self._headend.world
        for number in self._numbers:
            order = OutboxCommand(
                command_id=number,
                device_id=number % STEADY_COUNT + 1,
                kind=CommandKind.DISCONNECT if number // STEADY_COUNT % 2 == 0 else CommandKind.RECONNECT,
                valid_until=self._headend.clock.now() + timedelta(hours=1),
            )
            began_s = time.monotonic()
            world.outbox.append(order)
            try:
                await self._read_back(number, began_s)
            finally:  # one that still waits at the end counts with what it has waited
                self.took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.05)

    async def _read_back(self, number: int, began_s: float) -> None:
        results = self._headend.world.results
        while not any(r.command_id == number and r.outcome == "READ_BACK" for r in results):
            if time.monotonic() - began_s > _COMMAND_MAX_S:
                self.lost_count += 1
                return
            await asyncio.sleep(0.01)


async def main() -> None:
    port, modems_count, plant, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    limits = DoorLimits(connections_max_count=18_000, quarantine_s=5)
    if plant == "no admission":
        limits = DoorLimits(connections_max_count=18_000, quarantine_s=5, asked_max_count=10**6)
    if plant == "no lane":
        vars(dispatch)["ThreadPoolExecutor"] = lambda *_: None  # the threads that all share
    if plant == "no backlog":
        doors._BACKLOG_COUNT = 1
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    world = SlowWorld([link(number, port) for number in range(1, STEADY_COUNT + modems_count + 1)])
    loop = asyncio.get_running_loop()
    async with running_headend(world, ManualClock(), folder, limits=limits) as headend:
        commands, task = Commands(headend), None
        print(json.dumps({"is_open": True}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line == "storm\n":
                world.is_slow = True
                task = asyncio.create_task(commands.run())
            if line == "calm\n" and task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            told = headend.counts
            figures = {
                "read_count": len({int(c) for batch in world.batches for c in batch.channel_id}),
                "standing": told["dialled_in"],
                "commands": sorted(round(took_s, 3) for took_s in commands.took_s),
                "commands_lost": commands.lost_count,
            }
            named = ("strangers", "dial_ins_late", "dial_ins_shed", "exceptions", "links_up")
            print(json.dumps(figures | {name: told[name] for name in named}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
