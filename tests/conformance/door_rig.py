"""A listener as a process: `python door_rig.py PORT FIRST_FRAME_S`; a line on stdin asks for its figures.

Thousands of links wait at the port, each known by its registration packet.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from unit.headend.bench import ManualClock, ToyDriver, World, device
from wattkeeper.headend.door import DoorLimits
from wattkeeper.headend.doors import Doors
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import LinkPlan, Transport

LINKS_COUNT = 5000


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def main() -> None:
    port, first_frame_s = int(sys.argv[1]), float(sys.argv[2])
    metrics = HeadendMetrics()
    world = World([])
    limits = DoorLimits(first_frame_s=first_frame_s, per_peer_max_count=200, connections_max_count=18_000)
    doors = Doors(
        ManualClock(datetime(2026, 1, 1, tzinfo=UTC)),
        world,
        world,
        lambda _f, c: ToyDriver(c),
        metrics,
        limits,
    )
    for number in range(1, LINKS_COUNT + 1):
        endpoint = f"listen://0.0.0.0:{port}?token=modem-{number:06}"
        doors.add(
            LinkPlan(number, 1, f"{number}", Transport.LISTEN, endpoint, 1.0, 0, 900, (device(number),))
        )
    task = asyncio.create_task(doors.run())
    while not doors._open:  # noqa: ASYNC110 - it belongs to the code under test
        await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()
    print(json.dumps({"rss_bytes": rss_bytes()}), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        told = metrics.snapshot()
        figures = {"rss_bytes": rss_bytes(), "standing": told["dialled_in"], "late": told["dial_ins_late"]}
        print(
            json.dumps(figures | {"shed": told["dial_ins_shed"], "exceptions": told["exceptions"]}),
            flush=True,
        )
    task.cancel()


if __name__ == "__main__":
    uvloop.run(main())
