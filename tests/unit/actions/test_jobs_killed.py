"""A billing job goes on after kill -9, twice: every home has its one bill, none has two."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from job_worker import HOMES_COUNT
from schema_file import place_schema

SCRIPT = Path(__file__).resolve().parents[2] / "job_worker.py"
WITHIN_S = 120.0
pytestmark = pytest.mark.slow


def ask(folder: Path, question: str) -> list[tuple[object, ...]]:
    """Ask the database that the workers write."""
    with closing(sqlite3.connect(folder / "registry.sqlite3", timeout=60)) as database:
        return database.execute(question).fetchall()


def count_bills(folder: Path) -> int:
    """Return how many bills are out."""
    return len(ask(folder, "SELECT id FROM billing_bill"))


def start(folder: Path, what: str) -> "subprocess.Popen[bytes]":
    """Start a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "WATTKEEPER_DATABASE"}
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), what], env=environment)


def kill_after(folder: Path, bills_count: int) -> None:
    """Let a worker work until so many bills are out, and kill it."""
    worker = start(folder, "work")
    until_s = time.monotonic() + WITHIN_S
    try:
        while count_bills(folder) < bills_count:
            assert worker.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait()


def test_a_job_goes_on_after_two_kills(tmp_path: Path) -> None:
    place_schema(tmp_path)
    assert start(tmp_path, "make").wait(WITHIN_S) == 0
    kill_after(tmp_path, 5)
    first_count = count_bills(tmp_path)
    kill_after(tmp_path, first_count + 5)
    assert first_count < count_bills(tmp_path) < HOMES_COUNT
    assert start(tmp_path, "work").wait(WITHIN_S) == 0
    bills = ask(tmp_path, "SELECT usage_point_id, COUNT(*) FROM billing_bill GROUP BY usage_point_id")
    assert [count for _point, count in bills] == [1] * HOMES_COUNT
    job = ask(tmp_path, "SELECT state, failures_count, done_count, total_count FROM collection_job")
    assert job == [("DONE", 2, HOMES_COUNT, HOMES_COUNT)]
