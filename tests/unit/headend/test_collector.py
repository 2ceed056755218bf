"""The head-end against toy meters over real sockets: no line noise changes what is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from unit.headend.bench import (
    INTERVAL_S,
    NOON,
    REGISTER,
    ManualClock,
    ToyBus,
    ToyDriver,
    ToyMeter,
    World,
    device,
    grid,
    link,
    running_headend,
    toy_frame,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.drivers.api import AnswerDamaged, DeviceConfig, DeviceRead, Driver, Request, Steps
from wattkeeper.headend.plants import drop_gaps

HOUR = timedelta(hours=1)


async def bus_with(clock: ManualClock, *meters: ToyMeter) -> ToyBus:
    bus = ToyBus(meters, clock)
    await bus.start()
    return bus


async def test_a_memory_is_fetched_and_reading_goes_on(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"), ToyMeter("M002"))
    world = World([link(bus, [device(1), device(2)])])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + HOUR)
        counts = headend.counts
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + HOUR)
    assert world.stamps(Source.PROFILE) == {10: expected, 20: expected}
    assert world.values(10, Source.PROFILE) == {stamp: stamp % 10**8 for stamp in expected}
    assert len(world.stamps(Source.LIVE)[10]) == 5
    assert counts["initial_intervals"] == 2 * 192
    assert (counts["backfill_intervals"], counts["backfill_requests"], counts["exceptions"]) == (0, 0, 0)
    assert counts["reads_unplanned"] > 0
    assert world.progress[-1] == (384, 384)
    assert world.link_reports == [(1, True, None)]
    assert headend.spool.batches_count == 0


async def test_every_read_points_at_its_frame(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path):
        pass
    assert world.batches
    for batch in world.batches:
        assert set(batch.frame_index.tolist()) == set(range(len(batch.frames)))
        for stamp, value, index in zip(batch.measured_at_s, batch.value, batch.frame_index, strict=True):
            content = batch.frames[index].content.decode()
            assert f"{value}" in content
            assert "live" in content or f"{stamp}:{value}" in content


class Noise:
    """Loses, doubles, damages and delays answers in turn."""

    def __init__(self) -> None:
        self.answers_count = 0

    def __call__(self, address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        self.answers_count += 1
        match self.answers_count % 11:
            case 3:
                return []
            case 5:
                return [(0.0, frame), (0.0, frame)]
            case 7:
                return [(0.0, frame[:4] + b"~" + frame[5:])]
            case 9:
                return [(0.0, b"\x00\xff garbage\n" + frame)]
            case 10:
                return [(0.08, frame)]
        return [(0.0, frame)]


async def test_lost_doubled_damaged_and_late_answers_change_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, *(ToyMeter(f"M{n:03}") for n in range(1, 5)))
    bus.fault = Noise()
    world = World([link(bus, [device(n) for n in range(1, 5)], timeout_s=0.05)])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + HOUR, step_s=INTERVAL_S)
        counts = headend.counts
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + HOUR)
    assert world.stamps(Source.PROFILE) == {10 * n: expected for n in range(1, 5)}
    for number in range(1, 5):
        assert world.values(10 * number, Source.PROFILE) == {s: s % 10**8 for s in expected}
        assert all(s % 10**8 == v for s, v in world.values(10 * number, Source.LIVE).items())
    assert min(counts[name] for name in ("timeouts", "frames_damaged", "answers_late")) > 0
    assert counts["exceptions"] == 0


async def test_an_outage_is_backfilled_exactly(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, *(ToyMeter(f"M{n:03}") for n in range(1, 4)))
    world = World([link(bus, [device(n) for n in range(1, 4)])])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + timedelta(minutes=5))
        await bus.stop()
        asked_before = len(bus.requests)
        await clock.live_until(NOON + timedelta(hours=6, minutes=5))
        assert len(bus.requests) == asked_before
        await bus.start()
        for meter in bus.meters.values():
            meter.asked_profile.clear()
        await clock.live_until(NOON + timedelta(hours=7))
        counts = headend.counts
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + timedelta(hours=7))
    assert world.stamps(Source.PROFILE) == {10: expected, 20: expected, 30: expected}
    assert counts["backfill_intervals"] == 3 * 24
    assert counts["backfill_requests"] == 3
    assert counts["backfill_repeats"] == 0
    assert counts["initial_intervals"] == 3 * 192
    assert [is_up for _, is_up, _ in world.link_reports] == [True, False, True]
    first = bus.meters["M001"].asked_profile[0]
    assert first == (expected[0] + 192 * INTERVAL_S, expected[0] + 216 * INTERVAL_S)


async def test_a_policy_that_drops_gaps_is_caught(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path, backfill_policy=drop_gaps) as headend:
        await bus.stop()
        await clock.live_until(NOON + timedelta(hours=2, minutes=5))
        await bus.start()
        await clock.live_until(NOON + timedelta(hours=3))
        assert headend.counts["backfill_intervals"] == 0
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + timedelta(hours=3))
    missing = set(expected) - set(world.stamps(Source.PROFILE)[10])
    assert sorted(missing) == grid(NOON + timedelta(minutes=15), NOON + timedelta(hours=2))


@pytest.mark.slow
async def test_a_silent_link_is_not_blamed_on_its_meters(tmp_path: Path) -> None:
    clock = ManualClock()
    meters = [ToyMeter(f"M{n:03}") for n in range(1, 9)]
    bus = await bus_with(clock, *meters)
    world = World([link(bus, [device(n) for n in range(1, 9)], timeout_s=0.02)])
    async with running_headend(world, clock, tmp_path) as headend:
        bus.fault = lambda address, verb, frame: []
        await clock.live_until(NOON + timedelta(hours=1, minutes=5), step_s=300)
        asked_count = len(bus.requests)
        bus.fault = lambda address, verb, frame: [(0.0, frame)]
        await clock.live_until(NOON + timedelta(hours=2), step_s=300)
        counts = headend.counts
    assert asked_count < 8 * 7 + 14 * 9 + 1
    assert counts["backfill_intervals"] == 8 * 4
    assert (1, False, "headend.link-silent") in world.link_reports
    expected = grid(NOON - timedelta(days=2) + timedelta(seconds=INTERVAL_S), NOON + timedelta(hours=2))
    assert all(stamps == expected for stamps in world.stamps(Source.PROFILE).values())


async def test_a_dead_meter_does_not_starve_its_bus(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001", is_dead=True), ToyMeter("M002"), ToyMeter("M003"))
    world = World([link(bus, [device(n) for n in (1, 2, 3)], timeout_s=0.03)])
    async with running_headend(world, clock, tmp_path):
        await clock.live_until(NOON + timedelta(hours=12), step_s=INTERVAL_S)
    to_the_dead = sum(1 for address, _ in bus.requests if address == "M001")
    assert to_the_dead <= 9 + 48 // 4 + 1
    assert to_the_dead < 0.1 * len(bus.requests)
    assert len(world.stamps(Source.LIVE)[20]) == len(world.stamps(Source.LIVE)[30]) == 49
    last = [report for report in world.reports if report.device_id == 1][-1]
    assert not last.is_answering
    assert last.error_code == "headend.no-answer"
    assert last.failures_count > 3
    assert world.progress[-1] == (384, 384)


async def test_a_slow_clock_is_measured_and_flagged(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001", clock_offset_s=-420), ToyMeter("M002", clock_offset_s=5))
    world = World([link(bus, [device(1), device(2)])])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + HOUR, step_s=INTERVAL_S)
        counts = headend.counts
    assert {(r.device_id, r.clock_offset_s) for r in world.reports} == {(1, -420), (2, 5)}
    for batch in world.batches:
        is_flagged = (batch.flags & Flag.CLOCK_INVALID) != 0
        assert (is_flagged == ((batch.channel_id == 10) & (batch.source == Source.PROFILE))).all()
    assert counts["backfill_intervals"] == 0
    assert world.stamps(Source.PROFILE)[10][-1] == grid(NOON, NOON + HOUR)[-2]


async def test_a_hole_in_a_memory_is_asked_for_three_times(tmp_path: Path) -> None:
    clock = ManualClock()
    holes = set(grid(NOON - 3 * HOUR, NOON - 2 * HOUR))
    bus = await bus_with(clock, ToyMeter("M001", holes=holes))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + 2 * HOUR, step_s=INTERVAL_S)
        counts = headend.counts
    asked = bus.meters["M001"].asked_profile
    assert sum(1 for from_s, to_s in asked if any(from_s <= hole < to_s for hole in holes)) == 3
    assert counts["intervals_given_up"] == len(holes)
    assert counts["backfill_intervals"] == 0
    assert "headend.intervals-given-up" in {report.error_code for report in world.reports}


async def test_a_store_that_is_down_delays_and_loses_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    world.sink_error = WattkeeperError("store.unreachable", is_permanent=False)
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + HOUR, step_s=INTERVAL_S)
        assert world.batches == []
        assert headend.spool.batches_count > 4
        world.sink_error = None
        await clock.live_until(NOON + HOUR + timedelta(minutes=2))
        assert headend.spool.batches_count == 0
    received = [batch.received_at_s for batch in world.batches]
    assert received == sorted(received)
    assert len(world.stamps(Source.PROFILE)[10]) == 192 + 4


async def test_what_is_held_is_not_asked_for_again(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path / "a"):
        pass
    clock.jump(3600)
    bus.meters["M001"].asked_profile.clear()
    async with running_headend(world, clock, tmp_path / "b") as headend:
        assert headend.counts["initial_intervals"] == 4
    assert bus.meters["M001"].asked_profile == [
        (grid(NOON, NOON + HOUR)[1], grid(NOON, NOON + HOUR)[-1] + INTERVAL_S)
    ]


async def test_an_exchanged_meter_is_taken_up_at_once(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path):
        await clock.live_until(NOON + timedelta(minutes=7))
        changed_s = int((NOON + timedelta(minutes=7)).timestamp())
        bus.meters["M002"] = ToyMeter("M002")
        del bus.meters["M001"]
        world.change_plan([link(bus, [device(1, reads_to_s=changed_s), device(2, reads_from_s=changed_s)])])
        await clock.live_until(NOON + HOUR, step_s=INTERVAL_S)
    assert world.stamps(Source.PROFILE)[10][-1] == grid(NOON, NOON)[0]
    assert world.stamps(Source.PROFILE)[20] == grid(NOON + timedelta(minutes=15), NOON + HOUR)
    assert not any(not report.is_answering for report in world.reports)


async def test_another_meter_at_the_address_is_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001", serial="OTHER"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path):
        await clock.live_until(NOON + timedelta(minutes=30))
    assert world.batches == []
    assert {report.error_code for report in world.reports} == {"drivers.wrong-device"}
    assert all(report.error_params == {"expected": "M001", "found": "OTHER"} for report in world.reports)


async def test_a_value_between_steps_is_refused(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    plan = device(1)
    coarse = tuple(
        type(channel)(channel.channel_id, channel.reading_type, channel.step * 7, channel.is_profiled)
        for channel in plan.channels
    )
    world = World([link(bus, [device(1, channels=coarse)])])
    async with running_headend(world, clock, tmp_path) as headend:
        assert headend.counts["exceptions"] == 0
    assert "headend.not-on-step" in {report.error_code for report in world.reports}


async def test_a_driver_that_breaks_does_not_stop_the_others(tmp_path: Path) -> None:
    from unit.headend.bench import ToyDriver

    class Broken(ToyDriver):
        def read_live(self):  # type: ignore[no-untyped-def]
            raise KeyError("oops")
            yield

    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"), ToyMeter("M002"))
    world = World([link(bus, [device(1), device(2)])])
    make = lambda family, config: (Broken if config.address == "M001" else ToyDriver)(config)  # noqa: E731
    async with running_headend(world, clock, tmp_path, make_driver=make) as headend:
        assert headend.counts["exceptions"] > 0
    assert len(world.stamps(Source.PROFILE)[10]) == len(world.stamps(Source.PROFILE)[20]) == 192
    assert "headend.unexpected" in {report.error_code for report in world.reports}


class Foreign(ToyDriver):
    """Its meter counts live values in a unit of its own."""

    def read_live(self) -> Steps[list[DeviceRead]]:
        yield from ()
        raise AnswerDamaged("drivers.unit-mismatch", reading_type=REGISTER, unit=32)


async def test_a_foreign_unit_is_reported_with_what_it_was_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path, make_driver=lambda _family, config: Foreign(config)):
        pass
    told = {report.error_code: report.error_params for report in world.reports}
    assert told == {"drivers.unit-mismatch": {"reading_type": REGISTER, "unit": 32}}
    assert not world.stamps(Source.LIVE)
    assert len(world.stamps(Source.PROFILE)[10]) == 192


class Telling(ToyDriver):
    """Its meter was told of transformers, or falls silent when it is asked."""

    def read_multiplier(self) -> Steps[Fraction]:
        if self._address == "M002":
            yield Request(toy_frame("?", "nobody", "ratio"), lambda _frame: False)
        yield from self._ask("live")
        return Fraction(80)


async def test_a_meter_is_asked_once_a_day_for_its_transformers(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"), ToyMeter("M002"))
    world = World([link(bus, [device(1), device(2)])])
    async with running_headend(world, clock, tmp_path, make_driver=lambda _family, config: Telling(config)):
        for _ in range(4):
            await clock.advance(6 * 3600)
            await clock.advance(INTERVAL_S)
    told = [(r.device_id, r.multiplier) for r in world.reports if r.multiplier is not None]
    assert told == [(1, Fraction(80)), (1, Fraction(80))]
    assert all(report.is_answering for report in world.reports)


class Hourly(ToyDriver):
    """It keeps its profile by hours and says so once it is read."""

    profile_interval_s: int | None = None

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        self.profile_interval_s = 3600
        return (yield from super().read_profile(from_s, to_s))


async def test_what_a_meter_says_of_its_profile_is_reported_beside_what_was_planned(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path, make_driver=lambda _family, config: Hourly(config)):
        await clock.advance(INTERVAL_S)
    assert {report.intervals_s for report in world.reports} - {None} == {(INTERVAL_S, 3600)}


@pytest.mark.slow
@pytest.mark.parametrize("flood", [b"\x00" * 200_000, b"x" * 70_000 + b"\n"])
async def test_floods_of_garbage_are_bounded(tmp_path: Path, flood: bytes) -> None:
    clock = ManualClock()
    bus = await bus_with(clock, ToyMeter("M001"))
    sent = []

    def fault(address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        sent.append(verb)
        return [(0.0, flood)] if len(sent) % 4 == 2 else [(0.0, frame)]

    bus.fault = fault
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path) as headend:
        await clock.live_until(NOON + HOUR, step_s=INTERVAL_S)
        counts = headend.counts
    assert len(world.stamps(Source.PROFILE)[10]) == 196
    assert counts["bytes_dropped"] > 60_000
    assert counts["exceptions"] == 0


class OwnMeter(ToyMeter):
    """Shows a register of its own, so that an answer taken for another's is seen."""

    def answer(self, verb: str, arguments: Sequence[str], now_s: int) -> str | None:
        return str(int(self.address[1:]) * 1000) if verb == "live" else super().answer(verb, arguments, now_s)


