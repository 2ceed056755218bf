"""A relay command leaves once, is written down before it leaves, and is believed only when read back."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from unit.headend.bench import (
    NOON,
    ManualClock,
    ToyBus,
    ToyMeter,
    World,
    device,
    link,
    running_headend,
    until,
)
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.headend.backfill import RUN_MAX_S
from wattkeeper.headend.plants import trust_acknowledgement
from wattkeeper.headend.ports import CommandKind, CommandResult, OutboxCommand

SOON = NOON + timedelta(minutes=10)


async def world_of(clock: ManualClock, meter: ToyMeter, **changes: object) -> tuple[ToyBus, World]:
    bus = ToyBus([meter], clock)
    await bus.start()
    return bus, World([link(bus, [device(1, has_relay=True)], timeout_s=0.05, **changes)])


async def outcome(world: World, last: str) -> list[str]:
    await until(lambda: any(result.outcome == last for result in world.results))
    return [result.outcome for result in world.results]


def command(kind: CommandKind = CommandKind.DISCONNECT, **changes: object) -> OutboxCommand:
    return OutboxCommand(**{"command_id": 5, "device_id": 1, "kind": kind, "valid_until": SOON, **changes})  # type: ignore[arg-type]


async def test_a_cut_is_sent_acknowledged_and_read_back(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    bus, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path) as headend:
        bus.requests.clear()
        world.outbox.append(command())
        assert await outcome(world, "READ_BACK") == ["SENT", "ACKED", "READ_BACK"]
        assert headend.counts["commands_sent"] == headend.counts["read_backs"] == 1
    asked = [verb for _, verb in bus.requests]
    assert asked[:4] == [
        "serial",
        "relay-set",
        "serial",
        "relay",
    ]  # associated with anew before it is believed
    assert world.results[-1].relay_state is RelayState.DISCONNECTED
    assert b"relay-set|disconnect" in (world.results[0].frame or b"")
    assert meter.relay_commands == ["disconnect"]


async def test_who_does_not_say_who_he_is_is_sent_nothing(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    bus, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path):
        bus.fault = lambda address, verb, frame: [] if verb == "serial" else [(0.0, frame)]
        bus.requests.clear()
        world.outbox.append(command())
        assert await outcome(world, "NO_ANSWER") == ["NO_ANSWER"]
    assert world.results[0].detail_code == "headend.not-sent"
    assert bus.requests == [("M001", "serial")] * 9  # three tries, each repeated twice
    assert meter.relay_commands == []


async def test_an_outbox_that_fails_is_asked_again(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    _, world = await world_of(clock, meter)
    claim, failures = world.claim, [ValueError("gone"), ValueError("gone")]

    def claim_later(now: datetime) -> Sequence[OutboxCommand]:
        if failures:
            raise failures.pop()
        return claim(now)

    world.claim = claim_later  # type: ignore[method-assign]
    world.outbox.append(command())
    async with running_headend(world, clock, tmp_path) as headend:
        assert await outcome(world, "READ_BACK") == ["SENT", "ACKED", "READ_BACK"]
        assert headend.counts["exceptions"] == 2


async def test_a_reconnect_arms(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001", relay=RelayState.DISCONNECTED)
    _, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path):
        world.outbox.append(command(CommandKind.RECONNECT))
        await outcome(world, "READ_BACK")
    assert meter.relay_commands == ["arm"]
    assert world.results[-1].relay_state is RelayState.READY_FOR_RECONNECTION


async def test_a_lost_acknowledgement_is_never_answered_by_sending_again(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    bus, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path):
        bus.fault = lambda address, verb, frame: [] if verb == "relay-set" else [(0.0, frame)]
        world.outbox.append(command())
        assert await outcome(world, "READ_BACK") == ["SENT", "NO_ANSWER", "READ_BACK"]
    assert meter.relay_commands == ["disconnect"]
    assert world.results[-1].relay_state is RelayState.DISCONNECTED


async def test_a_stuck_relay_is_seen_and_a_policy_that_trusts_is_not(tmp_path: Path) -> None:
    async def state_after(name: str, **options: object) -> RelayState | None:
        clock, meter = ManualClock(), ToyMeter("M001", is_relay_stuck=True)
        _, world = await world_of(clock, meter)
        async with running_headend(world, clock, tmp_path / name, **options):
            world.outbox.append(command())
            await outcome(world, "READ_BACK")
        return world.results[-1].relay_state

    assert await state_after("honest") is RelayState.CONNECTED
    planted = await state_after("planted", read_back_policy=trust_acknowledgement)
    assert planted is RelayState.DISCONNECTED


async def test_a_stale_command_expires(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    _, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path):
        world.outbox.append(command(valid_until=NOON))
        assert await outcome(world, "EXPIRED") == ["EXPIRED"]
    assert meter.relay_commands == []


async def test_a_command_that_cannot_leave_is_not_sent_later(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    bus, world = await world_of(clock, meter, retries_count=0)
    async with running_headend(world, clock, tmp_path):
        await bus.stop()
        began_s = time.monotonic()
        world.outbox.append(command())
        assert await outcome(world, "NO_ANSWER") == ["NO_ANSWER"]
        assert world.results[0].detail_code == "headend.not-sent"
        assert time.monotonic() - began_s > 1  # three tries, not all at once
        await bus.start()
        await clock.advance(600)
    assert meter.relay_commands == []


async def test_the_wrong_meter_is_never_cut(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001", serial="OTHER")
    _, world = await world_of(clock, meter)
    async with running_headend(world, clock, tmp_path):
        world.outbox.append(command())
        assert await outcome(world, "REFUSED_BY_DEVICE") == ["REFUSED_BY_DEVICE"]
    assert meter.relay_commands == []
    assert world.results[0].detail_code == "drivers.wrong-device"


async def test_nothing_leaves_that_could_not_be_written_down(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    _, world = await world_of(clock, meter)
    refused: list[CommandResult] = []

    def refuse(result: CommandResult) -> None:
        refused.append(result)
        raise OSError("disk full")

    world.record = refuse  # type: ignore[method-assign]
    async with running_headend(world, clock, tmp_path):
        world.outbox.append(command())
        await until(lambda: bool(refused))
        await asyncio.sleep(0.1)
    assert meter.relay_commands == []


async def test_an_armed_meter_is_read_back_until_it_is_closed(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001", relay=RelayState.READY_FOR_RECONNECTION)
    _, world = await world_of(clock, meter)
    world.read_backs.append(command(CommandKind.RECONNECT))
    async with running_headend(world, clock, tmp_path):
        await outcome(world, "READ_BACK")
        meter.relay = RelayState.CONNECTED
        await clock.advance(60)
        await until(lambda: world.results[-1].relay_state is RelayState.CONNECTED)
    assert meter.relay_commands == []
    assert len(world.results) < 6


async def test_control_goes_before_a_long_backfill(tmp_path: Path) -> None:
    clock, meter = ManualClock(), ToyMeter("M001")
    bus = ToyBus([meter], clock)
    await bus.start()
    world = World([link(bus, [device(1, memory_s=60 * 86_400, has_relay=True)], timeout_s=1.0)])

    def slow(address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
        if verb == "profile" and not world.outbox:
            world.outbox.append(command())
        return [(0.02, frame)]

    bus.fault = slow
    async with running_headend(world, clock, tmp_path):
        await outcome(world, "READ_BACK")
    verbs = [verb for _, verb in bus.requests]
    runs_count = 60 * 86_400 // RUN_MAX_S
    assert verbs.count("profile") >= runs_count
    assert verbs[: verbs.index("relay-set")].count("profile") < runs_count * 2 / 3
