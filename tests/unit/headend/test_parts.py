"""The small parts of the head-end: counts, stamps, cadence, turns, timetable, metrics."""

import asyncio
import itertools
import random
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import still_time
from unit.headend.bench import NOON, ManualClock, ToyDriver, device
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.drivers.api import AnswerDamaged, DeviceConfig, DeviceRead
from wattkeeper.headend.batch import BatchBuilder, new_batch_id, to_count
from wattkeeper.headend.device import DeviceState
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.families import make_family_driver
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.schedule import Cadence, LinkBackoff, backoff_s, next_multiple
from wattkeeper.headend.stamps import HeldStamps, to_runs
from wattkeeper.headend.tcp import split_endpoint
from wattkeeper.headend.timetable import Sleeper, Timetable
from wattkeeper.headend.turns import Priority, Turns


@given(st.integers(-(2**62), 2**62), st.sampled_from([Fraction(1), Fraction(1, 100), Fraction(1, 8)]))
def test_counts_are_exact(count: int, step: Fraction) -> None:
    exact = count * step
    value = Decimal(exact.numerator * (10**3 // exact.denominator)).scaleb(-3)
    if abs(value) < Decimal(10) ** 27:
        assert to_count(value, step, "x") == count


@pytest.mark.parametrize("text", ["0.005", "NaN", "Infinity", "1e30"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(AnswerDamaged):
        to_count(Decimal(text), Fraction(1, 100), "x")


def test_batch_ids_are_63_bits_and_differ() -> None:
    ids = {new_batch_id(1_800_000_000) for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(0 < batch_id < 2**63 for batch_id in ids)


def test_a_refused_read_adds_nothing() -> None:
    builder = BatchBuilder(link_id=1, device=device(1), now_s=1000)
    kind = "energy_import_register_kwh"
    good = DeviceRead(kind, Decimal("1.25"), 900, Source.PROFILE, 0)
    with pytest.raises(AnswerDamaged):
        builder.add([good, DeviceRead(kind, Decimal("0.001"), 900, Source.PROFILE, 0)], now_s=1000)
    assert builder.build() is None


@given(st.sets(st.integers(1000, 1400)), st.sets(st.integers(900, 1500)))
def test_missing_is_what_is_not_held(first: set[int], second: set[int]) -> None:
    held = HeldStamps(900)
    held.add(sorted(index * 900 for index in first))
    held.add(sorted(index * 900 for index in second))
    expected = [index * 900 for index in range(950, 1451) if index not in first | second]
    assert held.missing(950 * 900 - 7, 1450 * 900 + 7) == expected
    held.forget_before(1200 * 900)
    assert held.missing(1200 * 900, 1450 * 900) == [stamp for stamp in expected if stamp >= 1200 * 900]


@given(st.sets(st.integers(0, 500)), st.sampled_from([900, 3600, 86_400]))
def test_runs_hold_exactly_the_stamps(indexes: set[int], run_max_s: int) -> None:
    stamps = sorted(index * 900 for index in indexes)
    runs = list(to_runs(stamps, 900, run_max_s=run_max_s))
    assert [stamp for run in runs for stamp in run.stamps] == stamps
    assert all(0 < len(run) * 900 <= max(run_max_s, 900) for run in runs)


def test_a_stamp_is_given_up_after_three_times() -> None:
    held = HeldStamps(900)
    assert held.miss([900]) == held.miss([900]) == []
    assert held.missing(900, 900) == [900]
    assert held.miss([900]) == [900]
    assert held.missing(900, 900) == []
    held.add([900])
    assert held.is_held(900)


def test_off_grid_stamps_are_no_part_of_the_grid() -> None:
    held = HeldStamps(900)
    held.add([901, 1800])
    assert held.missing(900, 1800) == [900]


@given(st.integers(1, 60), st.randoms())
def test_backoff_doubles_and_is_capped(failures_count: int, dice: random.Random) -> None:
    wait_s = backoff_s(failures_count, least_s=5, most_s=300, dice=dice)
    full_s = min(300, 5 * 2 ** (failures_count - 1))
    assert 0.75 * full_s <= wait_s <= full_s


def test_polls_are_aligned() -> None:
    assert next_multiple(NOON, 900) == NOON + timedelta(minutes=15)
    assert next_multiple(NOON - timedelta(seconds=1), 900) == NOON


def test_the_dead_are_tried_each_fourth_poll() -> None:
    cadence, now = Cadence(900, NOON, random.Random(1)), NOON
    tries = []
    for _ in range(40):
        if cadence.begin(now):
            tries.append(now)
            cadence.fail(now)
        now = cadence.due_at()
    gaps = [second - first for first, second in itertools.pairwise(tries[3:])]
    assert set(gaps) == {timedelta(hours=1)}
    cadence.succeed()
    assert not cadence.is_dead


def test_a_link_is_tried_at_least_each_five_minutes() -> None:
    backoff, now = LinkBackoff(random.Random(1)), NOON
    for _ in range(20):
        backoff.fail(now)
        assert backoff.retry_at is not None
        assert not backoff.may_try(now)
        assert backoff.retry_at - now <= timedelta(seconds=300)
        now = backoff.retry_at
    backoff.recover()
    assert backoff.may_try(now)


async def test_the_most_urgent_goes_first() -> None:
    turns, order = Turns(), []

    async def work(priority: Priority) -> None:
        async with turns.turn(priority):
            order.append(priority)
            await asyncio.sleep(0)

    async with turns.turn(Priority.BACKFILL):
        waiting = [asyncio.create_task(work(p)) for p in (*reversed(Priority), Priority.CONTROL)]
        await asyncio.sleep(0)
        assert turns.is_wanted(Priority.BACKFILL)
        waiting[0].cancel()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [Priority.CONTROL, Priority.CONTROL, Priority.ON_DEMAND, Priority.SCHEDULE]
    async with asyncio.timeout(60), turns.turn(Priority.BACKFILL):
        assert not turns.is_wanted(Priority.BACKFILL)


class WallClock:
    """A clock that goes on by itself, by a microsecond between two looks at least."""

    def __init__(self) -> None:
        self.settled_at: list[datetime] = []
        self._looked_at = NOON

    def now(self) -> datetime:
        shown = NOON + timedelta(seconds=asyncio.get_running_loop().time())
        self._looked_at = max(shown, self._looked_at + timedelta(microseconds=1))
        return self._looked_at

    async def sleep_until(self, instant: datetime) -> None:
        await asyncio.sleep((instant - self.now()).total_seconds())

    def report_settled(self, instant: datetime) -> None:
        self.settled_at.append(instant)


async def nothing() -> None:
    """No plan to look at."""


def test_a_timetable_follows_a_clock_that_goes_on() -> None:
    clock, woken = WallClock(), []

    async def follow() -> None:
        timetable = Timetable(clock, on_moved=nothing)
        sleeper = timetable.add()
        task = asyncio.create_task(timetable.run())
        for _ in range(3):
            due_at = clock.now() + timedelta(seconds=0.1)
            await sleeper.sleep_until(due_at)
            woken.append((clock.now() - due_at).total_seconds())
        await asyncio.sleep(0.05)
        task.cancel()

    still_time.run(follow())
    assert all(0 <= late_s < 0.001 for late_s in woken)
    assert len(clock.settled_at) < 30


async def test_nothing_is_settled_while_somebody_works() -> None:
    clock = ManualClock()
    timetable = Timetable(clock, on_moved=nothing)
    sleeper = timetable.add()
    task = asyncio.create_task(timetable.run())
    with pytest.raises(TimeoutError):
        await clock.settle(0.05)
    sleeping = asyncio.create_task(sleeper.sleep_until(NOON + timedelta(hours=1)))
    await clock.settle(1)
    clock.unsettle()
    sleeper.poke()
    with pytest.raises(TimeoutError):
        await clock.settle(0.05)
    await sleeping
    with timetable.busy():
        sleeping = asyncio.create_task(sleeper.sleep_until(NOON + timedelta(hours=1)))
        with pytest.raises(TimeoutError):
            await clock.settle(0.05)
    await clock.settle(1)
    task.cancel()
    sleeping.cancel()


async def test_each_wakes_when_due_and_whoever_was_poked_leaves_nothing_behind() -> None:
    clock, dice = ManualClock(), random.Random(3)
    timetable = Timetable(clock, on_moved=nothing)
    woken: dict[int, list[datetime]] = {}
    due_at = {number: NOON + timedelta(seconds=1 + dice.randrange(number + 1) // 2) for number in range(200)}

    async def act(number: int, sleeper: Sleeper) -> None:
        while True:
            await sleeper.sleep_until(due_at[number])
            woken.setdefault(number, []).append(clock.now())
            if clock.now() >= due_at[number]:
                due_at[number] = NOON + timedelta(hours=1)

    sleepers = {number: timetable.add() for number in due_at}
    tasks = [asyncio.create_task(timetable.run())]
    tasks += [asyncio.create_task(act(number, sleeper)) for number, sleeper in sleepers.items()]
    await clock.settle(1)
    first_due_at = dict(due_at)
    for _ in range(50):
        for number in range(1, len(sleepers)):  # the first, due before all others, sleeps on
            sleepers[number].poke()
        await asyncio.sleep(0)
    assert len(timetable._dues._heap) < 3 * len(sleepers)
    woken.clear()
    for _ in range(100):
        await clock.advance(1)
    for task in tasks:
        task.cancel()
    assert woken == {number: [at] for number, at in first_due_at.items()}


def test_only_the_newest_stamp_is_regular() -> None:
    plan, noon_s = device(1), int(NOON.timestamp())
    driver = ToyDriver(DeviceConfig("M001", "M001"))
    state = DeviceState(plan, driver, Cadence(900, NOON, random.Random(1)), HeldStamps(900), is_loaded=True)
    state.initial_until_s = noon_s - 3600
    missing = state.split_missing(noon_s)
    assert missing.regular == [noon_s]
    assert missing.gaps == [noon_s - 2700, noon_s - 1800, noon_s - 900]
    assert len(missing.initial) == 192 - 4
    state.gap_until_s = noon_s
    assert state.split_missing(noon_s).regular == []
    state.gap_until_s, state.clock_offset_s = 0, -420
    assert state.split_missing(noon_s).regular == [noon_s - 900]
    state.gap_until_s = noon_s - 1
    assert state.split_missing(noon_s).regular == [noon_s - 900]


def test_endpoints() -> None:
    assert split_endpoint("10.0.0.1:502") == ("10.0.0.1", 502)
    assert split_endpoint("mqtt://u:p@broker:1883") == ("broker", 1883)
    for wrong in ("", "host", "host:x", "mqtt://host"):
        with pytest.raises(LinkDown):
            split_endpoint(wrong)


@pytest.mark.parametrize("family", ["", "os", "no_such_family", "../x", "api"])
def test_unknown_families_are_refused(family: str) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        make_family_driver(family, DeviceConfig("1", "1"))
    assert refusal.value.code == "drivers.unknown-family"


def test_metrics_are_counted_and_shown() -> None:
    metrics = HeadendMetrics()
    metrics.count("frames_ok", 2)
    metrics.gauge("spool_bytes", 7)
    shown = metrics.snapshot()
    assert (shown["frames_ok"], shown["spool_bytes"], shown["timeouts"]) == (2, 7, 0)