class Trusting(ToyDriver):
    """Takes whatever comes for the answer to its latest question."""

    def _ask(self, verb: str, *arguments: object) -> Steps[tuple[str, int]]:
        steps = super()._ask(verb, *arguments)
        answer = yield replace(next(steps), matches=lambda _frame: True)
        try:
            steps.send(answer)
        except StopIteration as done:
            value: tuple[str, int] = done.value
            return value
        raise AssertionError


async def lives_read_late(tmp_path: Path, make: Callable[[DeviceConfig], Driver]) -> dict[int, set[int]]:
    """Poll four meters of a bus whose live answers come too late by turns; return what was kept."""

    def late(_address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        bus.lates_count += verb == "live"
        return [(0.2 if verb == "live" and bus.lates_count % 2 else 0.0, frame)]

    clock = ManualClock()
    bus = ToyBus([OwnMeter(f"M{n:03}") for n in range(1, 5)], clock, late)
    await bus.start()
    devices = [device(n, memory_s=INTERVAL_S) for n in range(1, 5)]
    world = World([link(bus, devices)])
    async with running_headend(world, clock, tmp_path, make_driver=lambda _family, config: make(config)):
        for _ in range(3):
            await clock.advance(INTERVAL_S)
    kept: dict[int, set[int]] = {}
    for batch in world.batches:
        for row in np.flatnonzero(batch.source == Source.LIVE):
            kept.setdefault(int(batch.channel_id[row]), set()).add(int(batch.value[row]))
    return kept


async def test_no_late_answer_is_kept_under_another_meter(tmp_path: Path) -> None:
    kept = await lives_read_late(tmp_path, ToyDriver)
    assert kept == {10 * n: {1000 * n} for n in range(1, 5)}


async def test_first_come_first_taken_would_be_caught(tmp_path: Path) -> None:
    """The planted fault: answers are matched to questions by their order alone."""
    kept = await lives_read_late(tmp_path, Trusting)
    assert any(values != {100 * channel_id} for channel_id, values in kept.items())
