"""Head-ends and writers as processes, with a real server and store: readings come home, whoever is killed."""

import json
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.carry_rig import Home, Plant, home_at
from conformance.nats_server import NatsServer
from conformance.servers import free_port
from conformance.test_operations import SHELL, environment
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

pytestmark = pytest.mark.slow
HOUR_S = 3600
VICTIMS = ("headend", "writer", "nats", "wipe", "writers-then-wipe")
channels = count(1000)


class Counter(threading.Thread):
    """A gateway with one pulse counter: says what it has to whoever connects, until it is acknowledged."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.serial = name
        self.port = free_port()
        self.acknowledged = 0
        newest_s = int(time.time()) // HOUR_S * HOUR_S
        self.rows = tuple((newest_s - (20 - index) * 900, 1000 + index) for index in range(20))

    def run(self) -> None:
        """Serve one head-end after another."""
        with socket.create_server(("127.0.0.1", self.port)) as server:
            while True:
                connection, _ = server.accept()
                with connection:
                    self._talk(connection)

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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with home_at(tmp_path_factory.mktemp("carry") / "home") as made:
        yield made


@contextmanager
def shell(home: Home, url: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (home.folder / "told.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SHELL, *arguments],
            env=environment(home.folder) | {"WATTKEEPER_CARRIER": url},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(is_so: Callable[[], object], within_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.2)


def test_two_head_ends_and_a_writer_bring_readings_home(home: Home, tmp_path: Path) -> None:
    counters = [Counter("north"), Counter("south")]
    for counter in counters:
        counter.start()
    ports = [str(counter.port) for counter in counters]
    seeded = subprocess.run(
        [sys.executable, "-m", "conformance.carry_seed", str(counters[0].rows[0][0]), *ports],
        env=environment(home.folder), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert seeded.returncode == 0, seeded.stderr
    channel_of = json.loads(seeded.stdout.splitlines()[-1])

    def stored(counter: Counter) -> set[int]:
        reads = home.store.raw_reads(1, [channel_of[counter.serial]], 0, 2**32 - 1)
        return set(reads.value.tolist())

    with ExitStack() as stack:
        server = stack.enter_context(NatsServer(tmp_path / "nats"))
        for name in ("north", "south"):
            stack.enter_context(shell(home, server.url, "headend", "--name", name))
        wait_for(lambda: all(counter.acknowledged == len(counter.rows) for counter in counters))
        assert not any(stored(counter) for counter in counters)  # acknowledged from the spool: nobody writes
        twice = stack.enter_context(shell(home, server.url, "headend", "--name", "north"))
        assert twice.wait(60) == 1
        assert "[headend.spool-busy]" in (home.folder / "told.log").read_text()
        writer = stack.enter_context(shell(home, server.url, "writer"))
        for counter in counters:
            wanted = {value for _, value in counter.rows}
            wait_for(lambda counter=counter, wanted=wanted: wanted <= stored(counter))
        with sqlite3.connect(home.folder / "registry.sqlite3") as registry:
            (windows_count,) = registry.execute("SELECT COUNT(*) FROM collection_dirtywindow").fetchone()
        assert windows_count > 0
        writer.terminate()
        assert writer.wait(20) == 0
    published = [(home.folder / "run" / f"headend-{name}.prom").read_text() for name in ("north", "south")]
    assert all("wattkeeper_headend_parcels_confirmed_total" in text for text in published)


def test_a_writer_without_a_carrier_says_what_is_missing(home: Home) -> None:
    with shell(home, "", "writer") as process:
        assert process.wait(60) == 1
    assert "[carry.not-set]" in (home.folder / "told.log").read_text()


@dataclass(frozen=True)
class Outcome:
    """What a kill loop saw."""

    acknowledged_count: int
    lost_count: int


def strike(plant: Plant, victim: str, dice: random.Random) -> None:
    """Kill, and start again."""
    struck = {
        "headend": [dice.choice(plant.headends)],
        "writer": [dice.choice(plant.writers)],
        "nats": [plant.nats],
        "wipe": [plant.nats],
        "writers-then-wipe": [*plant.writers, plant.nats],
    }[victim]
    for part in struck:
        part.kill()
        if victim == "writers-then-wipe":
            time.sleep(0.3)  # the server takes parcels that nobody fetches
    if "wipe" in victim:
        plant.nats.wipe()
    for part in struck:
        part.start()


def kill_loop(home: Home, folder: Path, mode: str, victims: list[str], *, within_s: float) -> Outcome:
    """Strike again and again under load, then count."""
    dice = random.Random(len(victims))
    plant = Plant(home, folder / "plant", next(channels), mode)
    with plant.running():
        for victim in victims:
            time.sleep(dice.uniform(0.3, 0.8))
            strike(plant, victim, dice)
        time.sleep(0.5)
        lost = plant.settle(within_s)
    outcome = Outcome(len(plant.acknowledged), len(lost))
    print(mode, len(victims), outcome)
    return outcome


def test_whoever_is_killed_nothing_acknowledged_is_lost(home: Home, tmp_path: Path) -> None:
    outcome = kill_loop(home, tmp_path, "confirmed", list(VICTIMS), within_s=40)
    assert outcome.acknowledged_count > 1000
    assert outcome.lost_count == 0


def test_the_loop_sees_a_spool_that_trusts_the_carrier(home: Home, tmp_path: Path) -> None:
    victims = ["writers-then-wipe", "writers-then-wipe"]
    assert kill_loop(home, tmp_path, "trust-publish", victims, within_s=8).lost_count > 0


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_hundred_strikes(home: Home, tmp_path: Path) -> None:
    dice = random.Random(3)
    victims = [dice.choice(VICTIMS) for _ in range(100)]
    outcome = kill_loop(home, tmp_path, "confirmed", victims, within_s=120)
    assert outcome.acknowledged_count > 10_000
    assert outcome.lost_count == 0
