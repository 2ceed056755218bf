"""Poison batches leave the way free, are kept with a reason and can be replayed; a full spool refuses."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from unit.headend.bench import (
    INTERVAL_S,
    NOON,
    ManualClock,
    ToyBus,
    ToyMeter,
    World,
    device,
    grid,
    link,
    running_headend,
    until,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.headend import dead_letters
from wattkeeper.headend.batch import new_batch_id
from wattkeeper.headend.dead_letters import DeadLetters
from wattkeeper.headend.drain import Drain
from wattkeeper.headend.errors import SpoolFailed
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.spool import Spool
from wattkeeper.headend.timetable import Dues, Sleeper
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import decode_batch, encode_batch
from wattkeeper.store.ranges import StoreOutOfRange

POISON = 666


def batch(value: int) -> RawBatch:
    one = np.ones(1, dtype=np.int64)
    return RawBatch(1, new_batch_id(value), 1000, one, one * 900, one * value, one * 0, one, one * -1)


class Sink:
    """A store that refuses one value for good, and everything while it is broken."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.is_cured = False
        self.is_broken = False
        self.calls_count = 0
        self.alone_count = 0  # how often the poison came alone

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        self.calls_count += 1
        values = [int(value) for one in batches for value in one.value]
        self.alone_count += values == [POISON]
        if self.is_broken or (POISON in values and not self.is_cured):
            raise StoreOutOfRange("store.out-of-range", column="value", value=POISON)
        self.values += values


def drain_of(spool: Spool, sink: Sink) -> tuple[Drain, HeadendMetrics]:
    metrics = HeadendMetrics()
    return Drain(spool, sink, ManualClock(), Sleeper(Dues()), metrics), metrics


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_one_poison_in_many_holds_nobody_up(tmp_path: Path, count: int) -> None:
    spool, sink = Spool(tmp_path), Sink()
    contents = [encode_batch(batch(value)) for value in range(1000, 1000 + count)]
    contents[count // 2] = encode_batch(batch(POISON))
    spool.append(contents)
    drain, metrics = drain_of(spool, sink)
    assert await drain.drain()
    others = [value for value in range(1000, 1000 + count) if value != 1000 + count // 2]
    assert sorted(sink.values) == others
    assert spool.batches_count == 0
    (letter,) = spool.dead_letters.letters()
    assert letter.reason == "store.out-of-range"
    assert decode_batch(spool.dead_letters.content(letter.name)).value.tolist() == [POISON]
    assert metrics.snapshot()["batches_quarantined"] == 1


async def test_a_poison_costs_the_others_little(tmp_path: Path) -> None:
    """Three tries and a halving, and no wait: the clock stands."""
    spool, sink = Spool(tmp_path), Sink()
    spool.append([encode_batch(batch(value)) for value in (POISON, *range(1000, 1100))])
    assert await drain_of(spool, sink)[0].drain()
    assert len(sink.values) == 100
    assert sink.calls_count < 40
    assert sink.alone_count == 3


async def test_retrying_in_place_for_ever_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: a refused batch is only tried again later."""

    async def later(*_arguments: object) -> bool:
        return False

    monkeypatch.setattr(Drain, "_refuse", later)
    spool, sink = Spool(tmp_path), Sink()
    spool.append([encode_batch(batch(value)) for value in (POISON, *range(1000, 1100))])
    assert not await drain_of(spool, sink)[0].drain()
    assert sink.values == []


async def test_a_store_that_refuses_everything_is_not_fed_to_the_letters(tmp_path: Path) -> None:
    spool, sink = Spool(tmp_path), Sink()
    spool.append([encode_batch(batch(value)) for value in range(1000, 1500)])
    sink.is_broken = True
    drain, _ = drain_of(spool, sink)
    assert not await drain.drain()
    assert len(spool.dead_letters.letters()) <= 10
    sink.is_broken = False
    assert await drain.drain()
    assert len(sink.values) + len(spool.dead_letters.letters()) == 500


async def test_what_cannot_be_set_aside_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk while a poison batch is set aside: nothing acknowledged is thrown away."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    spool, sink = Spool(tmp_path), Sink()
    spool.append([encode_batch(batch(POISON))])
    monkeypatch.setattr(dead_letters.os, "fsync", full)
    assert not await drain_of(spool, sink)[0].drain()
    assert (spool.batches_count, spool.dead_letters.letters()) == (1, [])
    monkeypatch.undo()
    assert await drain_of(spool, sink)[0].drain()
    assert len(spool.dead_letters.letters()) == 1


async def test_letters_are_replayed_once_the_cause_is_gone(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    world.sink_error = WattkeeperError("store.out-of-range")
    async with running_headend(world, clock, tmp_path) as headend:
        letters = headend.spool.dead_letters
        await until(lambda: bool(letters.letters()) and bool(world.spool_reports))
        await until(lambda: world.spool_reports[-1].dead_letters_count > 0)
        assert world.spool_reports[-1].reason == "store.out-of-range"
        world.sink_error = None
        await clock.advance(120)
        asked_count = DeadLetters(tmp_path / "spool").ask_again()
        assert asked_count > 0
        await until(lambda: world.spool_reports[-1].dead_letters_count == 0)
        await until(lambda: headend.spool.batches_count == 0)
        assert headend.counts["batches_replayed"] == asked_count
        await clock.advance(1)
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON)
    assert sorted(set(world.stamps(Source.PROFILE)[10])) == expected


def test_a_letter_is_proved_before_it_is_replayed(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.put("dead-1", b"content", "store.out-of-range")
    assert letters.content("dead-1") == b"content"
    path = tmp_path / "dead-1.letter"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SpoolFailed) as damaged:
        letters.content("dead-1")
    assert damaged.value.code == "headend.dead-letter-damaged"
    for name in ("dead-2", "../dead-1", "/etc/passwd"):
        with pytest.raises(SpoolFailed) as unknown:
            letters.ask_again([name])
        assert unknown.value.code == "headend.dead-letter-unknown"


async def test_a_full_spool_refuses_and_what_it_refused_is_fetched_later(tmp_path: Path) -> None:
    """A store that cannot be reached for more than a day, and room for a few hours of reads."""
    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path, capacity_bytes=12_000) as headend:
        await clock.advance(1)
        world.sink_error = WattkeeperError("store.unreachable", is_permanent=False)
        await clock.live_until(NOON + timedelta(hours=30), step_s=2 * INTERVAL_S)
        await until(lambda: bool(world.spool_reports) and world.spool_reports[-1].is_refusing)
        assert world.spool_reports[-1].is_alarmed
        kept = headend.spool.content_bytes
        assert 9_600 <= kept <= 12_000
        acknowledged_count = headend.counts["reads_stored"]
        world.sink_error = None
        await clock.live_until(NOON + timedelta(hours=31), step_s=INTERVAL_S)
        await until(lambda: not (world.spool_reports[-1].is_alarmed or world.spool_reports[-1].is_refusing))
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + timedelta(hours=31))
    assert sorted(set(world.stamps(Source.PROFILE)[10])) == expected
    assert sum(len(one.value) for one in world.batches) >= acknowledged_count
