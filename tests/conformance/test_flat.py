"""Memory and open files stay flat under load, in every process of a running installation."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from conformance.test_operations import SHELL, environment
from ports import free_port
from schema_file import place_schema

pytestmark = pytest.mark.slow
PATHS = ("/login/", "/healthz", "/metrics", "/api/v1/meters", "/static/icon.svg", "/nothing-here")
FILES_SLACK_COUNT = 4
MEMORY_SLACK_PCT = 1
LOOKS_COUNT, LOOK_S = 20, 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Used:
    """What the processes hold together."""

    files_count: int
    memory_bytes: int


def used_by(pids: list[int]) -> Used:
    """Return the least of some looks: a worker that looks for work has files and connections for a moment."""
    looks = []
    for _ in range(LOOKS_COUNT):
        time.sleep(LOOK_S)
        files_count = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        pages_count = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        looks.append((files_count, pages_count * PAGE_BYTES))
    return Used(*map(min, zip(*looks, strict=True)))


def ask(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


def ask_often(port: int, count: int) -> None:
    for number in range(count):
        assert ask(port, PATHS[number % len(PATHS)]) < 500


def growth(port: int, pids: list[int], count: int) -> tuple[int, int]:
    """Return how many files and bytes more are held after the second half of the load."""
    ask_often(port, count)
    before = used_by(pids)
    ask_often(port, count)
    after = used_by(pids)
    return after.files_count - before.files_count, after.memory_bytes - before.memory_bytes


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, list[int]]]:
    """Run `wattkeeper serve` and give its port and the ids of all its processes."""
    place_schema(folder)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SHELL, "serve", "--port", str(port)],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + 120
        pids = folder / "run" / "pids.json"
        while not (pids.exists() and _answers(port)):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        yield port, [process.pid, *(pid for pid in json.loads(pids.read_text()).values() if pid)]
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    with suppress(URLError, OSError):
        return ask(port, "/healthz") == 200
    return False


def test_a_running_installation_stays_flat(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (port, pids):
        assert len(pids) >= 5
        whole = used_by(pids).memory_bytes
        ask_often(port, 300)  # what is loaded at first use is loaded
        files_count, memory_bytes = growth(port, pids, 300)
    assert files_count <= FILES_SLACK_COUNT
    assert memory_bytes < whole * 3 * MEMORY_SLACK_PCT // 100


def test_a_leak_is_seen(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "conformance.leaking_server", str(port)], env=environment(tmp_path)
    )
    try:
        while not _answers(port):
            time.sleep(0.05)
        files_count, memory_bytes = growth(port, [process.pid], 300)
    finally:
        process.kill()
        process.wait()
    assert files_count > FILES_SLACK_COUNT
    assert memory_bytes > 5_000_000


@pytest.mark.soak
def test_two_hours(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (port, pids):
        ask_often(port, 2000)
        before, ends_s = used_by(pids), time.monotonic() + 7200
        while time.monotonic() < ends_s:
            ask_often(port, 100)
            time.sleep(1)
        after = used_by(pids)
    assert after.files_count <= before.files_count + FILES_SLACK_COUNT
    assert after.memory_bytes < before.memory_bytes * (100 + 2 * MEMORY_SLACK_PCT) // 100
