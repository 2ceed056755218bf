"""Devices that dial in: who proves itself is read, nobody else is, and nobody is pushed out."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ports import free_port
from unit.headend.bench import (
    NOON,
    ManualClock,
    Running,
    ToyBus,
    ToyDriver,
    ToyMeter,
    World,
    device,
    grid,
    link,
    running_headend,
    until,
)
from wattkeeper.core.kernel.quality import Source
from wattkeeper.drivers.api import DeviceConfig
from wattkeeper.headend import slot as slot_module
from wattkeeper.headend.dial_in import parse_dial_in
from wattkeeper.headend.door import DoorLimits
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.identify import Identifier
from wattkeeper.headend.ports import LinkPlan, Transport

TOKEN = "registration-1"
QUICK = DoorLimits(first_frame_s=0.3, frame_s=0.2, asked_s=1.0, quarantine_s=0.3, per_peer_max_count=8)


def test_the_deadlines_are_those_that_are_promised() -> None:
    promised = DoorLimits()
    assert (promised.first_frame_s, promised.frame_s) == (30, 10)


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here waits five seconds for a device to dial again."""
    monkeypatch.setattr(slot_module, "_GRACE_REAL_S", 0.2)


@pytest.fixture
def port() -> int:
    return free_port()


def listening(bus: ToyBus, port: int, binding: str = f"token={TOKEN}", number: int = 1) -> LinkPlan:
    endpoint = f"listen://127.0.0.1:{port}" + (f"?{binding}" if binding else "")
    plan = link(bus, [device(number)], transport=Transport.LISTEN, endpoint=endpoint)
    return replace(plan, link_id=number, name=f"bus {number}")


@asynccontextmanager
async def at_the_door(
    tmp_path: Path, *plans: LinkPlan, **options: object
) -> AsyncIterator[tuple[World, Running, ManualClock]]:
    clock, world = ManualClock(), World(plans)
    async with running_headend(world, clock, tmp_path, **{"limits": QUICK, **options}) as headend:
        yield world, headend, clock


async def bus_of(*meters: ToyMeter) -> ToyBus:
    return ToyBus(meters, ManualClock())


@pytest.mark.parametrize("binding", [f"token={TOKEN}", "from=127.0.0.9", f"token={TOKEN}&from=127.0.0.0/24"])
async def test_a_device_that_dials_in_is_read(tmp_path: Path, port: int, binding: str) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port, binding)) as (world, headend, clock):
        assert world.link_reports == [(1, False, "headend.not-dialled-in")]
        greeting = TOKEN.encode() if "token" in binding else b""
        await bus.dial(port, greeting, own_host="127.0.0.9")
        await until(lambda: (1, True, None) in world.link_reports)
        await clock.settle()
        bus._clock = clock
        await clock.advance(900)
        assert world.known == [(1, "127.0.0.9")]
        assert headend.counts["dialled_in"] == 1
    assert world.stamps(Source.PROFILE)[10][-1] == grid(NOON, NOON)[-1] + 900
    assert not world.strangers


async def test_a_device_that_dials_again_is_taken_up_and_its_gap_is_fetched(
    tmp_path: Path, port: int
) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (world, headend, clock):
        bus._clock = clock
        await bus.dial(port, TOKEN.encode())
        await until(lambda: bool(world.stamps(Source.PROFILE)))
        for writer in list(bus._writers):
            writer.transport.abort()
        await until(lambda: headend.counts["dialled_in"] == 0)
        await clock.live_until(NOON.replace(hour=13), step_s=1800)
        await bus.dial(port, TOKEN.encode())
        await until(lambda: headend.counts["backfill_intervals"] > 0)
        await clock.advance(900)
    stamps = world.stamps(Source.PROFILE)[10]
    assert stamps == list(range(stamps[0], stamps[-1] + 1, 900))
    assert stamps[-1] == grid(NOON, NOON)[0] + 3600 + 900


async def spoofed(tmp_path: Path, port: int, binding: str, greeting: bytes) -> tuple[World, int]:
    """Somebody who knows the serial number of a meter, and no more, speaks for it."""
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port, binding)) as (world, headend, clock):
        await bus.dial(port, greeting)
        await until(lambda: bool(world.strangers) or bool(world.known))
        await clock.advance(900)
        return world, headend.counts["reads_stored"]


