"""The simulators as the process that the demo starts."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import gmqtt
import pytest

from brokers import broker
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.protocols.pulse.messages import Get, Topic, encode_message
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.world import build_world

CHECK_STARTS_AT = datetime(2026, 10, 30, tzinfo=timezone(timedelta(hours=8)))


def start(folder: Path, *more: str, clock: str = "clock") -> subprocess.Popen[bytes]:
    clock_name = clock if clock == "system" else str(folder / clock)
    return subprocess.Popen(
        [sys.executable, "-m", "wattkeeper.simulators", "--world", str(folder / "world.json"),
         "--clock", clock_name, "--ready", str(folder / "ready.json"), *more],
        stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_ready(folder: Path, process: subprocess.Popen[bytes]) -> dict:
    deadline = time.monotonic() + 60
    while not (folder / "ready.json").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads((folder / "ready.json").read_text())


def end(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    return errors


@pytest.mark.slow
def test_the_whole_world_is_up_follows_the_clock_and_stops_when_told(tmp_path: Path) -> None:
    world = build_world(seed=2, now=CHECK_STARTS_AT, is_check=True, is_mqtt=False)
    (tmp_path / "world.json").write_text(world.to_json(), encoding="utf-8")
    clock = SharedClock.create(tmp_path / "clock", starts_at=from_seconds(world.now_s))
    process = start(tmp_path, "--stuck", world.entries[3].meter_serial)
    try:
        ready = wait_ready(tmp_path, process)
        assert set(ready["links"]) == {link.name for link in world.links}
        for hour in range(1, 50):
            clock.advance_to(from_seconds(world.now_s + hour * 3600))
            assert clock.wait_settled(("simulators",), timeout_s=30)
        with socket.create_connection(("127.0.0.1", ready["control"]["port"]), 5) as control:
            control.sendall(
                json.dumps({"do": "relay", "serial": world.entries[3].meter_serial}).encode() + b"\n"
            )
            assert json.loads(control.makefile().readline())["is_stuck"]
            assert end(process) == b""
    finally:
        process.kill()


def test_a_world_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{}", encoding="utf-8")
    process = start(tmp_path, clock="system")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith(b"simulators.cannot-start: ")
    assert errors.count(b"\n") == 1


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with broker(tmp_path) as port:
        yield port


async def test_pulse_counters_publish_and_answer_over_a_broker(tmp_path: Path, port: int) -> None:
    world = build_world(seed=2, now=CHECK_STARTS_AT, is_check=True, is_mqtt=True, history_days=2)
    (tmp_path / "world.json").write_text(world.to_json(), encoding="utf-8")
    clock = SharedClock.create(tmp_path / "clock", starts_at=from_seconds(world.now_s))
    process = start(tmp_path, "--broker", f"127.0.0.1:{port}")
    received: asyncio.Queue[tuple[str, dict]] = asyncio.Queue()
    client = gmqtt.Client("head-end-of-the-test")
    subscribed = asyncio.Semaphore(0)
    client.on_subscribe = lambda *_: subscribed.release()
    client.on_message = lambda _c, topic, payload, *_: received.put_nowait((topic, json.loads(payload))) or 0
    try:
        ready = await asyncio.to_thread(wait_ready, tmp_path, process)
        assert ready["links"]["building-pulses"] == {"transport": "MQTT", "host": "127.0.0.1", "port": port}
        await client.connect("127.0.0.1", port)
        client.subscribe("pulse/+/+/counts", qos=1)
        client.subscribe("pulse/+/+/history", qos=1)
        for _ in range(2):
            await asyncio.wait_for(subscribed.acquire(), 30)
        clock.advance_to(from_seconds(world.now_s + 900))
        assert await asyncio.to_thread(clock.wait_settled, ("simulators",), timeout_s=30)
        pushed = [await asyncio.wait_for(received.get(), 30) for _ in range(10)]
        assert {body["counts"][0][0] for _, body in pushed} == {world.now_s + 900}
        serial = pushed[0][1]["serial"]
        get = encode_message(Get(world.now_s - 3600, world.now_s))
        client.publish(str(Topic("BUILDING", serial, "get")), get, qos=1)
        topic, history = await asyncio.wait_for(received.get(), 30)
        assert topic == str(Topic("BUILDING", serial, "history"))
        assert len(history["counts"]) == 4
        await client.disconnect()
        await asyncio.to_thread(end, process)
    finally:
        process.kill()
