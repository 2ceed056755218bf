"""Power is back and thousands of modems dial within seconds: all are back and asked, and commands go on."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from conformance.storm_rig import STEADY_COUNT
from ports import free_port
from unit.headend.bench import NOON, ToyMeter, toy_frame
from wattkeeper.core.kernel.instants import to_seconds

RIG = Path(__file__).with_name("storm_rig.py")
ROOT = Path(__file__).resolve().parents[2]
NOON_S = to_seconds(NOON)
DIAL_WITHIN_S = 1.0
CELL_PERIOD_S, CELL_BATCH_COUNT = 0.02, 10  # five hundred registrations a second, first come first served
REDIAL_S = 1.0
FEW_COUNT = (
    200  # of two thousand: a machine that is busy with other things turns some away, and they come again
)
BACK_WITHIN_S = 120.0
COMMAND_P99_S = 2.0
COMMANDS_PER_S = 9


class Cell:
    """What carries the modems of a storm: of their answers who they are only so many a second get through."""

    def __init__(self) -> None:
        self.queue: deque[tuple[asyncio.Transport, bytes]] = deque()

    async def run(self) -> None:
        while True:
            for _ in range(min(CELL_BATCH_COUNT, len(self.queue))):
                transport, frame = self.queue.popleft()
                transport.write(frame)
            await asyncio.sleep(CELL_PERIOD_S)


class Modem(asyncio.Protocol):
    """A toy meter behind a modem; `is_asked` once its values have been read over this connection."""

    def __init__(self, number: int, cell: Cell) -> None:
        self.number = number
        self.is_asked = False
        self.transport: Any = None
        self._cell = cell
        self._meter = ToyMeter(f"M{number:03}")
        self._buffer = b""
        self._gone = asyncio.Event()

    async def dial(self, port: int) -> None:
        host = f"127.0.{self.number // 250}.{self.number % 250 + 1}"
        while not self.is_asked:
            self._gone.clear()
            with suppress(OSError):
                await asyncio.get_running_loop().create_connection(
                    lambda: self, "127.0.0.1", port, local_addr=(host, 0)
                )
                await self._gone.wait()
            await asyncio.sleep(REDIAL_S)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self._buffer = transport, b""
        self.transport.write(f"modem-{self.number:06}".encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            address, verb, *arguments = line.decode()[1:].split("|")[:-1]
            text = self._meter.answer(verb, arguments, NOON_S)
            assert text is not None
            frame = toy_frame("=", address, verb, *arguments, text)
            if verb == "serial" and self.number > STEADY_COUNT:
                self._cell.queue.append((self.transport, frame))
                continue
            self.transport.write(frame)
            self.is_asked = self.is_asked or verb == "live"


class Rig:
    """The head-end and what it tells of itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def figures(self, line: str = "") -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        return await self.told()

    async def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while not (line := await self._process.stdout.readline()).startswith(b"{"):
            assert line, "the head-end has ended"
        found: dict[str, Any] = json.loads(line)
        return found


