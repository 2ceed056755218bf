"""kill -9 of the broker and of the head-end, again and again: what a counter was told to forget is kept.

The broker's own acknowledgement promises nothing: a killed broker forgets what it acknowledged, for it writes
its state now and then. So a counter forgets on our acknowledgement only, and that leaves after the spool.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from brokers import Broker
from unit.headend.bench import NOON, ManualClock, World, running_headend, until
from unit.headend.test_push import INTERVAL_S, NOON_S, Counter, MqttCounter, plan_of
from wattkeeper.core.kernel.quality import Source
from wattkeeper.headend.families import make_family_driver
from wattkeeper.headend.ports import LinkPlan, Transport
from wattkeeper.headend.spool_writer import SpoolWriter
from wattkeeper.protocols.pulse.messages import Ack, Counts, Topic
from wattkeeper.store.api import RawBatch

DAYS = 30
KILLS_COUNT = 8
LATER_S = 0.3


class Forgetting(Counter):
    """A counter that remembers only what was not acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[int] = []
        self.forgotten: set[int] = set()

    def push(self) -> tuple[Topic, Counts]:
        stamp = NOON_S + (len(self.pushed) + 1) * INTERVAL_S
        self.pushed.append(stamp)
        return self.counts(len(self.pushed), stamp)

    def remembered(self) -> list[tuple[Topic, Counts]]:
        rows = enumerate(self.pushed, 1)
        return [self.counts(number, stamp) for number, stamp in rows if stamp not in self.forgotten]

    def hear(self, topic: Topic, message: object):  # type: ignore[no-untyped-def]
        answer = super().hear(topic, message)
        if isinstance(message, Ack):
            self.forgotten.update(self.pushed[: message.sequence])
        if answer is None:
            return None
        rows = tuple(row for row in answer[1].rows if row[0] not in self.forgotten)
        return answer[0], replace(answer[1], rows=rows)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Broker:
    """A broker that keeps sessions on disk as well as it can."""
    folder = tmp_path / "broker"
    folder.mkdir()
    folder.chmod(0o777)
    lines = ["max_inflight_messages 0"]  # a busy machine is no reason to refuse a counter
    lines += ["persistence true", f"persistence_location {folder}/", "autosave_on_changes true"]
    return Broker(folder, *lines, "autosave_interval 1")


def plan(port: int) -> LinkPlan:
    link = plan_of(Transport.MQTT, f"mqtt://127.0.0.1:{port}")
    (device,) = link.devices
    device = replace(device, memory_s=DAYS * 86_400, reads_from_s=NOON_S + 1)
    return replace(link, devices=(device,))


@dataclass(frozen=True)
class Kills:
    """What the loop came to."""

    kills_count: int
    acknowledged_count: int
    pushed_count: int
    lost_count: int


async def kill_loop(
    folder: Path, broker: Broker, late: "set[asyncio.Task[None]]", kills_count: int = KILLS_COUNT
) -> Kills:
    """Push, and kill broker and head-end together; `late` is what the head-end does after it said so."""
    counter, dice = Forgetting(), random.Random(1)
    world = World([plan(broker.port)])
    for number in range(kills_count + 1):
        is_last = number == kills_count
        with broker.running() as process:
            modem = MqttCounter(counter)
            modem.client.set_config({"reconnect_retries": -2})
            await modem.connect(broker.port)
            clock = ManualClock(NOON + timedelta(days=DAYS - 1))
            async with running_headend(world, clock, folder, make_driver=make_family_driver) as headend:
                for message in counter.remembered():
                    modem.say(*message)
                for _ in range(0 if is_last else dice.randrange(30, 80)):
                    modem.say(*counter.push())
                    await asyncio.sleep(0.005)
                if is_last:
                    with suppress(TimeoutError):
                        await until(lambda: counter.forgotten >= set(counter.pushed))
                process.kill()
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
                if is_last:
                    await until(lambda: headend.spool.batches_count == 0)
            with suppress(Exception):
                await modem.client.disconnect()
    kept = {*world.values(10, Source.PUSH), *world.values(10, Source.PROFILE)}
    lost = counter.forgotten - kept
    return Kills(kills_count, len(counter.forgotten), len(counter.pushed), len(lost))


@pytest.mark.slow
async def test_what_a_counter_was_told_to_forget_is_kept(tmp_path: Path, mosquitto: Broker) -> None:
    found = await kill_loop(tmp_path, mosquitto, set())
    print(found)
    assert found.acknowledged_count == found.pushed_count > 8 * 30
    assert found.lost_count == 0


@pytest.mark.slow
async def test_acknowledging_before_the_spool_is_caught(
    tmp_path: Path, mosquitto: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: what is acknowledged is on disk a little later."""
    append, late = SpoolWriter.append, set[asyncio.Task[None]]()

    async def append_later(self: SpoolWriter, batch: RawBatch) -> None:
        async def write() -> None:
            await asyncio.sleep(LATER_S)
            await append(self, batch)

        late.add(asyncio.create_task(write()))

    monkeypatch.setattr(SpoolWriter, "append", append_later)
    found = await kill_loop(tmp_path, mosquitto, late, kills_count=2)
    print(found)
    assert found.acknowledged_count > 30
    assert found.lost_count > 0