@pytest.mark.parametrize(
    ("binding", "greeting", "code"),
    [
        ("", b"", "headend.dial-in-unproved"),
        ("from=127.0.0.77", b"", "headend.dial-in-unknown"),
        (f"token={TOKEN}", b"registration-2", "headend.dial-in-unknown"),
        (f"token={TOKEN}", b"regis", "headend.dial-in-unknown"),
        (f"token={TOKEN}", b"", "headend.dial-in-silent"),
        (f"token={TOKEN}&from=127.0.0.77", TOKEN.encode(), "headend.dial-in-unknown"),
    ],
)
async def test_a_serial_number_is_no_identity(
    tmp_path: Path, port: int, binding: str, greeting: bytes, code: str
) -> None:
    world, reads_count = await spoofed(tmp_path, port, binding, greeting)
    assert (reads_count, world.known) == (0, [])
    assert [stranger.error_code for stranger in world.strangers] == [code]
    assert world.strangers[0].tenant_ids == (1,)
    if code == "headend.dial-in-unproved":
        assert world.strangers[0].serial_number == "M001"


async def test_believing_a_serial_number_is_caught(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: every link counts as bound."""
    monkeypatch.setattr("wattkeeper.headend.dial_in.DialIn.is_bound", property(lambda _self: True))
    world, reads_count = await spoofed(tmp_path, port, "", b"")
    assert reads_count > 0
    assert world.known


async def test_a_proved_key_opens_an_unbound_link(tmp_path: Path, port: int) -> None:
    class Keyed(ToyDriver):
        is_key_proved = True

    bus = await bus_of(ToyMeter("M001"))
    options = {"make_driver": lambda _family, config: Keyed(config)}
    async with at_the_door(tmp_path, listening(bus, port, ""), **options) as (world, _, _):
        await bus.dial(port)
        await until(lambda: bool(world.known))
    assert not world.strangers


async def test_another_device_on_the_link_is_told(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001", serial="M777"))
    async with at_the_door(tmp_path, listening(bus, port)) as (world, headend, _):
        await bus.dial(port, TOKEN.encode())
        await until(lambda: bool(world.strangers))
        assert headend.counts["reads_stored"] == 0
    assert world.strangers[0].error_code == "drivers.wrong-device"
    assert world.strangers[0].serial_number == "M777"


async def displaced(
    tmp_path: Path, port: int, silence: Callable[[ToyBus], None]
) -> tuple[ToyBus, World, int]:
    """Whether somebody with the link's own packet and serial number takes the place of the first device."""
    first, second = await bus_of(ToyMeter("M001")), await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(first, port)) as (world, _, clock):
        first._clock = second._clock = clock
        await first.dial(port, TOKEN.encode())
        await until(lambda: bool(world.stamps(Source.PROFILE)))
        silence(first)
        await second.dial(port, TOKEN.encode())
        await until(lambda: bool(world.strangers) or len(world.known) == 2)
        asked_count = len(second.requests)
        await clock.advance(900)
        return second, world, len(second.requests) - asked_count


async def test_the_newest_does_not_displace_who_answers(tmp_path: Path, port: int) -> None:
    _, world, reads_count = await displaced(tmp_path, port, lambda _bus: None)
    assert reads_count == 0
    assert [stranger.error_code for stranger in world.strangers] == ["headend.dial-in-taken"]


async def test_who_no_longer_answers_is_replaced(tmp_path: Path, port: int) -> None:
    def die(bus: ToyBus) -> None:
        bus.meters["M001"].is_dead = True

    _, world, reads_count = await displaced(tmp_path, port, die)
    assert reads_count > 0
    assert not world.strangers


