"""Devices that stamp beside multiples of their interval: local hours, records at seven minutes past."""

from datetime import timedelta
from pathlib import Path

import pytest

from unit.headend.bench import (
    INTERVAL_S,
    NOON,
    ManualClock,
    ToyBus,
    ToyMeter,
    World,
    device,
    link,
    running_headend,
)
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.headend.stamps import HeldStamps

HOUR_S = 3600
NOON_S = to_seconds(NOON)


async def collect(
    meter: ToyMeter, folder: Path, *, time_zone: str, reads_from_s: int, poll_s: int
) -> tuple[World, dict[str, int]]:
    """Read one meter for three hours."""
    clock = ManualClock()
    bus = ToyBus([meter], clock)
    await bus.start()
    plan = device(1, interval_s=meter.interval_s, time_zone=time_zone, reads_from_s=reads_from_s)
    world = World([link(bus, [plan], poll_s=poll_s)])
    async with running_headend(world, clock, folder) as headend:
        await clock.live_until(NOON + timedelta(hours=3), step_s=min(poll_s, 300))
        counts = headend.counts
    return world, counts


@pytest.mark.parametrize(("time_zone", "phase_s"), [("Asia/Kolkata", 1800), ("Asia/Kathmandu", 900)])
async def test_local_hours_are_read_each_once_from_the_first_on(
    time_zone: str, phase_s: int, tmp_path: Path
) -> None:
    """India is half an hour beside the hours of UTC, Nepal a quarter."""
    installed_s = NOON_S - 20 * HOUR_S + 7 * 60
    meter = ToyMeter("M001", interval_s=HOUR_S, phase_s=phase_s)
    world, counts = await collect(
        meter, tmp_path, time_zone=time_zone, reads_from_s=installed_s, poll_s=INTERVAL_S
    )
    first_s = NOON_S - 20 * HOUR_S + phase_s
    expected = list(range(first_s, NOON_S + 3 * HOUR_S + 1, HOUR_S))
    assert world.stamps(Source.PROFILE) == {10: expected}
    assert {report.error_code for report in world.reports} == {None}
    assert (counts["intervals_given_up"], counts["backfill_intervals"]) == (0, 0)


@pytest.mark.parametrize("poll_s", [60, 300, 900])
async def test_records_at_seven_past_are_read_each_once_however_often_is_asked(
    poll_s: int, tmp_path: Path
) -> None:
    meter = ToyMeter("M001", phase_s=7 * 60)
    world, counts = await collect(
        meter, tmp_path, time_zone="UTC", reads_from_s=NOON_S - 20 * HOUR_S, poll_s=poll_s
    )
    first_s = NOON_S - 20 * HOUR_S + 7 * 60
    stamps = world.stamps(Source.PROFILE)[10]
    assert stamps == list(range(first_s, stamps[-1] + 1, INTERVAL_S))
    assert stamps[-1] >= NOON_S + 3 * HOUR_S - INTERVAL_S - poll_s
    assert {report.error_code for report in world.reports} == {None}
    assert counts["intervals_given_up"] == 0


def test_one_that_stamps_on_the_grid_holds_nothing_by_a_stamp_beside_it() -> None:
    held = HeldStamps(900)
    held.add([901])
    assert held.missing(900, 1800) == [1800]
    held.add([2700, 1801])  # a record of a clock that was set, beside its regular ones
    assert held.missing(900, 2700) == [1800]
