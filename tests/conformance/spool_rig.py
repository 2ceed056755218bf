"""Clients of the spool gateway, and how many of their acknowledged records are there afterwards."""

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from wattkeeper.headend.spool import Spool

GATEWAY = Path(__file__).with_name("spool_gateway.py")
SOURCES = Path(__file__).resolve().parents[2] / "src"
_GROUP_COUNT = 20


class Clients:
    """Four threads that send numbered records and note which were acknowledged."""

    def __init__(self, numbers: "count[int]") -> None:
        self.acknowledged: set[int] = set()
        self._numbers = numbers
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, port: int) -> None:
        """Begin sending."""
        self._threads = [threading.Thread(target=self._send, args=(port,)) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Wait until every thread has ended; the gateway is dead by now or soon."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def snapshot(self) -> set[int]:
        """Return what has been acknowledged so far."""
        with self._mutex:
            return set(self.acknowledged)

    def wait_for(self, count: int, within_s: float = 60.0) -> None:
        """Wait until so many have been acknowledged, however slow the disk is."""
        deadline_s = time.monotonic() + within_s
        while len(self.snapshot()) < count:
            assert time.monotonic() < deadline_s, "nothing is acknowledged any more"
            time.sleep(0.005)

    def _send(self, port: int) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.settimeout(5)
                while not self._stop.is_set():
                    self._exchange(connection)
        except OSError:
            return

    def _exchange(self, connection: socket.socket) -> None:
        with self._mutex:
            group = [next(self._numbers) for _ in range(_GROUP_COUNT)]
        connection.sendall(b"".join(struct.pack(">Q", number) for number in group))
        missing_bytes, answer = 8 * _GROUP_COUNT, b""
        while missing_bytes:
            received = connection.recv(4096)
            if not received:
                raise ConnectionError
            answer += received
            missing_bytes -= len(received)
            whole = len(answer) // 8 * 8
            with self._mutex:
                self.acknowledged.update(number for (number,) in struct.iter_unpack(">Q", answer[:whole]))
            answer = answer[whole:]


@contextmanager
def gateway(
    folder: Path, mode: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a gateway; it is killed, if it still runs, when the block ends."""
    process = subprocess.Popen(
        [sys.executable, str(GATEWAY), str(folder), mode],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES), **(environment or {})},
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def stored(folder: Path) -> set[int]:
    """Return every whole record in the spool, delivering it; what was set aside counts as lost."""
    spool = Spool(folder)
    numbers: set[int] = set()
    while batches := spool.peek(10_000):
        numbers.update(struct.unpack(">Q", batch.content)[0] for batch in batches)
        spool.delete(batches)
    spool.close()
    return numbers
