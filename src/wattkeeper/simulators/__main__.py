"""``python -m wattkeeper.simulators --world FILE --clock FILE|system --ready FILE``: a street of meters."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.plant import Plant
from wattkeeper.simulators.service import Clock, Service, WallClock, serve
from wattkeeper.simulators.world_model import World


def main(arguments: list[str] | None = None) -> int:
    """Run the simulators until SIGTERM; return the exit code."""
    options = _parse(arguments)
    try:
        world = World.load(options.world)
        clock = _clock(options.clock)
        broker = _broker(options.broker)
        service = Service(Plant.build(world, stuck=frozenset(options.stuck)), clock, broker=broker)
        uvloop.run(_run(service, options.ready))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"simulators.cannot-start: {error}\n")
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m wattkeeper.simulators", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="JSON made by build_world(...).to_json()")
    parser.add_argument("--clock", required=True, help="file of a shared clock, or 'system'")
    parser.add_argument("--ready", type=Path, required=True, help="written when every port is open")
    parser.add_argument("--broker", default="", help="HOST:PORT of the MQTT broker")
    parser.add_argument("--stuck", action="append", default=[], metavar="SERIAL", help="a switch that sticks")
    return parser.parse_args(arguments)


def _clock(text: str) -> Clock:
    return WallClock() if text == "system" else SharedClock(Path(text), follower="simulators")


def _broker(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


async def _run(service: Service, ready: Path) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    await serve(service, ready, stopped)


if __name__ == "__main__":
    raise SystemExit(main())
