"""Head-ends, writers, a NATS server and a store as processes that a test kills; what is lost by it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nats.aio.client import Client
from nats.errors import Error as NatsError

from conformance.carry_gateway import BEGINS_AT_S, TENANT_ID
from conformance.nats_server import NatsServer
from conformance.spool_rig import Clients
from conformance.stores import running_store
from conformance.test_operations import environment, rig
from schema_file import place_schema
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.carry_link import STREAM, connect
from wattkeeper.store.client import HttpReadingStore

GATEWAY = Path(__file__).with_name("carry_gateway.py")
NUMBERS_MAX = 50_000_000


@dataclass
class Home:
    """A data folder with its database and a running store."""

    folder: Path
    store: HttpReadingStore

    def stored(self, channel_id: int) -> set[int]:
        """Return the numbers that are stored of a channel."""
        reads = self.store.raw_reads(TENANT_ID, [channel_id], BEGINS_AT_S, BEGINS_AT_S + NUMBERS_MAX)
        return set(reads.value.tolist())


@contextmanager
def home_at(folder: Path) -> Iterator[Home]:
    """Make a data folder and serve its store."""
    place_schema(folder)
    made = rig(folder, "upgrade")
    assert made.returncode == 0, made.stderr
    with running_store(folder) as store:
        yield Home(folder, store)


class Gateway:
    """One head-end process and the clients that stand for its devices."""

    def __init__(
        self, spool_folder: Path, log_path: Path, *, name: str, url: str, channel_id: int, mode: str,
        numbers: "count[int]",
    ) -> None:  # fmt: skip
        self.acknowledged: set[int] = set()
        self._command = [sys.executable, str(GATEWAY), str(spool_folder), name, url, str(channel_id), mode]
        self._environment = environment(spool_folder)
        self._log_path = log_path
        self._numbers = numbers
        self._process: subprocess.Popen[str] | None = None
        self._clients: Clients | None = None

    def start(self) -> None:
        """Start the process, and clients that send as fast as it answers."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self._clients = Clients(self._numbers)
        self._clients.start(port)

    def rest(self) -> None:
        """Let the clients stop; the process goes on."""
        assert self._clients is not None
        self._clients.stop()
        self.acknowledged |= self._clients.acknowledged

    def kill(self) -> None:
        """kill -9."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._clients is not None:
            self.rest()

    def snapshot(self) -> set[int]:
        """Return what has been acknowledged so far."""
        assert self._clients is not None
        return self.acknowledged | self._clients.snapshot()


class WriterProcess:
    """`wattkeeper writer` as `serve` starts it."""

    def __init__(self, home: Home, url: str, log_path: Path) -> None:
        self._environment = environment(home.folder) | {"WATTKEEPER_CARRIER": url}
        self._log = log_path.open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it seeks the carrier by itself."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wattkeeper.interfaces.workers", "writer", str(os.getpid())],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Plant:
    """Everything between the devices and the store."""

    def __init__(self, home: Home, folder: Path, channel_id: int, mode: str) -> None:
        folder.mkdir()
        self._home = home
        self._channel_id = channel_id
        self.nats = NatsServer(folder / "nats")
        numbers = count()
        self.headends = [
            Gateway(
                folder / name, folder / f"{name}.log", name=name, url=self.nats.url, channel_id=channel_id,
                mode=mode, numbers=numbers,
            )
            for name in ("north", "south")
        ]  # fmt: skip
        self.writers = [WriterProcess(home, self.nats.url, folder / f"writer-{i}.log") for i in range(2)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run all of it for the block."""
        with ExitStack() as stack:
            for part in (self.nats, *self.writers, *self.headends):
                part.start()
                stack.callback(part.kill)
            yield

    def stored(self) -> set[int]:
        """Return the numbers in the store."""
        return self._home.stored(self._channel_id)

    def wait_for_more(self, count: int, within_s: float = 60.0) -> None:
        """Wait until so many more have been acknowledged, however slow the disk is."""
        before, deadline_s = self._acknowledged_count(), time.monotonic() + within_s
        while self._acknowledged_count() < before + count:
            assert time.monotonic() < deadline_s, "nothing is acknowledged any more"
            time.sleep(0.02)

    def wait_until_it_takes(self, count: int, within_s: float = 60.0) -> None:
        """Wait until the carrier's server has taken so many parcels more, however slow it is."""
        asyncio.run(asyncio.wait_for(_takes(self.nats.url, count), within_s))

    def _acknowledged_count(self) -> int:
        return sum(len(headend.snapshot()) for headend in self.headends)

    def settle(self, within_s: float) -> set[int]:
        """Let the clients rest; return what was acknowledged and is not in the store once no more comes to it
        for so long."""
        for headend in self.headends:
            headend.rest()
        lost = acknowledged = self.acknowledged
        deadline_s = time.monotonic() + within_s
        while lost and time.monotonic() < deadline_s:
            time.sleep(0.5)
            left = acknowledged - self.stored()
            if len(left) < len(lost):
                lost, deadline_s = left, time.monotonic() + within_s
        return lost

    @property
    def acknowledged(self) -> set[int]:
        """What devices were told is safe."""
        return set().union(*(headend.acknowledged for headend in self.headends))


async def _takes(url: str, count: int) -> None:
    connection = await connect(parse_carrier(url), name="watcher")
    try:
        first = await _taken_count(connection)
        while True:
            await asyncio.sleep(0.02)
            if await _taken_count(connection) >= first + count:
                return
    finally:
        await connection.close()


async def _taken_count(connection: Client) -> int:
    try:
        return (await connection.jetstream().stream_info(STREAM)).state.last_seq
    except NatsError:  # it starts, or no writer has made the stream
        return 0
