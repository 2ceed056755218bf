"""The simulators as the process that the demo starts."""

import asyncio
import json
import shutil
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

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.protocols.pulse.messages import Get, Topic, encode_message
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.world import build_world

CHECK_STARTS_AT = datetime(2026, 10, 30, tzinfo=timezone(timedelta(hours=8)))
START_MAX_S = 6.0


def start(folder: Path, *more: str, clock: str = "clock") -> subprocess.Popen[bytes]:
    clock_name = clock if clock == "system" else str(folder / clock)
    return subprocess.Popen(
        [sys.executable, "-m", "wattkeeper.simulators", "--world", str(folder / "world.json"),
         "--clock", clock_name, "--ready", str(folder / "ready.json"), *more],
        stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_ready(folder: Path, process: subprocess.Popen[bytes]) -> dict:
    deadline = time.monotonic() + 20
    while not (folder / "ready.json").exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads((folder / "ready.json").read_text())


def end(process: subprocess.Popen[bytes]) -> bytes:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    return errors


def test_the_whole_world_is_up_in_time_follows_the_clock_and_stops_when_told(tmp_path: Path) -> None:
    world = build_world(seed=2, now=CHECK_STARTS_AT, is_check=True, is_mqtt=False)
    (tmp_path / "world.json").write_text(world.to_json(), encoding="utf-8")
    clock = SharedClock.create(tmp_path / "clock", starts_at=from_seconds(world.now_s))
    started = time.monotonic()
    process = start(tmp_path, "--stuck", world.entries[3].meter_serial)
    try:
        ready = wait_ready(tmp_path, process)
        assert time.monotonic() - started < START_MAX_S
        assert set(ready["links"]) == {link.name for link in world.links}
        for hour in range(1, 50):
            clock.advance_to(from_seconds(world.now_s + hour * 3600))
            assert clock.wait_settled(("simulators",), timeout_s=5)
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
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert errors.startswith(b"simulators.cannot-start: ")
    assert errors.count(b"\n") == 1


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("no mosquitto on this machine: apt-get install -y mosquitto")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (tmp_path / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", str(tmp_path / "broker.conf")], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield port
    process.terminate()
    process.wait(5)


async def test_pulse_counters_publish_and_answer_over_a_broker(tmp_path: Path, broker: int) -> None:
    world = build_world(seed=2, now=CHECK_STARTS_AT, is_check=True, is_mqtt=True, history_days=2)
    (tmp_path / "world.json").write_text(world.to_json(), encoding="utf-8")
    clock = SharedClock.create(tmp_path / "clock", starts_at=from_seconds(world.now_s))
    process = start(tmp_path, "--broker", f"127.0.0.1:{broker}")
    received: asyncio.Queue[tuple[str, dict]] = asyncio.Queue()
    client = gmqtt.Client("head-end-of-the-test")
    client.on_message = lambda _c, topic, payload, *_: received.put_nowait((topic, json.loads(payload))) or 0
    try:
        ready = await asyncio.to_thread(wait_ready, tmp_path, process)
        assert ready["links"]["building-pulses"] == {"transport": "MQTT", "host": "127.0.0.1", "port": broker}
        await client.connect("127.0.0.1", broker)
        client.subscribe("pulse/+/+/counts", qos=1)
        client.subscribe("pulse/+/+/history", qos=1)
        await asyncio.sleep(0.2)
        clock.advance_to(from_seconds(world.now_s + 900))
        assert await asyncio.to_thread(clock.wait_settled, ("simulators",), timeout_s=5)
        pushed = [await asyncio.wait_for(received.get(), 5) for _ in range(10)]
        assert {body["counts"][0][0] for _, body in pushed} == {world.now_s + 900}
        serial = pushed[0][1]["serial"]
        get = encode_message(Get(world.now_s - 3600, world.now_s))
        client.publish(str(Topic("BUILDING", serial, "get")), get, qos=1)
        topic, history = await asyncio.wait_for(received.get(), 5)
        assert topic == str(Topic("BUILDING", serial, "history"))
        assert len(history["counts"]) == 4
        await client.disconnect()
        await asyncio.to_thread(end, process)
    finally:
        process.kill()
