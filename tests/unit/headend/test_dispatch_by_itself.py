"""Dispatch by itself: how soon and how often it asks, and what a device may do at each step of a command."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from unit.headend.bench import (
    INTERVAL_S,
    NOON,
    Fault,
    ManualClock,
    ToyBus,
    ToyDriver,
    ToyMeter,
    World,
    device,
    no_fault,
    toy_frame,
    until,
)
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import AnswerDamaged, DeviceConfig, RelayCommand, Steps
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.dispatch import CLAIM_PERIOD_REAL_S, Dispatch, ReadRelay
from wattkeeper.headend.errors import NoAnswer
from wattkeeper.headend.line import Line
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import CommandKind, CommandResult, OutboxCommand
from wattkeeper.headend.schedule import Cadence
from wattkeeper.headend.stamps import HeldStamps
from wattkeeper.headend.tcp import dial

CUT = OutboxCommand(5, 1, CommandKind.DISCONNECT, NOON + timedelta(minutes=10))


class PartingDriver(ToyDriver):
    """Asks for the clock to end its session."""

    def close(self) -> Steps[None]:
        yield from self._ask("clock")


class AskingDriver(ToyDriver):
    """Asks for the clock before it controls its relay."""

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        steps = self._ask("clock")
        answer = yield replace(next(steps), is_question=True)
        with suppress(StopIteration):
            steps.send(answer)
        yield from super().control_relay(command)


class SteppedDriver(ToyDriver):
    """Controls its relay in two steps, neither of which only asks."""

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        yield from self._ask("clock")
        yield from super().control_relay(command)


def silent_to(silent_verb: str) -> Fault:
    return lambda _address, verb, frame: [] if verb == silent_verb else [(0.0, frame)]


def loses_once(lost_verb: str) -> Fault:
    left = [lost_verb]

    def fault(_address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        if verb in left:
            left.remove(verb)
            return []
        return [(0.0, frame)]

    return fault


def busy_relay(address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
    return [(0.0, toy_frame("=", address, verb, "disconnect", "busy") if verb == "relay-set" else frame)]


@dataclass
class Bench:
    """One meter behind a line that was never connected."""

    world: World
    clock: ManualClock
    metrics: HeadendMetrics
    bus: ToyBus
    line: Line
    state: DeviceState

    def dispatch(self, **options: object) -> Dispatch:
        settings: dict[str, object] = {"find_device": lambda _: (self.line, self.state), "busy": nullcontext}
        return Dispatch(self.world, self.clock, self.metrics, **{**settings, **options})  # type: ignore[arg-type]

    @property
    def asked(self) -> list[str]:
        return [verb for _, verb in self.bus.requests]

    @property
    def told(self) -> list[str]:
        return [result.outcome for result in self.world.results]


@asynccontextmanager
async def benched(driver: type[ToyDriver] = ToyDriver, fault: Fault = no_fault) -> AsyncIterator[Bench]:
    clock, metrics = ManualClock(), HeadendMetrics()
    bus = ToyBus([ToyMeter("M001")], clock, fault)
    await bus.start()
    line = Line(dial(f"127.0.0.1:{bus.port}"), timeout_s=0.1, retries_count=2, metrics=metrics)
    cadence = Cadence(INTERVAL_S, NOON, random.Random(1))
    state = DeviceState(device(1), driver(DeviceConfig("M001", "M001")), cadence, HeldStamps(INTERVAL_S))
    yield Bench(World([]), clock, metrics, bus, line, state)
    line.close()
    await bus.stop()


# one command


async def test_a_cut_connects_by_itself_and_ends_its_sessions() -> None:
    async with benched(PartingDriver) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", "relay-set", "clock", "serial", "relay", "clock"]
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]


async def test_silence_at_the_end_of_a_session_takes_nothing_back() -> None:
    async with benched(PartingDriver, silent_to("clock")) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", "relay-set", "clock", "serial", "relay", "clock"]
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]
    assert bench.world.results[-1].relay_state is RelayState.DISCONNECTED


async def test_a_relay_is_read_back_over_a_line_that_was_down() -> None:
    async with benched() as bench:
        await bench.dispatch().read_back(CUT)
    assert bench.told == ["READ_BACK"]


async def test_what_a_device_refuses_is_read_back_all_the_same() -> None:
    async with benched(fault=busy_relay) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.told == ["SENT", "REFUSED_BY_DEVICE", "READ_BACK"]
    assert bench.world.results[1].detail_code == "toy.refused"


async def test_a_command_of_two_frames_is_written_down_before_the_first() -> None:
    async with benched(SteppedDriver) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]
    assert b"clock" in (bench.world.results[0].frame or b"")


async def test_what_is_asked_before_a_command_is_asked_again_and_is_not_the_command() -> None:
    async with benched(AskingDriver, loses_once("clock")) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", "clock", "clock", "relay-set", "serial", "relay"]
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]
    assert b"relay-set" in (bench.world.results[0].frame or b"")


async def test_a_command_whose_question_stays_unanswered_was_not_sent() -> None:
    async with benched(AskingDriver, silent_to("clock")) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", *["clock"] * 3] * 3
    assert [(result.outcome, result.detail_code) for result in bench.world.results] == [
        ("NO_ANSWER", "headend.not-sent")
    ]


async def test_a_command_that_is_too_late_when_its_questions_are_answered_does_not_leave() -> None:
    def later(_address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        if verb == "clock":
            bench.clock.jump(600)
        return [(0.0, frame)]

    async with benched(AskingDriver, later) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", "clock"]
    assert bench.told == ["EXPIRED"]


async def test_whatever_a_line_loses_a_command_acts_once_or_never_left() -> None:
    async def command(seed: int) -> tuple[list[str], list[str], RelayState | None]:
        dice = random.Random(seed)

        def lossy(_address: str, _verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
            return [(0.0, frame)] * dice.choice((0, 1, 1, 1, 1, 2))

        async with benched(AskingDriver, lossy) as bench:
            dispatch = bench.dispatch()
            await dispatch.execute(CUT)
            while "SENT" in bench.told and bench.told[-1] != "READ_BACK":
                await dispatch.read_back(CUT)
            return bench.told, bench.bus.meters["M001"].relay_commands, bench.world.results[-1].relay_state

    for told, acts, relay_state in await asyncio.gather(*map(command, range(60))):
        if "SENT" in told:
            assert (acts, relay_state) == (["disconnect"], RelayState.DISCONNECTED)
        else:
            assert (acts, told) == ([], ["NO_ANSWER"])


async def test_a_damaged_answer_before_a_command_refuses_nothing() -> None:
    class DamagedOnceDriver(ToyDriver):
        is_damaged = True

        def open(self) -> Steps[None]:
            yield from super().open()
            if DamagedOnceDriver.is_damaged:
                DamagedOnceDriver.is_damaged = False
                raise AnswerDamaged("toy.damaged", is_permanent=False)

    async with benched(DamagedOnceDriver) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]


async def test_what_could_not_be_written_down_is_not_read_back_either() -> None:
    def refuse(_result: CommandResult) -> None:
        raise OSError("disk full")

    async with benched() as bench:
        bench.world.record = refuse  # type: ignore[method-assign]
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial"] * 3


async def test_a_registry_that_is_busy_once_holds_up_no_command() -> None:
    async with benched() as bench:
        record, failures = bench.world.record, [OSError("database is locked")]

        def record_later(result: CommandResult) -> None:
            if failures:
                raise failures.pop()
            record(result)

        bench.world.record = record_later  # type: ignore[method-assign]
        await bench.dispatch().execute(CUT)
    assert bench.asked == ["serial", "serial", "relay-set", "serial", "relay"]
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]


async def test_a_relay_that_takes_its_time_has_not_failed() -> None:
    left = [RelayState.CONNECTED]

    def slow_relay(address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        if verb == "relay" and left:
            frame = toy_frame("=", address, verb, int(left.pop()))
        return [(0.0, frame)]

    async with benched(fault=slow_relay) as bench:
        await bench.dispatch().execute(CUT)
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]
    assert bench.world.results[-1].relay_state is RelayState.DISCONNECTED


async def test_a_relay_that_did_not_move_and_falls_silent_is_left_pending() -> None:
    async with benched() as bench:
        bench.bus.meters["M001"].is_relay_stuck = True
        reads = [RelayState.CONNECTED]

        async def silent_later(_kind: CommandKind, _read: ReadRelay) -> RelayState:
            if reads:
                return reads.pop()
            raise NoAnswer("headend.no-answer", is_permanent=False)

        await bench.dispatch(read_back_policy=silent_later).read_back(CUT)
    assert bench.told == []


async def test_a_device_that_is_not_known_here_is_told_of_once() -> None:
    async with benched() as bench:
        dispatch = bench.dispatch(find_device=lambda _: None)
        await dispatch.execute(CUT)
        await dispatch.read_back(CUT)
    assert [(result.outcome, result.detail_code) for result in bench.world.results] == [
        ("NO_ANSWER", "headend.device-unknown")
    ]


async def test_a_relay_that_stays_silent_is_read_three_times_and_left_pending() -> None:
    tries_count = 0

    async def silent(_kind: CommandKind, _read: ReadRelay) -> RelayState:
        nonlocal tries_count
        tries_count += 1
        raise NoAnswer("headend.no-answer", is_permanent=False)

    async with benched() as bench:
        await bench.dispatch(read_back_policy=silent).read_back(CUT)
    assert tries_count == 3
    assert bench.told == []


# many commands


async def test_a_command_that_fails_unforeseen_is_counted_and_the_next_goes_on() -> None:
    levels = [0]

    @contextmanager
    def busy() -> Iterator[None]:
        levels.append(levels[-1] + 1)
        yield
        levels.append(levels[-1] - 1)

    async with benched() as bench:

        def find_device(device_id: int) -> tuple[Line, DeviceState]:
            if device_id == 2:
                raise ValueError("a fault of ours")
            return bench.line, bench.state

        bench.world.outbox += [replace(CUT, command_id=6, device_id=2), CUT]
        await bench.dispatch(find_device=find_device, busy=busy).claim()
        await until(lambda: bench.told[-1:] == ["READ_BACK"])
    assert bench.metrics.snapshot()["exceptions"] == 1
    assert max(levels) > 0


async def test_commands_are_not_held_up_by_calls_of_others() -> None:
    """The threads that all share are taken; commands ask the registry in threads of their own."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as shared:
        asyncio.get_running_loop().set_default_executor(shared)
        shared.submit(gate.wait)
        try:
            async with benched() as bench, asyncio.timeout(60):
                await bench.dispatch().execute(CUT)
        finally:
            gate.set()
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]


