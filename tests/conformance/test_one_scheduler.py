"""Two schedulers alive: the one that was stopped writes nothing after the other has taken over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql
import pytest

from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from conformance.test_operations import environment, rig

pytestmark = pytest.mark.slow
LEASE_S = 1.0
SERVERS = {"postgresql": postgres_server, "mariadb": mariadb_server}


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with SERVERS[request.param]() as found:
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


def ask(url: str, sql: str) -> Sequence[tuple[Any, ...]]:
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        connection: Any = psycopg.connect(url, autocommit=True)
    else:
        user, name = unquote(parts.username or ""), parts.path.lstrip("/")
        connection = pymysql.connect(
            host="127.0.0.1", port=parts.port or 0, user=user, database=name, autocommit=True
        )
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else ()


def writes(url: str) -> list[tuple[str, int]]:
    """Return (process id:number, fence number) of each write, in order."""
    return [
        (name, value) for name, value in ask(url, "SELECT name, value FROM collection_counter ORDER BY id")
    ]


def rows(url: str) -> list[tuple[int, int]]:
    """Return (process id, fence number) of each write, in order."""
    return [(int(name.partition(":")[0]), value) for name, value in writes(url)]


def wait_for(is_so: object, within_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def stale_count_of(numbers: Sequence[int]) -> int:
    """Return how many writes have a lower fence number than one before them."""
    return sum(number < newest for number, newest in zip(numbers, accumulate(numbers, max), strict=True))


def stale_writes(
    url: str, folder: Path, how: str, rounds_count: int, *, is_one_enough: bool = False
) -> tuple[int, int, int]:
    """Stop whoever leads, let the other take over, let the first go on; (writes, takeovers, stale writes)."""
    ask(url, "DELETE FROM collection_counter")
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
            if is_one_enough and stale_count_of(numbers):
                break
    return len(numbers), len(set(numbers)) - 1, stale_count_of(numbers)


def test_a_stopped_scheduler_writes_nothing_once_it_was_followed(url: str, tmp_path: Path) -> None:
    assert rig(tmp_path, "upgrade", url=url).returncode == 0
    writes_count, takeovers_count, stale_count = stale_writes(url, tmp_path, "fenced", 3)
    assert writes_count > 20
    assert takeovers_count >= 3
    assert stale_count == 0
    planted = stale_writes(url, tmp_path, "unfenced", 12, is_one_enough=True)
    assert planted[2] > 0, "the planted fault is not caught"


def is_followed(url: str, folder: Path, how: str, within_s: float) -> bool:
    """Whether another takes over from a leader that stopped in the middle of a fenced transaction.

    Once it goes on, nothing that it had begun is written.
    """
    ask(url, "DELETE FROM collection_counter")
    with scheduler(folder, url, how) as leader:
        wait_for(lambda: Path(f"/proc/{leader.pid}/stat").read_text().split()[2] == "T")
        with scheduler(folder, url, "fenced") as other:
            deadline_s = time.monotonic() + within_s
            while not any(process_id == other.pid for process_id, _ in rows(url)):
                if time.monotonic() > deadline_s:
                    return False
                time.sleep(0.05)
            newest = max(fence_id for _, fence_id in rows(url))
            before = set(writes(url))
            leader.send_signal(signal.SIGCONT)
            wait_for(lambda: len(rows(url)) > len(before) + 10)
            assert all(fence_id >= newest for _, fence_id in set(writes(url)) - before)
    return True


def test_who_stops_within_a_transaction_is_followed_too(url: str, tmp_path: Path) -> None:
    assert rig(tmp_path, "upgrade", url=url).returncode == 0
    assert is_followed(url, tmp_path, "stops", 120)
    assert not is_followed(url, tmp_path, "stops-for-good", 8), "the planted fault is not caught"


@pytest.mark.soak
def test_fifty_takeovers(url: str, tmp_path: Path) -> None:
    assert rig(tmp_path, "upgrade", url=url).returncode == 0
    writes_count, takeovers_count, stale_count = stale_writes(url, tmp_path, "fenced", 50)
    print({"writes": writes_count, "takeovers": takeovers_count, "stale": stale_count})
    assert takeovers_count >= 50
    assert stale_count == 0