async def test_newest_wins_is_caught(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: nobody looks whether the device that stands still answers."""

    async def never(_self: Identifier, _slot: object) -> bool:
        return False

    monkeypatch.setattr(Identifier, "_answers", never)
    _, world, reads_count = await displaced(tmp_path, port, lambda _bus: None)
    assert reads_count > 0
    assert not world.strangers


async def knock(port: int, said: bytes = b"", drip: bytes = b"", host: str = "127.0.0.1") -> float:
    """Connect, say something, drip the rest, and return after how many seconds the other side ends it."""
    began_s = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(host, 0))
    writer.write(said)

    async def dripping() -> None:
        for octet in drip:
            writer.write(bytes((octet,)))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(dripping())
    with suppress(ConnectionError):
        await reader.read(1)
    task.cancel()
    writer.close()
    return time.monotonic() - began_s


@pytest.mark.parametrize(
    ("said", "drip", "limit_s"), [(b"", b"", 0.3), (b"r", b"", 0.2), (b"", b"x" * 4000, 0.2)]
)
async def test_the_slow_are_ended_in_time(
    tmp_path: Path, port: int, said: bytes, drip: bytes, limit_s: float
) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (_, headend, _):
        lasted_s = await knock(port, said, drip)
        counts = headend.counts
    assert limit_s * 0.9 <= lasted_s <= QUICK.first_frame_s + QUICK.quarantine_s + 60
    assert counts["dialled_in"] == 0


async def test_an_address_may_hold_only_so_many(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (_, headend, _):
        await asyncio.gather(*(knock(port) for _ in range(20)))
        other_s = await knock(port, host="127.0.0.2")
        assert headend.counts["dial_ins_shed"] == 12
    assert other_s >= 0.25


async def test_strangers_are_told_once_in_a_while(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (world, headend, _):
        for _ in range(5):
            await knock(port, b"somebody else entirely")
        assert headend.counts["strangers"] == 5
        assert len(world.strangers) == 1
    assert world.strangers[0].said == b"somebody else entirely"


async def test_many_links_share_a_port(tmp_path: Path, port: int) -> None:
    buses = [await bus_of(ToyMeter(f"M{number:03}")) for number in range(1, 9)]
    plans = [listening(bus, port, f"token=modem-{n:04}", n) for n, bus in enumerate(buses, 1)]
    limits = replace(QUICK, per_peer_max_count=100, asked_max_count=2)
    async with at_the_door(tmp_path, *plans, limits=limits) as (world, _, clock):
        for number, bus in enumerate(buses, 1):
            bus._clock = clock
            await bus.dial(port, f"modem-{number:04}".encode())
        await until(lambda: len(world.known) == 8)
        await clock.advance(900)
    assert {link_id for link_id, _ in world.known} == set(range(1, 9))
    assert set(world.stamps(Source.PROFILE)) == {10 * number for number in range(1, 9)}


async def test_a_port_that_is_taken_is_said_and_tried_again(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        async with at_the_door(tmp_path, listening(bus, port)) as (world, _, _):
            assert world.link_reports == [(1, False, "headend.listen-refused")]


async def test_a_link_that_is_retired_closes_its_port(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (world, headend, _):
        await bus.dial(port, TOKEN.encode())
        await until(lambda: bool(world.known))
        world.change_plan([])
        await until(lambda: headend.counts["dialled_in"] == 0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_somebody_who_sends_without_end_takes_no_memory(tmp_path: Path, port: int) -> None:
    bus = await bus_of(ToyMeter("M001"))
    async with at_the_door(tmp_path, listening(bus, port)) as (_, headend, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            for _ in range(64):
                writer.write(b"\xff" * 65_536)
                await writer.drain()
        writer.close()
        assert headend.counts["exceptions"] == 0


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:9000",
        "listen://0.0.0.0",
        "listen://:9000",
        "listen://0.0.0.0:9000?token=short",
        "listen://0.0.0.0:9000?token=hex:xyz",
        "listen://0.0.0.0:9000?from=10.0.0.0/33",
        "listen://0.0.0.0:9000?form=10.0.0.1",
        "listen://0.0.0.0:99999",
    ],
)
def test_what_is_no_binding_is_refused(endpoint: str) -> None:
    with pytest.raises(LinkDown) as refused:
        parse_dial_in(endpoint)
    assert refused.value.code == "headend.listen-endpoint-invalid"
    assert "token" not in str(refused.value.params)


@given(st.binary(min_size=8, max_size=128), st.ip_addresses(v=4))
def test_a_binding_says_who_may_come(token: bytes, address: object) -> None:
    dial_in = parse_dial_in(f"listen://[::]:9000?from={address}&token=hex:{token.hex()}")
    assert dial_in.token == token
    assert dial_in.admits(str(address))
    assert dial_in.admits(f"::ffff:{address}")
    assert not dial_in.admits("2001:db8::1")


def test_toy_config_has_no_key() -> None:
    """The toy meters of these tests prove nothing by answering."""
    assert not hasattr(ToyDriver(DeviceConfig("M001", "M001")), "is_key_proved")