async def test_the_outbox_is_asked_at_its_pace() -> None:
    asked_at_s: list[float] = []

    async with benched() as bench:

        def claim(_now: datetime) -> Sequence[OutboxCommand]:
            asked_at_s.append(time.monotonic())
            return ()

        bench.world.claim = claim  # type: ignore[method-assign]
        running = asyncio.create_task(bench.dispatch().run())
        await until(lambda: len(asked_at_s) >= 4)
        running.cancel()
    assert asked_at_s[3] - asked_at_s[0] > 2.5 * CLAIM_PERIOD_REAL_S


# relays that are read back again


class Pace:
    """A dispatch with one relay to read back: when it does so, by a real time and a clock that both stand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real_s = 1000.0
        self.read_s: list[float] = []
        self.clock, self.world = ManualClock(), World([])
        self.world.read_backs = [CUT]
        self._dispatch = Dispatch(
            self.world, self.clock, HeadendMetrics(), find_device=self._find_device, busy=nullcontext
        )
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.real_s)

    def _find_device(self, _device_id: int) -> None:
        self.read_s.append(self.real_s - 1000)

    async def claim(self, after_s: float = 0.0) -> None:
        """Let so much real time pass, and claim."""
        self.real_s += after_s
        await self._dispatch.claim()
        await asyncio.sleep(0)  # what was begun ends


async def test_a_relay_is_read_back_soon_at_first_and_then_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = Pace(monkeypatch)
    for _ in range(400):
        await pace.claim()
        pace.real_s += 0.25
    assert pace.read_s == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]


async def test_a_relay_is_read_back_each_minute_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(monkeypatch)
    await pace.claim()
    for seconds, count in [(59, 1), (1, 2), (59, 2), (1, 3)]:
        pace.clock.jump(seconds)
        await pace.claim()
        assert len(pace.read_s) == count


async def test_a_relay_that_is_pending_anew_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(monkeypatch)
    await pace.claim()
    pace.world.read_backs = []
    await pace.claim()
    pace.world.read_backs = [CUT]
    await pace.claim()
    assert pace.read_s == [0, 0]


async def test_a_relay_that_was_read_while_the_outbox_was_asked_is_not_read_again() -> None:
    async with benched() as bench:
        loop = asyncio.get_running_loop()

        def pending(_now: datetime) -> Sequence[OutboxCommand]:
            ended = asyncio.run_coroutine_threadsafe(until(lambda: bench.told[-1:] == ["READ_BACK"]), loop)
            ended.result(60)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(60)
            return [CUT]

        bench.world.pending_read_backs = pending  # type: ignore[method-assign]
        bench.world.outbox.append(CUT)
        await bench.dispatch().claim()
        await asyncio.sleep(0.05)
    assert bench.told == ["SENT", "ACKED", "READ_BACK"]


async def test_a_relay_that_is_being_read_is_not_read_beside_it() -> None:
    begun_count, gate = 0, asyncio.Event()

    async def slow(_kind: CommandKind, _read: ReadRelay) -> RelayState:
        nonlocal begun_count
        begun_count += 1
        await gate.wait()
        return RelayState.DISCONNECTED

    async with benched() as bench:
        bench.world.read_backs = [CUT]
        dispatch = bench.dispatch(read_back_policy=slow)
        await dispatch.claim()
        await until(lambda: begun_count == 1)
        bench.clock.jump(60)
        await dispatch.claim()
        bench.world.read_backs = []
        gate.set()
        await until(lambda: bench.told == ["READ_BACK"])
        await dispatch.claim()
        await asyncio.sleep(0.05)
    assert begun_count == 1
