"""Two schedulers alive: the one that was stopped writes nothing after the other has taken over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from conformance.postgres import postgres_server
from conformance.test_operations import environment, rig

pytestmark = pytest.mark.slow
LEASE_S = 1.0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_server() as found:
        yield found


@contextmanager
def scheduler(folder: Path, url: str, how: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / f"{how}-{time.monotonic_ns()}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "conformance.lease_rig", str(LEASE_S), how],
            env=environment(folder, url),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def rows(url: str) -> list[tuple[int, int]]:
    """Return (process id, fence number) of each write, in order."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT name, value FROM collection_counter ORDER BY id").fetchall()
    return [(int(name.partition(":")[0]), value) for name, value in found]


def wait_for(is_so: object, within_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def stale_writes(url: str, folder: Path, how: str, rounds_count: int) -> tuple[int, int, int]:
    """Stop whoever leads, let the other take over, let the first go on; (writes, takeovers, stale writes)."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("DELETE FROM collection_counter")
    with ExitStack() as stack:
        processes = {}
        for _ in range(2):
            process = stack.enter_context(scheduler(folder, url, how))
            processes[process.pid] = process
        for _ in range(rounds_count):
            wait_for(lambda: rows(url))
            leader, fence_id = max(rows(url), key=lambda row: row[1])
            os.kill(leader, signal.SIGSTOP)
            wait_for(lambda last=fence_id: max(row[1] for row in rows(url)) > last)
            time.sleep(0.2)
            os.kill(leader, signal.SIGCONT)
            time.sleep(0.5)
    numbers = [fence_id for _, fence_id in rows(url)]
    newest = 0
    stale_count = 0
    for number in numbers:
        stale_count += number < newest
        newest = max(newest, number)
    return len(numbers), len(set(numbers)) - 1, stale_count


def test_a_stopped_scheduler_writes_nothing_once_it_was_followed(url: str, tmp_path: Path) -> None:
    assert rig(tmp_path, "upgrade", url=url).returncode == 0
    writes_count, takeovers_count, stale_count = stale_writes(url, tmp_path, "fenced", 3)
    assert writes_count > 20
    assert takeovers_count >= 3
    assert stale_count == 0
    assert stale_writes(url, tmp_path, "unfenced", 3)[2] > 0, "the planted fault is not caught"


@pytest.mark.soak
def test_fifty_takeovers(url: str, tmp_path: Path) -> None:
    assert rig(tmp_path, "upgrade", url=url).returncode == 0
    assert stale_writes(url, tmp_path, "fenced", 50)[2] == 0