@asynccontextmanager
async def rig(folder: Path, modems_count: int, plant: str) -> AsyncIterator[tuple[Rig, int]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(str(RIG), str(port), str(modems_count), plant, str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=2**22,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
    )
    try:
        headend = Rig(process)
        await headend.told()
        yield headend, port
    finally:
        process.kill()
        await process.wait()


def overflows() -> int:
    """Return how often the kernel had no room for somebody who knocked, anywhere on this machine."""
    names, values = [
        line.split()
        for line in Path("/proc/net/netstat").read_text().splitlines()
        if line.startswith("TcpExt:")
    ]
    return int(values[names.index("ListenOverflows")])


async def until_open(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                writer.transport.abort()
                return


async def all_asked(modems: list[Modem], within_s: float) -> float:
    """Wait until every modem has been asked, or the time is over; return how long that took."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < within_s:
        if all(modem.is_asked for modem in modems):
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - began_s


async def storm(
    folder: Path, modems_count: int, plant: str = "", within_s: float = BACK_WITHIN_S
) -> dict[str, Any]:
    """Let so many modems dial within seconds, and say what became of them and of the commands meanwhile."""
    cell, dice = Cell(), random.Random(1)
    serving = asyncio.create_task(cell.run())
    async with rig(folder, modems_count, plant) as (headend, port):
        modems = [Modem(number, cell) for number in range(1, STEADY_COUNT + modems_count + 1)]
        steady, coming = modems[:STEADY_COUNT], modems[STEADY_COUNT:]
        await until_open(port)
        standing = asyncio.gather(*(modem.dial(port) for modem in steady))
        await all_asked(steady, 30)
        await headend.figures("storm")

        async def dial_later(modem: Modem) -> None:
            await asyncio.sleep(dice.uniform(0, DIAL_WITHIN_S))
            await modem.dial(port)

        began_s, overflows_count = time.monotonic(), overflows()
        dialling = asyncio.gather(*(dial_later(modem) for modem in coming))
        await all_asked(coming, within_s)
        back_s = time.monotonic() - began_s
        overflows_count = overflows() - overflows_count
        dialling.cancel()
        found = await headend.figures("calm")
        while not plant and found["read_count"] < len(modems) and time.monotonic() - began_s < within_s:
            await asyncio.sleep(0.2)
            found = await headend.figures()
        standing.cancel()
        for modem in modems:
            if modem.transport is not None:
                modem.transport.abort()
        serving.cancel()
    took_s = found.pop("commands")
    return found | {
        "modems": modems_count,
        "asked": sum(modem.is_asked for modem in coming),
        "back_s": round(back_s, 1),
        "overflows": overflows_count,
        "commands": len(took_s),
        "command_p50_s": took_s[len(took_s) // 2] if took_s else None,
        "command_p99_s": took_s[len(took_s) * 99 // 100] if took_s else None,
        "command_max_s": took_s[-1] if took_s else None,
    }


@pytest.mark.slow
@pytest.mark.alone  # how long commands take, and the kernel's own counts for the whole machine
async def test_two_thousand_modems_are_back_and_asked_and_commands_go_on(tmp_path: Path) -> None:
    found = await storm(tmp_path, 2000)
    print(found)
    assert (found["asked"], found["read_count"]) == (2000, 2000 + STEADY_COUNT)
    assert (found["dial_ins_late"], found["dial_ins_shed"]) == (0, 0)
    assert (found["exceptions"], found["commands_lost"]) == (0, 0)
    assert max(found["strangers"], found["overflows"]) < FEW_COUNT
    assert found["back_s"] < BACK_WITHIN_S
    assert found["commands"] >= COMMANDS_PER_S * found["back_s"], "five at a time while the storm lasts"
    assert found["command_p99_s"] < COMMAND_P99_S


@pytest.mark.slow
async def test_asking_everybody_at_once_is_caught(tmp_path: Path) -> None:
    """The planted fault: no admission. Who is asked waits behind all others, and is taken for silent."""
    found = await storm(tmp_path, 2000, "no admission", within_s=15)
    print(found)
    assert found["strangers"] > 2 * FEW_COUNT


@pytest.mark.slow
async def test_commands_that_wait_with_the_rest_are_caught(tmp_path: Path) -> None:
    """The planted fault: what is asked of the registry for a command waits behind what is asked for reads."""
    found = await storm(tmp_path, 2000, "no lane", within_s=15)
    print(found)
    assert found["command_p99_s"] > COMMAND_P99_S


@pytest.mark.slow
async def test_a_queue_without_room_is_caught(tmp_path: Path) -> None:
    """The planted fault: a backlog of one. The kernel lets those who knock wait and knock again."""
    found = await storm(tmp_path, 2000, "no backlog", within_s=10)
    print(found)
    assert found["overflows"] > 2 * FEW_COUNT
