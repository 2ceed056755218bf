"""Clocks that are wrong: what a device says stays as it said it, and nothing wrong is taken for right."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from unit.headend.bench import (
    NOON,
    REGISTER,
    ManualClock,
    ToyBus,
    ToyDriver,
    ToyMeter,
    World,
    device,
    link,
    running_headend,
)
from wattkeeper.core.billing.intervals import IntervalColumns, take_billable
from wattkeeper.core.kernel.instants import Period, from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Flag, Provenance, Source
from wattkeeper.core.kernel.reads import ReadColumns
from wattkeeper.core.readings import trace
from wattkeeper.core.readings.intervals import Intervals, derive_intervals
from wattkeeper.core.registry.installations import ChannelInstallation, MultiplierPeriod
from wattkeeper.drivers.api import Capability, DeviceRead, Steps
from wattkeeper.headend.batch import AHEAD_MAX_S, EARLY_MAX_S, BatchBuilder
from wattkeeper.headend.session import CLOCK_OFFSET_MAX_S
from wattkeeper.headend.stamps import HeldStamps
from wattkeeper.store.ranges import INSTANT_MAX_S, check_batch

NOW_S = to_seconds(NOON)
DOUBTS = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
HOUR_S = 3600
DAY_S = 24 * HOUR_S
ZONES = [ZoneInfo(name) for name in ("Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")]


def read_at(stamp_s: int | None) -> DeviceRead:
    return DeviceRead(REGISTER, Decimal("1.00"), stamp_s, Source.PROFILE, 0)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 2**32)), max_size=30))
def test_a_batch_always_fits_the_store_and_keeps_every_stamp_it_can(stamps: list[int | None]) -> None:
    builder = BatchBuilder(link_id=1, device=device(1), now_s=NOW_S)
    builder.keep_frame(b"frame")
    builder.add([read_at(stamp) for stamp in stamps], now_s=NOW_S)
    told = [NOW_S if stamp is None else stamp for stamp in stamps]
    kept = [stamp for stamp in told if 0 <= stamp <= INSTANT_MAX_S]
    batch = builder.build()
    assert builder.reads_unstorable_count == len(told) - len(kept)
    assert (batch is None) == (not kept)
    if batch is not None:
        check_batch(batch)
        assert batch.measured_at_s.tolist() == kept
        assert [bool(flags & DOUBTS) for flags in batch.flags] == [s > NOW_S + AHEAD_MAX_S for s in kept]
    earliest_s = device(1).reads_from_s - EARLY_MAX_S
    is_told = any(not earliest_s <= stamp <= NOW_S + AHEAD_MAX_S for stamp in told)
    assert (builder.stamp_error_code is not None) == is_told


@pytest.mark.parametrize(
    ("early_s", "code"),
    [(DAY_S, None), (DAY_S + 1, "headend.stamp-too-early"), (20 * 365 * DAY_S, "headend.stamp-too-early")],
)
def test_a_stamp_from_before_the_installation_is_told_and_kept(early_s: int, code: str | None) -> None:
    builder = BatchBuilder(link_id=1, device=device(1), now_s=NOW_S)
    builder.keep_frame(b"frame")
    builder.add([read_at(device(1).reads_from_s - early_s)], now_s=NOW_S)
    assert builder.stamp_error_code == code
    batch = builder.build()
    assert batch is not None
    assert batch.flags.tolist() == [0]


async def test_an_impossible_stamp_costs_only_its_own_read(tmp_path: Path) -> None:
    class WrongYear(ToyDriver):
        def read_live(self) -> Steps[list[DeviceRead]]:
            (register, *rest) = yield from super().read_live()
            wrong = DeviceRead(REGISTER, register.value, 2**33, Source.LIVE, register.frame_index)
            return [wrong, register, *rest]

    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    options = {"make_driver": lambda _family, config: WrongYear(config)}
    async with running_headend(world, clock, tmp_path, **options) as headend:
        await clock.advance(900)
        counts = headend.counts
    assert counts["reads_unstorable"] == 2
    assert counts["batches_quarantined"] == 0
    assert len(world.stamps(Source.LIVE)[10]) == 2
    assert {report.error_code for report in world.reports} == {"headend.stamp-impossible"}


@pytest.mark.parametrize("is_looked_at", [True, False], ids=["found", "the planted fault: nobody looks"])
async def test_a_device_that_stamps_before_its_installation_is_reported_and_its_reads_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_looked_at: bool
) -> None:
    early_s = device(1).reads_from_s - EARLY_MAX_S - 1
    if not is_looked_at:
        monkeypatch.setattr("wattkeeper.headend.batch.EARLY_MAX_S", INSTANT_MAX_S)

    class Reset(ToyDriver):
        def read_live(self) -> Steps[list[DeviceRead]]:
            (register, *rest) = yield from super().read_live()
            return [DeviceRead(REGISTER, register.value, early_s, Source.LIVE, register.frame_index), *rest]

    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    options = {"make_driver": lambda _family, config: Reset(config)}
    async with running_headend(world, clock, tmp_path, **options):
        await clock.advance(900)
    assert world.stamps(Source.LIVE)[10]
    codes = {report.error_code for report in world.reports}
    assert codes == ({"headend.stamp-too-early"} if is_looked_at else {None})


@pytest.mark.parametrize("hears", ["at once", "after a restart", "the planted fault: nothing is let go"])
async def test_what_was_stamped_ahead_is_fetched_anew_once_the_clock_is_right(
    hears: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour ahead for two hours: of the hour after, the meter's true records came never."""
    if hears.startswith("the planted"):
        monkeypatch.setattr(HeldStamps, "drop", lambda self, stamps_s: None)
    clock, meter = ManualClock(), ToyMeter("M001")
    bus = ToyBus([meter], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    hour = timedelta(hours=1)
    async with running_headend(world, clock, tmp_path):
        await clock.live_until(NOON + hour, step_s=900)
        meter.clock_offset_s = HOUR_S
        await clock.live_until(NOON + 3 * hour, step_s=900)
        if hears != "after a restart":
            meter.clock_offset_s = 0
            await clock.live_until(NOON + 6 * hour, step_s=900)
    if hears == "after a restart":
        meter.clock_offset_s = 0
        async with running_headend(world, clock, tmp_path):
            await clock.live_until(NOON + 6 * hour, step_s=900)
    vouched = {
        stamp_s
        for batch in world.batches
        for stamp_s, flags, source in zip(
            batch.measured_at_s.tolist(), batch.flags, batch.source, strict=True
        )
        if source == Source.PROFILE and flags & DOUBTS != DOUBTS
    }
    after = set(range(NOW_S + 3 * HOUR_S + 900, NOW_S + 6 * HOUR_S + 1, 900))
    assert (after <= vouched) == (not hears.startswith("the planted"))
    ahead = range(NOW_S + HOUR_S + 1800, NOW_S + 3 * HOUR_S + 1, 900)
    assert vouched.isdisjoint(ahead)  # of then it has only records an hour old


@pytest.mark.parametrize("back_s", [HOUR_S, 400 * DAY_S])
async def test_devices_are_read_on_time_when_our_own_clock_is_set_back(back_s: int, tmp_path: Path) -> None:
    """A machine that started a year ahead and is put right: nothing was read until that year had passed."""
    frozen: list[int] = []

    class Freezing(ToyDriver):
        capabilities = ToyDriver.capabilities | {Capability.FREEZES}

        def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
            frozen.append(to_s)
            return (yield from super().read_freezes(from_s, to_s))

    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1, reads_from_s=0)])])
    options = {"make_driver": lambda _family, config: Freezing(config)}
    async with running_headend(world, clock, tmp_path, **options) as headend:
        await clock.live_until(NOON + timedelta(hours=1), step_s=900)
        clock.jump(-back_s)
        before = headend.counts["sessions"]
        await clock.advance(900)
        await clock.live_until(NOON + timedelta(hours=2, seconds=-back_s), step_s=900)
        sessions = headend.counts["sessions"] - before
    assert sessions >= 4
    assert frozen == [NOW_S, (NOW_S + HOUR_S - back_s + 900) // HOUR_S * HOUR_S]
    again = {stamp_s for stamp_s in world.stamps(Source.LIVE)[10] if stamp_s > NOW_S + HOUR_S - back_s}
    assert set(range(NOW_S + HOUR_S + 900 - back_s, NOW_S + 2 * HOUR_S + 1 - back_s, 900)) <= again


@pytest.mark.parametrize(("back_s", "asked_days"), [(HOUR_S, [62]), (3 * DAY_S, [62, 62])])
async def test_what_was_frozen_is_not_asked_again_when_our_clock_was_set_back(
    back_s: int, asked_days: list[int], tmp_path: Path
) -> None:
    """Its clock seems to be off until it is read again: the whole memory would come twice, once in doubt."""
    asked: list[int] = []

    class Freezing(ToyDriver):
        capabilities = ToyDriver.capabilities | {Capability.FREEZES}

        def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
            yield from ()
            midnights = range(-(-from_s // DAY_S) * DAY_S, to_s + 1, DAY_S)
            asked.append(len(midnights))
            return [DeviceRead(REGISTER, Decimal(1), at_s, Source.FREEZE_DAILY, 0) for at_s in midnights]

    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1, reads_from_s=0, memory_s=62 * DAY_S)])])
    options = {"make_driver": lambda _family, config: Freezing(config)}
    async with running_headend(world, clock, tmp_path, **options):
        await clock.live_until(NOON + timedelta(hours=1), step_s=900)
        clock.jump(-back_s)
        await clock.live_until(NOON + timedelta(hours=3, seconds=-back_s), step_s=900)
    assert asked == asked_days


