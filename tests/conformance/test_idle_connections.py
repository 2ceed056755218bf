"""Thousands who connect and say nothing: held cheaply, ended in time, and others are let in meanwhile."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import free_port

RIG = Path(__file__).with_name("door_rig.py")
ROOT = Path(__file__).resolve().parents[2]
CONNECTION_MAX_BYTES = 3 * 1024


@contextmanager
def rig(first_frame_s: float) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(RIG), str(port), str(first_frame_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
    )
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


def figures(process: "subprocess.Popen[str]", *, is_first: bool = False) -> dict[str, int]:
    assert process.stdin is not None
    assert process.stdout is not None
    if not is_first:
        process.stdin.write("\n")
        process.stdin.flush()
    while True:
        line = process.stdout.readline()
        if line.startswith("{"):
            found: dict[str, int] = json.loads(line)
            return found


def connect(port: int, number: int, greeting: bytes = b"") -> socket.socket:
    connection = socket.socket()
    connection.bind((f"127.0.{number // 250 % 250}.{number % 250 + 1}", 0))
    connection.connect(("127.0.0.1", port))
    connection.sendall(greeting)
    return connection


def hold(count: int, first_frame_s: float) -> dict[str, float]:
    """Open so many silent connections and watch what they cost and when they are ended."""
    with rig(first_frame_s) as (process, port):
        before = figures(process, is_first=True)
        began_s = time.monotonic()
        idle = [connect(port, number) for number in range(count)]
        opened_s = time.monotonic() - began_s
        while (held := figures(process))["standing"] + held["late"] < count:
            time.sleep(0.05)
        asked_s = time.monotonic()
        modem = connect(port, 9, b"modem-000001")
        modem.settimeout(10)
        assert modem.recv(1) == b"?"  # it is asked who it is, whatever stands around it
        served_s = time.monotonic() - asked_s
        deadline_s = began_s + opened_s + first_frame_s + 5
        while (after := figures(process))["late"] < count and time.monotonic() < deadline_s:
            time.sleep(0.2)
        for connection in (*idle, modem):
            connection.close()
    assert held["standing"] == count
    assert (after["exceptions"], after["shed"]) == (0, 0)
    return {
        "connections": count,
        "bytes_each": round((held["rss_bytes"] - before["rss_bytes"]) / count),
        "served_s": round(served_s, 3),
        "ended_in_time": after["late"],
    }


@pytest.mark.slow
def test_two_thousand_are_held_and_ended_in_time() -> None:
    found = hold(2000, 12.0)
    print(found)
    assert found["ended_in_time"] == 2000
    assert found["bytes_each"] <= CONNECTION_MAX_BYTES
    assert found["served_s"] < 6, "long before any of them is ended"


@pytest.mark.slow
def test_without_a_deadline_they_would_stay() -> None:
    """The planted fault: nobody's first frame is due within the time of the test."""
    with rig(3600.0) as (process, port):
        figures(process, is_first=True)
        idle = [connect(port, number) for number in range(50)]
        time.sleep(2)
        found = figures(process)
        for connection in idle:
            connection.close()
    assert (found["standing"], found["late"]) == (50, 0)


@pytest.mark.soak
def test_as_many_as_a_process_may_open_are_held_and_ended_in_time() -> None:
    count = min(15_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000)
    found = hold(count, 30.0)
    print(found)
    assert found["ended_in_time"] == count
    assert found["bytes_each"] <= CONNECTION_MAX_BYTES
