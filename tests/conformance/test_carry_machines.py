"""Several machines: head-ends and writers with folders of their own, PostgreSQL, a readings server, NATS."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from conformance.nats_server import NatsServer
from conformance.postgres import postgres_server
from conformance.stores import running_store
from conformance.test_operations import SHELL, environment, rig
from ports import free_port
from wattkeeper.protocols.pulse.messages import (
    Ack,
    Counts,
    Get,
    History,
    Message,
    Topic,
    decode_line,
    encode_line,
    split_line,
)
from wattkeeper.store.client import HttpReadingStore

pytestmark = pytest.mark.slow
HOUR_S = 3600


class Counter(threading.Thread):
    """A gateway with one pulse counter: says what it has to whoever connects, until it is acknowledged."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.serial = name
        self.port = free_port()
        self.acknowledged = 0
        self.connections_count = 0
        newest_s = int(time.time()) // HOUR_S * HOUR_S
        self.rows = tuple((newest_s - (20 - index) * 900, 1000 + index) for index in range(20))

    def run(self) -> None:
        """Serve one head-end after another."""
        with socket.create_server(("127.0.0.1", self.port)) as server:
            while True:
                connection, _ = server.accept()
                self.connections_count += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        for number, row in enumerate(self.rows, 1):
            line = encode_line(Topic("S", self.serial, "counts"), Counts(self.serial, number, (row,)))
            connection.sendall(line)
        buffer = b""
        try:
            while received := connection.recv(4096):
                buffer += received
                while True:
                    line, used_bytes = split_line(buffer)
                    if line is None:
                        break
                    buffer = buffer[used_bytes:]
                    self._answer(connection, decode_line(line)[1])
        except OSError:
            return

    def _answer(self, connection: socket.socket, message: Message) -> None:
        if isinstance(message, Ack):
            self.acknowledged = max(self.acknowledged, message.sequence)
        if isinstance(message, Get):
            rows = tuple(row for row in self.rows if message.from_s <= row[0] < message.to_s)
            history = History(self.serial, message.from_s, message.to_s, rows)
            connection.sendall(encode_line(Topic("S", self.serial, "history"), history))


@dataclass(frozen=True)
class Site:
    """What all machines share."""

    folder: Path
    database: str
    store: HttpReadingStore
    server: NatsServer

    def settings(self, machine: str) -> dict[str, str]:
        """Return the environment of a machine, whose folder is made at need."""
        address = self.store._transport.address
        folder = self.folder / machine
        folder.mkdir(exist_ok=True)
        if (self.folder / "first" / "master.key").exists() and machine != "first":
            shutil.copy(self.folder / "first" / "master.key", folder)
        return environment(folder, self.database) | {
            "WATTKEEPER_READINGS": f"clickhouse://default:{address.secret}@127.0.0.1:{address.port}/",
            "WATTKEEPER_CARRIER": self.server.url,
        }

    @contextmanager
    def shell(self, machine: str, *arguments: str, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a verb on a machine; it is killed when the block ends."""
        environment = self.settings(machine) | more
        with self.log(machine).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SHELL, *arguments], env=environment, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def log(self, machine: str) -> Path:
        """Return what the processes of a machine said."""
        return self.folder / f"{machine}.log"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "first").mkdir()
    with (
        postgres_server() as url,
        running_store(folder / "store") as store,
        NatsServer(folder / "nats") as nats,
    ):
        made = rig(folder / "first", "upgrade", url=url)
        assert made.returncode == 0, made.stderr
        yield Site(folder, url, store, nats)


def wait_for(is_so: Callable[[], object], within_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


def seed(site: Site, counters: list[Counter]) -> dict[str, int]:
    """Register the counters and return their channels."""
    ports = [str(counter.port) for counter in counters]
    seeded = subprocess.run(
        [sys.executable, "-m", "conformance.carry_seed", str(counters[0].rows[0][0]), *ports],
        env=site.settings("first"), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert seeded.returncode == 0, seeded.stderr
    channels: dict[str, int] = json.loads(seeded.stdout.splitlines()[-1])
    return channels


def test_readings_come_home_and_another_machine_takes_over(site: Site) -> None:
    counters = [Counter("north"), Counter("south")]
    for counter in counters:
        counter.start()
    channel_of = seed(site, counters)

    def stored(counter: Counter) -> set[int]:
        reads = site.store.raw_reads(1, [channel_of[counter.serial]], 0, 2**32 - 1)
        return set(reads.value.tolist())

    with ExitStack() as stack:
        north, _ = (
            stack.enter_context(site.shell(name, "headend", "--name", name)) for name in ("north", "south")
        )
        wait_for(lambda: all(counter.acknowledged == len(counter.rows) for counter in counters))
        assert not any(stored(counter) for counter in counters)  # acknowledged from the spool: nobody writes
        twice = stack.enter_context(site.shell("north", "headend", "--name", "north"))
        assert twice.wait(60) == 1
        assert "[headend.spool-busy]" in site.log("north").read_text()
        stack.enter_context(site.shell("standby", "headend", "--name", "north"))
        writer = stack.enter_context(site.shell("writing", "writer"))
        for counter in counters:
            wanted = {value for _, value in counter.rows}
            wait_for(lambda counter=counter, wanted=wanted: wanted <= stored(counter))
        with psycopg.connect(site.database) as registry:
            found = registry.execute("SELECT COUNT(*) FROM collection_dirtywindow").fetchone()
        assert found is not None
        assert found[0] > 0
        assert [counter.connections_count for counter in counters] == [1, 1]
        north.kill()
        wait_for(lambda: counters[0].connections_count == 2)
        writer.terminate()
        assert writer.wait(20) == 0
    published = (site.folder / "south" / "run" / "headend-south.prom").read_text()
    assert "wattkeeper_headend_parcels_confirmed_total" in published


def test_a_writer_without_a_carrier_says_what_is_missing(site: Site) -> None:
    with site.shell("nowhere", "writer", WATTKEEPER_CARRIER="") as process:
        assert process.wait(60) == 1
    assert "[carry.not-set]" in site.log("nowhere").read_text()
