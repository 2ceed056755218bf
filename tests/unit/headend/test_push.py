"""Pulse counters that speak first, over a TCP gateway and over a real broker: durable, then acknowledged."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gmqtt import Client

from brokers import broker
from unit.headend.bench import NOON, ManualClock, World, grid, running_headend, until
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.drivers.api import DeviceRead
from wattkeeper.drivers.pulse_counter.driver import PulseCounterDriver
from wattkeeper.headend.families import make_family_driver
from wattkeeper.headend.ports import ChannelPlan, DevicePlan, LinkPlan, Transport
from wattkeeper.headend.push import PushReceiver
from wattkeeper.headend.spool import Spool
from wattkeeper.protocols.pulse.messages import (
    Ack,
    Counts,
    Get,
    History,
    Topic,
    decode_line,
    decode_message,
    decode_topic,
    encode_line,
    encode_message,
)

INTERVAL_S = 900
NOON_S = to_seconds(NOON)
MEMORY_S = 6 * 3600


def plan_of(transport: Transport, endpoint: str) -> LinkPlan:
    channel = ChannelPlan(10, "pulses_imp", Fraction(1), is_profiled=True)
    counter = DevicePlan(
        device_id=1,
        tenant_id=1,
        serial_number="P1",
        family="pulse_counter",
        address="tower/P1",
        channels=(channel,),
        interval_s=INTERVAL_S,
        memory_s=MEMORY_S,
        time_zone="UTC",
        reads_from_s=NOON_S - MEMORY_S,
        reads_to_s=None,
    )
    return LinkPlan(1, 1, "pulses", transport, endpoint, 0.3, 1, INTERVAL_S, (counter,))


class Counter:
    """A counter's memory: one pulse a second; repeats nothing by itself."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.asked: list[tuple[int, int]] = []
        self.newest_s = NOON_S

    def counts(self, sequence: int, *stamps: int) -> tuple[Topic, Counts]:
        self.newest_s = max(self.newest_s, *stamps)
        return Topic("tower", "P1", "counts"), Counts("P1", sequence, tuple((s, s % 10**8) for s in stamps))

    def hear(self, topic: Topic, message: object) -> tuple[Topic, History] | None:
        if isinstance(message, Ack):
            self.acknowledged.append(message.sequence)
        if isinstance(message, Get):
            self.asked.append((message.from_s, message.to_s))
            first = -(-message.from_s // INTERVAL_S) * INTERVAL_S
            stamps = range(first, min(message.to_s, self.newest_s + 1), INTERVAL_S)
            rows = tuple((stamp, stamp % 10**8) for stamp in stamps)
            return Topic("tower", "P1", "history"), History("P1", message.from_s, message.to_s, rows)
        return None


class Gateway:
    """A TCP gateway in front of a counter."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.port = 0
        self.writer: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        while line := await reader.readline():
            answer = self.counter.hear(*decode_line(line))
            if answer is not None:
                writer.write(encode_line(*answer))
        writer.close()

    def say(self, content: bytes) -> None:
        assert self.writer is not None
        self.writer.write(content)


@asynccontextmanager
async def gateway_world(tmp_path: Path) -> AsyncIterator[tuple[Gateway, World, ManualClock, Any]]:
    clock, gateway = ManualClock(), Gateway(Counter())
    await gateway.start()
    world = World([plan_of(Transport.PULSE_TCP, f"127.0.0.1:{gateway.port}")])
    async with running_headend(world, clock, tmp_path, make_driver=make_family_driver) as headend:
        yield gateway, world, clock, headend


async def test_a_push_is_kept_and_acknowledged(tmp_path: Path) -> None:
    async with gateway_world(tmp_path) as (gateway, world, _, headend):
        counter = gateway.counter
        gateway.say(encode_line(*counter.counts(1, NOON_S + INTERVAL_S)))
        await until(lambda: counter.acknowledged == [1])
        gateway.say(encode_line(*counter.counts(2, NOON_S + 2 * INTERVAL_S)))
        gateway.say(encode_line(*counter.counts(2, NOON_S + 2 * INTERVAL_S)))
        await until(lambda: counter.acknowledged == [1, 2, 2])
        await until(lambda: headend.spool.batches_count == 0)
    assert set(world.values(10, Source.PUSH)) == {NOON_S + INTERVAL_S, NOON_S + 2 * INTERVAL_S}
    assert len(world.values(10, Source.PROFILE)) == 24
    assert headend.counts["exceptions"] == 0


async def test_an_acknowledgement_waits_for_what_came_before(tmp_path: Path) -> None:
    async with gateway_world(tmp_path) as (gateway, world, clock, headend):
        counter = gateway.counter
        counter.asked.clear()
        await clock.advance(4 * INTERVAL_S)
        gateway.say(encode_line(*counter.counts(9, NOON_S + 3 * INTERVAL_S, NOON_S + 4 * INTERVAL_S)))
        await until(lambda: bool(counter.asked))
        await until(lambda: len(world.values(10, Source.PROFILE)) == 26)
        await until(lambda: counter.acknowledged == [9])
    assert headend.counts["push_intervals"] == 2
    assert headend.counts["backfill_intervals"] == 0


async def test_nothing_is_acknowledged_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with gateway_world(tmp_path) as (gateway, _, _, headend):
        counter = gateway.counter

        def fail(_spool: Spool, _contents: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(Spool, "append", fail)
        gateway.say(encode_line(*counter.counts(1, NOON_S + INTERVAL_S)))
        await until(lambda: headend.counts["pushes_refused"] == 1)
        assert counter.acknowledged == []
        monkeypatch.undo()
        gateway.say(encode_line(*counter.counts(1, NOON_S + INTERVAL_S)))
        await until(lambda: counter.acknowledged == [1])


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe\n",
        b'{"topic":"pulse/tower/P1/counts","serial":"P1","seq":1,"counts":[[1.5,2]]}\n',
        b'{"topic":"pulse/tower/P2/counts","serial":"P2","seq":1,"counts":[[900,2]]}\n',
        b'{"topic":"pulse/tower/P1/ack","seq":1}\n',
        b"[" * 70_000 + b"\n",
    ],
)
async def test_garbage_is_counted_and_the_session_goes_on(tmp_path: Path, garbage: bytes) -> None:
    async with gateway_world(tmp_path) as (gateway, _, _, headend):
        gateway.say(garbage)
        gateway.say(encode_line(*gateway.counter.counts(1, NOON_S + INTERVAL_S)))
        await until(lambda: gateway.counter.acknowledged == [1])
        counts = headend.counts
    assert counts["pushes_refused"] + counts["frames_damaged"] > 0
    assert counts["exceptions"] == 0


async def test_a_lost_gateway_is_taken_up_again(tmp_path: Path) -> None:
    async with gateway_world(tmp_path) as (gateway, world, clock, _):
        assert gateway.writer is not None
        gateway.writer.transport.abort()
        await until(lambda: (1, False, "headend.link-lost") in world.link_reports)
        await clock.advance(10)
        gateway.say(encode_line(*gateway.counter.counts(1, NOON_S + INTERVAL_S)))
        await until(lambda: gateway.counter.acknowledged == [1])


class MqttCounter:
    """The counter behind a broker."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.client = Client("counter-P1")
        self.client.on_message = self._on_message

    async def connect(self, port: int) -> None:
        await self.client.connect("127.0.0.1", port)
        for verb in ("ack", "get"):
            self.client.subscribe(f"pulse/tower/P1/{verb}", qos=1)

    def say(self, topic: Topic, message: Counts | History) -> None:
        self.client.publish(str(topic), encode_message(message), qos=1)

    async def _on_message(self, _client: Any, topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        parts = decode_topic(topic)
        answer = self.counter.hear(parts, decode_message(parts, payload))
        if answer is not None:
            self.say(*answer)
        return 0


async def test_over_a_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counter = ManualClock(), MqttCounter(Counter())
    with broker(tmp_path) as port:
        await counter.connect(port)
        world = World([plan_of(Transport.MQTT, f"mqtt://127.0.0.1:{port}")])
        async with running_headend(world, clock, tmp_path, make_driver=make_family_driver) as headend:
            assert len(world.values(10, Source.PROFILE)) == 24
            await clock.advance(2 * INTERVAL_S)
            counter.say(*counter.counter.counts(1, NOON_S + INTERVAL_S))
            await until(lambda: counter.counter.acknowledged == [1])
            counter.client.publish("pulse/tower/P1/counts", b"garbage", qos=1)
            await until(lambda: headend.counts["pushes_refused"] == 1)

            def fail(_spool: Spool, _contents: object) -> None:
                raise OSError("disk full")

            monkeypatch.setattr(Spool, "append", fail)
            counter.say(*counter.counter.counts(2, NOON_S + 2 * INTERVAL_S))
            await until(lambda: headend.counts["pushes_refused"] == 2)
            assert counter.counter.acknowledged == [1]
        monkeypatch.undo()
        # the broker still holds the message that was not kept, and delivers it to the next session
        async with running_headend(world, clock, tmp_path / "next", make_driver=make_family_driver):
            await until(lambda: counter.counter.acknowledged == [1, 2])
        await counter.client.disconnect()
    assert set(world.values(10, Source.PUSH)) == {NOON_S + INTERVAL_S, NOON_S + 2 * INTERVAL_S}
    assert grid(NOON, NOON + timedelta(minutes=30))[1:] == sorted(world.values(10, Source.PUSH))


async def replayed(
    tmp_path: Path, repeats_count: int
) -> tuple[set[tuple[int, int]], set[tuple[int, int]], World, Any]:
    """Play six hours of frames, then the very same again; return the reads after each, as sets."""

    def rows(world: World) -> set[tuple[int, int]]:
        return {
            (int(at_s), int(value))
            for batch in world.batches
            for at_s, value in zip(batch.measured_at_s, batch.value, strict=True)
        }

    async with gateway_world(tmp_path) as (gateway, world, clock, headend):
        counter = gateway.counter
        frames = [encode_line(*counter.counts(n, NOON_S + n * INTERVAL_S)) for n in range(1, 25)]
        counter.newest_s = NOON_S
        for number, frame in enumerate(frames, 1):
            await clock.advance(INTERVAL_S)
            counter.newest_s = NOON_S + number * INTERVAL_S
            gateway.say(frame)
            await until(lambda number=number: len(counter.acknowledged) == number)  # type: ignore[misc]
        await until(lambda: headend.spool.batches_count == 0)
        before = rows(world)
        for frame in frames[:repeats_count]:
            gateway.say(frame)
        await until(lambda: len(counter.acknowledged) == 24 + repeats_count)
        await until(lambda: headend.spool.batches_count == 0)
        await clock.advance(1)
        return before, rows(world), world, headend


@pytest.mark.parametrize("repeats_count", [4, 24])
async def test_replayed_pushes_add_nothing_and_are_told(tmp_path: Path, repeats_count: int) -> None:
    before, after, world, headend = await replayed(tmp_path, repeats_count)
    assert after == before
    assert headend.counts["pushes_repeated"] == repeats_count
    assert [r.error_code for r in world.reports].count("headend.push-replayed") == 1


async def test_a_few_repetitions_are_no_alarm(tmp_path: Path) -> None:
    before, after, world, _ = await replayed(tmp_path, 3)
    assert after == before
    assert "headend.push-replayed" not in [report.error_code for report in world.reports]


async def test_a_frame_kept_each_time_it_comes_would_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: what comes is stamped with when it came."""
    on_push = PulseCounterDriver.on_push
    arrivals = count(NOON_S)

    def on_arrival(self: PulseCounterDriver, payload: bytes, frame_index: int) -> list[DeviceRead]:
        return [replace(read, measured_at_s=next(arrivals)) for read in on_push(self, payload, frame_index)]

    monkeypatch.setattr(PulseCounterDriver, "on_push", on_arrival)
    monkeypatch.setattr(PushReceiver, "_is_behind", lambda *_arguments: False)
    before, after, _, _ = await replayed(tmp_path, 24)
    assert len(after) == len(before) + 24
