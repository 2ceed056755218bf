"""Concentrators and gateways that dial in, with the drivers and the simulated meters that the demo uses."""

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ports import free_port
from unit.headend.bench import ManualClock, World, running_headend, until
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.drivers import make_driver
from wattkeeper.headend import slot as slot_module
from wattkeeper.headend.ports import ChannelPlan, DevicePlan, LinkPlan, Transport
from wattkeeper.simulators import faults
from wattkeeper.simulators.dlt645_server import Concentrator
from wattkeeper.simulators.line import Conversation, Line
from wattkeeper.simulators.modbus_server import Gateway
from wattkeeper.simulators.plant import Meter, Plant
from wattkeeper.simulators.world import build_world
from wattkeeper.simulators.world_model import Entry

HOUR_S = 3600
TOKEN = b"\x02\x68modem-0001"
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits five seconds for a device to dial again."""
    monkeypatch.setattr(slot_module, "_GRACE_REAL_S", 0.2)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def plant() -> Plant:
    starts_at = from_seconds(1_793_318_400)  # a midnight in Shanghai
    world = build_world(seed=11, now=starts_at, is_check=False, is_mqtt=False, history_days=3)
    return Plant.build(world)


def device_of(number: int, entry: Entry, now_s: int, settings: dict[str, object]) -> DevicePlan:
    return DevicePlan(
        device_id=number,
        tenant_id=1,
        serial_number=entry.meter_serial,
        family=entry.family,
        address=entry.address,
        channels=tuple(
            ChannelPlan(
                100 * number + index, channel.reading_type, Fraction(channel.step), channel.is_profiled
            )
            for index, channel in enumerate(entry.channels)
        ),
        interval_s=entry.interval_s,
        memory_s=6 * HOUR_S,
        time_zone=ZONE.key,
        reads_from_s=now_s - 6 * HOUR_S,
        reads_to_s=None,
        secrets={name: bytes.fromhex(key) for name, key in entry.keys.items()},
        settings={**entry.settings, **settings},
    )


def link_of(endpoint: str, devices: tuple[DevicePlan, ...]) -> LinkPlan:
    return LinkPlan(1, 1, "modem", Transport.LISTEN, endpoint, 0.3, 1, 900, devices)


def line_of(meters: list[Meter], clock: ManualClock) -> Line:
    return Line(
        make_conversation=conversation_of(meters[0].entry.family, meters),
        faults=faults.LineFaults(seed=1, link="modem", per_mille=0, damage=faults.damage_anywhere),
        outages=(),
        now_s=lambda: to_seconds(clock.now().replace(microsecond=0)),
    )


def conversation_of(family: str, meters: list[Meter]) -> Callable[[], Conversation]:
    if family == "dlt645_2007":
        return partial(Concentrator, meters, ZONE)
    return partial(Gateway, meters, is_rtu=True)


@pytest.mark.parametrize("family", ["dlt645_2007", "modbus_energy"])
async def test_meters_behind_a_modem_are_read_to_the_digit(
    tmp_path: Path, plant: Plant, port: int, family: str
) -> None:
    meters = [m for m in plant.meters.values() if m.entry.family == family and m.answers(plant.world.now_s)][
        :3
    ]
    clock = ManualClock(from_seconds(plant.world.now_s))
    settings: dict[str, object] = {"framing": "rtu"} if family == "modbus_energy" else {}
    devices = tuple(device_of(n, m.entry, plant.world.now_s, settings) for n, m in enumerate(meters, 1))
    link = link_of(f"listen://127.0.0.1:{port}?token=hex:{TOKEN.hex()}", devices)
    line = line_of(meters, clock)
    world = World([link])
    async with running_headend(world, clock, tmp_path, make_driver=make_driver) as headend:
        line.dial("127.0.0.1", port, TOKEN)
        await until(lambda: (1, True, None) in world.link_reports)
        await clock.advance(1)
        line.drop_connections()  # the modem loses its network and dials again by itself
        await until(lambda: headend.counts["dial_ins"] == 2 and headend.counts["dialled_in"] == 1)
        await clock.live_until(from_seconds(plant.world.now_s) + timedelta(hours=1), step_s=900)
        await line.stop()
        counts = headend.counts
    assert (counts["exceptions"], world.strangers) == (0, [])
    for device, meter in zip(devices, meters, strict=True):
        channel_id = next(channel.channel_id for channel in device.channels if channel.is_profiled)
        shown = dict(meter.registers.profile(device.reads_from_s, plant.world.now_s + HOUR_S, 2**40))
        kept = world.values(channel_id, Source.PROFILE)
        assert len(kept) >= 7 * 4 - 1
        assert {stamp: kept[stamp] for stamp in shown if stamp in kept} == {
            stamp: value for stamp, value in shown.items() if stamp in kept
        }
        assert set(shown) - set(kept) <= {device.reads_from_s}


async def test_somebody_else_with_the_same_numbers_is_not_read(
    tmp_path: Path, plant: Plant, port: int
) -> None:
    """The number of a DL/T 645 meter stands on its case: whoever knows it is still nobody."""
    meters = [m for m in plant.meters.values() if m.entry.family == "dlt645_2007"][:1]
    clock = ManualClock(from_seconds(plant.world.now_s))
    device = device_of(1, meters[0].entry, plant.world.now_s, {})
    line = line_of(meters, clock)
    world = World([link_of(f"listen://127.0.0.1:{port}", (device,))])
    async with running_headend(world, clock, tmp_path, make_driver=make_driver) as headend:
        line.dial("127.0.0.1", port)
        await until(lambda: bool(world.strangers))
        assert headend.counts["reads_stored"] == 0
        await line.stop()
    assert world.strangers[0].error_code == "headend.dial-in-unproved"
    assert world.strangers[0].serial_number == meters[0].entry.meter_serial