async def test_what_was_frozen_is_asked_again_when_it_came_while_our_clock_was_ahead(tmp_path: Path) -> None:
    """Beside the meter's right clock it came in doubt: put right, it comes without."""
    ahead_s = [HOUR_S]

    class Freezing(ToyDriver):
        capabilities = ToyDriver.capabilities | {Capability.FREEZES, Capability.CLOCK}

        def read_clock(self) -> Steps[int]:
            yield from ()
            return to_seconds(clock.now().replace(microsecond=0)) - ahead_s[0]

        def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
            live = yield from super().read_live()
            midnights = range(-(-from_s // DAY_S) * DAY_S, to_s + 1 - ahead_s[0], DAY_S)
            frame_index = live[0].frame_index
            return [
                DeviceRead(REGISTER, Decimal(1), at_s, Source.FREEZE_DAILY, frame_index) for at_s in midnights
            ]

    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001")], clock)
    await bus.start()
    world = World([link(bus, [device(1, reads_from_s=0, memory_s=3 * DAY_S)])])
    async with running_headend(world, clock, tmp_path, make_driver=lambda _family, config: Freezing(config)):
        await clock.live_until(NOON + timedelta(hours=1), step_s=900)
        ahead_s[0] = 0
        clock.jump(-HOUR_S)
        await clock.live_until(NOON + timedelta(hours=3), step_s=900)
    flags: dict[int, set[int]] = {}
    for batch in world.batches:
        for at_s, own, source in zip(
            batch.measured_at_s.tolist(), batch.flags.tolist(), batch.source.tolist(), strict=True
        ):
            if source == Source.FREEZE_DAILY:
                flags.setdefault(at_s, set()).add(own)
    assert flags
    assert all(0 in own for own in flags.values())


METER = ChannelInstallation(
    1, NOW_S - 400 * DAY_S, None, Fraction(1000), 10**6, (MultiplierPeriod(0, None, Fraction(1)),)
)


def told_by(offset_s: int, start_s: int, hours_count: int, value: NDArray[np.int64]) -> ReadColumns:
    """What the head-end keeps of a meter whose clock is off by so much, hour by hour."""
    true_s = start_s + HOUR_S * np.arange(hours_count, dtype=np.int64)
    ahead = np.where(offset_s > AHEAD_MAX_S, DOUBTS, 0)
    off = int(Flag.CLOCK_INVALID) if abs(offset_s) > CLOCK_OFFSET_MAX_S else 0
    flags = np.zeros(hours_count, dtype=np.int64) | off | ahead
    return ReadColumns(true_s + offset_s, value, flags, np.full(hours_count, int(Source.PROFILE)))


def misattributed(case: Random, *, is_flagging: bool) -> int:
    """Return how many measured, undoubted intervals of a random day and zone hold another's energy."""
    zone = case.choice(ZONES)
    day = datetime(case.randrange(2020, 2037), case.randrange(1, 13), case.randrange(2, 28), tzinfo=zone)
    start_s = int(day.astimezone(UTC).timestamp())
    sign, size_s = (
        case.choice((-1, 1)),
        case.choice((120, 300, 900, 7 * 60, HOUR_S, 9 * HOUR_S, DAY_S, 365 * DAY_S)),
    )
    offset_s = sign * (size_s + case.randrange(60))
    energy = np.array([case.randrange(1, 50) for _ in range(30)])
    value = 1000 + np.cumsum(energy) - energy[0]
    reads = told_by(offset_s, start_s - HOUR_S, 30, value)
    if not is_flagging:
        reads = ReadColumns(reads.measured_at_s, reads.value, reads.flags * 0, reads.source)
    meter = ChannelInstallation(
        1, start_s - 400 * DAY_S, None, Fraction(1000), 10**6, (MultiplierPeriod(0, None, Fraction(1)),)
    )
    derived = derive_intervals(
        installations=(meter,),
        reads={1: reads},
        from_s=start_s,
        to_s=start_s + DAY_S,
        interval_s=HOUR_S,
        power_max_w=10**6,
    )
    true_milliwh = energy[2:26] * 1000
    is_claimed = (derived.provenance == Provenance.MEASURED) & (derived.flags & DOUBTS == 0)
    is_wrong = np.abs(derived.value_milliwh - true_milliwh) > 0
    return int(np.count_nonzero(is_claimed & is_wrong)) if abs(offset_s) > CLOCK_OFFSET_MAX_S else 0


@pytest.mark.parametrize(
    "cases_count",
    [300, pytest.param(10_000, marks=pytest.mark.slow), pytest.param(100_000, marks=pytest.mark.soak)],
)
def test_no_wrong_clock_moves_energy_unseen(cases_count: int) -> None:
    case = Random(cases_count)
    assert sum(misattributed(case, is_flagging=True) for _ in range(cases_count)) == 0


def test_a_clock_that_is_believed_is_caught() -> None:
    """The planted fault: stamps are taken without a look at the clock."""
    case = Random(1)
    assert sum(misattributed(case, is_flagging=False) for _ in range(50)) > 0


def derived_day(
    case: Random, *, is_flagging: bool, is_true_read: bool
) -> tuple[NDArray[np.int64], int, Intervals]:
    """
    Return what a register showed at 25 hours, which of them is told, and the intervals derived from it.

    Of that hour one read came more than ten minutes before its stamp, with a value of its own; the true read
    is there too, or never came.
    """
    from_s = NOW_S // DAY_S * DAY_S
    at_s = from_s + HOUR_S * np.arange(25, dtype=np.int64)
    value = 1000 + np.cumsum(np.array([case.randrange(20, 50) for _ in range(25)]))
    place = case.randrange(1, 24)
    wrong = int(value[place]) + case.choice((-1, 1)) * case.randrange(1, 20)
    came_s = int(at_s[place]) - case.randrange(AHEAD_MAX_S + 1, DAY_S)
    builder = BatchBuilder(link_id=1, device=device(1), now_s=came_s)
    builder.keep_frame(b"frame")
    builder.add([read_at(int(at_s[place]))], now_s=came_s)
    batch = builder.build()
    assert batch is not None
    flags = int(batch.flags[0]) if is_flagging else 0
    kept = np.arange(25) if is_true_read else np.flatnonzero(np.arange(25) != place)
    columns = [
        np.append(at_s[kept], at_s[place]),
        np.append(value[kept], wrong),
        np.append(np.zeros(len(kept), dtype=np.int64), flags),
        np.full(len(kept) + 1, int(Source.PROFILE)),
    ]
    order = case.sample(range(len(columns[0])), len(columns[0]))  # any order of arrival
    derived = derive_intervals(
        installations=(METER,),
        reads={1: ReadColumns(*(column[order] for column in columns))},
        from_s=from_s,
        to_s=from_s + DAY_S,
        interval_s=HOUR_S,
        power_max_w=10**6,
    )
    return value, place, derived


def wrong_milliwh(case: Random, *, is_flagging: bool) -> int:
    """Return by how many mWh a bill of such a day is wrong, interval by interval."""
    value, _, derived = derived_day(case, is_flagging=is_flagging, is_true_read=True)
    rows = IntervalColumns(derived.starts_at_s, derived.value_milliwh, derived.provenance, derived.flags)
    from_s = int(derived.starts_at_s[0])
    period = Period(from_seconds(from_s), from_seconds(from_s + DAY_S))
    taken = take_billable(rows, period, HOUR_S, accept_estimates=False)
    assert not (taken.flags & DOUBTS).any()
    return int(np.abs(taken.energy_milliwh - np.diff(value) * 1000).sum())


def left_out(case: Random, *, is_flagging: bool) -> bool:
    """Return whether both intervals beside such a read wait for an estimate of what they hold together."""
    value, place, derived = derived_day(case, is_flagging=is_flagging, is_true_read=False)
    missing = np.flatnonzero(derived.provenance == Provenance.MISSING).tolist()
    gaps = [(gap.first_index, gap.end_index, gap.energy_milliwh) for gap in derived.gaps]
    both = int(value[place + 1] - value[place - 1]) * 1000
    return missing == [place - 1, place] and gaps == [(place - 1, place + 1, both)]


def test_a_bill_leaves_out_a_read_from_the_future_once_the_true_one_has_come() -> None:
    case = Random(19)
    assert {wrong_milliwh(case, is_flagging=True) for _ in range(300)} == {0}


def test_a_bill_that_takes_a_read_from_the_future_is_caught() -> None:
    """The planted fault: a stamp ahead of time is a stamp like any other, and the higher value counts."""
    case = Random(19)
    assert any(wrong_milliwh(case, is_flagging=False) for _ in range(300))


def test_a_bill_leaves_out_a_read_from_the_future_whose_true_one_never_comes() -> None:
    case = Random(19)
    assert {left_out(case, is_flagging=True) for _ in range(300)} == {True}


def test_a_read_from_the_future_that_is_billed_as_measured_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted faults: the stamp believed, and the read marked but measured by all the same."""
    case = Random(19)
    assert not any(left_out(case, is_flagging=False) for _ in range(300))
    monkeypatch.setattr(trace, "is_untrusted", lambda flags: np.zeros_like(flags, dtype=np.bool_))
    assert not any(left_out(case, is_flagging=True) for _ in range(300))


async def test_a_clock_that_is_off_is_told_in_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    bus = ToyBus([ToyMeter("M001", clock_offset_s=-420)], clock)
    await bus.start()
    world = World([link(bus, [device(1)])])
    async with running_headend(world, clock, tmp_path):
        await clock.live_until(NOON + timedelta(minutes=30))
    assert {report.clock_offset_s for report in world.reports if report.is_answering} == {-420}
