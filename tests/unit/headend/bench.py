"""A bench for the head-end: a clock moved by hand, ports in memory, and toy meters on a real TCP bus."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import fastcrc
import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
    Request,
    Split,
    Steps,
)
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.ports import (
    ChannelPlan,
    CommandResult,
    DevicePlan,
    DeviceReport,
    LinkPlan,
    OutboxCommand,
    SpoolReport,
    Stranger,
    Transport,
)
from wattkeeper.headend.service import run_headend
from wattkeeper.headend.spool import CAPACITY_BYTES, Spool
from wattkeeper.store.api import RawBatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTERVAL_S = 900
REGISTER = "energy_import_register_kwh"
VOLTAGE = "voltage_l1_v"


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait, in real time, until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what it looks at belongs to the code under test
            await asyncio.sleep(0.01)


class ManualClock:
    """Time stands until it is moved; whoever moves it waits until everything due is finished."""

    def __init__(self, starts_at: datetime = NOON) -> None:
        self._now = starts_at
        self._settled = asyncio.Event()
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        while self._now < instant:
            await self._moved.wait()

    def report_settled(self, instant: datetime) -> None:
        if instant >= self._now:
            self._settled.set()

    async def settle(self, timeout_s: float = 60.0) -> None:
        """Wait, in real time, until everything due is finished."""
        async with asyncio.timeout(timeout_s):
            await self._settled.wait()

    def unsettle(self) -> None:
        """Wait for a fresh report, whatever was reported before."""
        self._settled.clear()

    def jump(self, seconds: float) -> None:
        """Move time while nobody follows it."""
        self._now += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Move time and wait until everything due is finished."""
        self._settled.clear()
        self._now += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()
        await self.settle()

    async def live_until(self, instant: datetime, step_s: float = 300.0) -> None:
        while self._now < instant:
            await self.advance(min(step_s, (instant - self._now).total_seconds()))


def toy_frame(mark: str, *parts: object) -> bytes:
    body = mark + "|".join(str(part) for part in parts)
    return f"{body}|{fastcrc.crc32.iscsi(body.encode()):08x}\n".encode()


def split_toy(buffer: bytes) -> Split:
    end = buffer.find(b"\n")
    if end < 0:
        return Split(None, 0)
    body, _, checksum = buffer[:end].rpartition(b"|")
    if f"{fastcrc.crc32.iscsi(body):08x}".encode() != checksum:
        return Split(None, end + 1, "toy.checksum")
    return Split(bytes(buffer[: end + 1]), end + 1)


@dataclass
class ToyMeter:
    """Counts one step (0.01 kWh) a second; remembers a stamp each interval, but for its holes.

    Its intervals begin `phase_s` after multiples of their length.
    """

    address: str
    serial: str = ""
    interval_s: int = INTERVAL_S
    phase_s: int = 0
    is_dead: bool = False
    clock_offset_s: int = 0
    holes: set[int] = field(default_factory=set)
    relay: RelayState = RelayState.CONNECTED
    is_relay_stuck: bool = False
    asked_profile: list[tuple[int, int]] = field(default_factory=list)
    relay_commands: list[str] = field(default_factory=list)

    def answer(self, verb: str, arguments: Sequence[str], now_s: int) -> str | None:
        if self.is_dead:
            return None
        device_s = now_s + self.clock_offset_s
        if verb == "profile":
            return self._profile(int(arguments[0]), int(arguments[1]), device_s)
        if verb == "relay-set":
            return self._set_relay(arguments[0])
        answers = {
            "serial": self.serial or self.address,
            "clock": str(device_s),
            "live": f"{now_s % 10**8}",
            "relay": str(int(self.relay)),
        }
        return answers[verb]

    def _profile(self, from_s: int, to_s: int, device_s: int) -> str:
        self.asked_profile.append((from_s, to_s))
        first = -(-(from_s - self.phase_s) // self.interval_s) * self.interval_s + self.phase_s
        stamps = range(first, min(to_s, device_s + 1), self.interval_s)
        return ",".join(f"{stamp}:{stamp % 10**8}" for stamp in stamps if stamp not in self.holes)

    def _set_relay(self, command: str) -> str:
        self.relay_commands.append(command)
        if not self.is_relay_stuck:
            disconnect = command == RelayCommand.DISCONNECT.value
            self.relay = RelayState.DISCONNECTED if disconnect else RelayState.READY_FOR_RECONNECTION
        return "done"


class ToyDriver:
    """Speaks the toy protocol: ``?address|verb|arguments…|crc`` and ``=…|payload|crc``, a line each."""

    capabilities = frozenset({Capability.PROFILE, Capability.CLOCK, Capability.RELAY})

    def __init__(self, config: DeviceConfig) -> None:
        self._address = config.address
        self._serial = config.serial_number

    def split(self, buffer: bytes) -> Split:
        return split_toy(buffer)

    def open(self) -> Steps[None]:
        serial, _ = yield from self._ask("serial")
        if serial != self._serial:
            raise WattkeeperError("drivers.wrong-device", expected=self._serial, found=serial)

    def close(self) -> Steps[None]:
        yield from ()

    def read_live(self) -> Steps[list[DeviceRead]]:
        text, frame_index = yield from self._ask("live")
        value = Decimal(text).scaleb(-2)
        return [
            DeviceRead(REGISTER, value, None, Source.LIVE, frame_index),
            DeviceRead("frequency_hz", Decimal(50), None, Source.LIVE, frame_index),
        ]

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        text, frame_index = yield from self._ask("profile", from_s, to_s)
        pairs = [item.split(":") for item in text.split(",") if item]
        return [
            DeviceRead(REGISTER, Decimal(value).scaleb(-2), int(stamp), Source.PROFILE, frame_index)
            for stamp, value in pairs
        ]

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        yield from ()
        return []

    def read_clock(self) -> Steps[int]:
        text, _ = yield from self._ask("clock")
        return int(text)

    def set_clock(self, now_s: int) -> Steps[None]:
        yield from ()

    def read_relay(self) -> Steps[RelayState]:
        text, _ = yield from self._ask("relay")
        return RelayState(int(text))

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        text, _ = yield from self._ask("relay-set", command.value)
        if text != "done":
            raise DeviceRefused("toy.refused")

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:
        return []

    def _ask(self, verb: str, *arguments: object) -> Steps[tuple[str, int]]:
        head = "|".join(str(part) for part in (self._address, verb, *arguments))
        answer = yield Request(toy_frame("?", head), lambda frame: frame.startswith(f"={head}|".encode()))
        text = answer.frame.decode().rpartition("|")[0][len(head) + 2 :]
        return text, answer.frame_index


Fault = Callable[[str, str, bytes], Sequence[tuple[float, bytes]]]


def no_fault(address: str, verb: str, frame: bytes) -> Sequence[tuple[float, bytes]]:
    """Answers as they are: a list of (delay in real seconds, bytes)."""
    return [(0.0, frame)]


class ToyBus:
    """A TCP server with meters behind it; `fault` turns each answer into what arrives."""

    def __init__(self, meters: Sequence[ToyMeter], clock: ManualClock, fault: Fault = no_fault) -> None:
        self.meters = {meter.address: meter for meter in meters}
        self.fault = fault
        self.requests: list[tuple[str, str]] = []
        self.connections_count = 0
        self.lates_count = 0
        self.port = 0
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._dialled: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def dial(self, port: int, greeting: bytes = b"", *, own_host: str = "127.0.0.1") -> None:
        """Connect to somebody who listens and serve there, as a bus behind a modem does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(own_host, 0))
        writer.write(greeting)
        self._dialled.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_count += 1
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                await self._answer(line, writer)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        address, verb, *arguments = line.decode()[1:].strip().split("|")[:-1]
        self.requests.append((address, verb))
        meter = self.meters.get(address)
        text = meter.answer(verb, arguments, to_seconds(self._clock.now())) if meter else None
        if text is None:
            return
        frame = toy_frame("=", address, verb, *arguments, text)
        for delay_s, content in self.fault(address, verb, frame):
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, writer.write, content)
            else:
                writer.write(content)


class World:
    """Every port of the head-end, in memory. Calls come from threads."""

    def __init__(self, links: Sequence[LinkPlan]) -> None:
        self.plans = list(links)
        self.version = 0
        self.batches: list[RawBatch] = []
        self.reports: list[DeviceReport] = []
        self.link_reports: list[tuple[int, bool, str | None]] = []
        self.strangers: list[Stranger] = []
        self.spool_reports: list[SpoolReport] = []
        self.known: list[tuple[int, str]] = []
        self.progress: list[tuple[int, int]] = []
        self.results: list[CommandResult] = []
        self.outbox: list[OutboxCommand] = []
        self.read_backs: list[OutboxCommand] = []
        self.sink_error: Exception | None = None
        self.holdings_calls = 0
        self._mutex = threading.Lock()
        self._claimed: set[int] = set()

    def revision(self) -> str:
        return str(self.version)

    def links(self) -> Sequence[LinkPlan]:
        return self.plans

    def reserve_counters(self, device_id: int, count: int) -> int:
        return 1

    def stamps_held(
        self, tenant_id: int, channel_ids: Sequence[int], from_s: int, to_s: int
    ) -> Mapping[int, Sequence[int]]:
        self.holdings_calls += 1
        held, pushed = self.stamps(Source.PROFILE), self.stamps(Source.PUSH)
        return {
            channel_id: [
                stamp
                for stamp in (*held.get(channel_id, ()), *pushed.get(channel_id, ()))
                if from_s <= stamp < to_s
            ]
            for channel_id in channel_ids
        }

    def deliver(self, batches: Sequence[RawBatch]) -> None:
        if self.sink_error is not None:
            raise self.sink_error
        with self._mutex:
            self.batches += batches

    def report_devices(self, reports: Sequence[DeviceReport]) -> None:
        self.reports += reports

    def report_link(self, link_id: int, at: datetime, *, is_up: bool, error_code: str | None) -> None:
        self.link_reports.append((link_id, is_up, error_code))

    def report_stranger(self, stranger: Stranger, untold_count: int) -> None:
        self.strangers.append(stranger)

    def report_known(self, link_id: int, peer: str, port: int, at: datetime) -> None:
        self.known.append((link_id, peer))

    def report_spool(self, report: SpoolReport, at: datetime) -> None:
        self.spool_reports.append(report)

    def report_progress(self, *, done_count: int, total_count: int, label: str) -> None:
        self.progress.append((done_count, total_count))

    def claim(self, now: datetime) -> Sequence[OutboxCommand]:
        fresh = [command for command in self.outbox if command.command_id not in self._claimed]
        self._claimed |= {command.command_id for command in fresh}
        return fresh

    def pending_read_backs(self, now: datetime) -> Sequence[OutboxCommand]:
        return list(self.read_backs)

    def record(self, result: CommandResult) -> None:
        self.results.append(result)

    def stamps(self, source: Source) -> dict[int, list[int]]:
        """Every stamp stored per channel, repetitions included, ascending."""
        found: dict[int, list[int]] = {}
        with self._mutex:
            batches = list(self.batches)
        for batch in batches:
            chosen = batch.source == source
            for channel_id, stamp in zip(
                batch.channel_id[chosen].tolist(), batch.measured_at_s[chosen].tolist(), strict=True
            ):
                found.setdefault(channel_id, []).append(stamp)
        return {channel_id: sorted(stamps) for channel_id, stamps in found.items()}

    def values(self, channel_id: int, source: Source) -> dict[int, int]:
        """Return value by stamp."""
        values: dict[int, int] = {}
        for batch in self.batches:
            chosen = np.flatnonzero((batch.source == source) & (batch.channel_id == channel_id))
            values |= {int(batch.measured_at_s[i]): int(batch.value[i]) for i in chosen}
        return values

    def change_plan(self, links: Sequence[LinkPlan]) -> None:
        self.plans = list(links)
        self.version += 1


def device(number: int, *, memory_s: int = 2 * 86_400, **changes: object) -> DevicePlan:
    """Return the plan of toy meter `number`, its register in channel 10 x number."""
    plan = DevicePlan(
        device_id=number,
        tenant_id=1,
        serial_number=f"M{number:03}",
        family="toy",
        address=f"M{number:03}",
        channels=(
            ChannelPlan(10 * number, REGISTER, Fraction(1, 100), is_profiled=True),
            ChannelPlan(10 * number + 1, VOLTAGE, Fraction(1, 10), is_profiled=False),
        ),
        interval_s=INTERVAL_S,
        memory_s=memory_s,
        time_zone="UTC",
        reads_from_s=to_seconds(NOON) - memory_s,
        reads_to_s=None,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def link(bus: ToyBus, devices: Sequence[DevicePlan], **changes: object) -> LinkPlan:
    """Return the plan of a link to `bus`."""
    plan = LinkPlan(
        link_id=1,
        tenant_id=1,
        name="bus",
        transport=Transport.TCP,
        endpoint=f"127.0.0.1:{bus.port}",
        timeout_s=0.15,
        retries_count=2,
        poll_s=INTERVAL_S,
        devices=tuple(devices),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


@dataclass
class Running:
    """A head-end under test."""

    world: World
    clock: ManualClock
    metrics: HeadendMetrics
    spool: Spool

    @property
    def counts(self) -> dict[str, int]:
        return self.metrics.snapshot()


@asynccontextmanager
async def running_headend(
    world: World,
    clock: ManualClock,
    folder: Path,
    *,
    capacity_bytes: int = CAPACITY_BYTES,
    **options: object,
) -> AsyncIterator[Running]:
    """Run a head-end over `world` until the block ends; it has settled once when the block begins."""
    spool = Spool(folder / "spool", capacity_bytes=capacity_bytes)
    stop = asyncio.Event()
    metrics = HeadendMetrics()
    clock.unsettle()
    settings: dict[str, object] = {"make_driver": lambda family, config: ToyDriver(config), "seed": 7}
    task = asyncio.create_task(
        run_headend(
            plan=world,
            holdings=world,
            sink=world,
            report=world,
            outbox=world,
            clock=clock,
            spool=spool,
            stop=stop,
            metrics=metrics,
            **{**settings, **options},  # type: ignore[arg-type]
        )
    )
    try:
        await clock.settle()
        yield Running(world, clock, metrics, spool)
    finally:
        stop.set()
        await task
        spool.close()


def grid(from_at: datetime, to_at: datetime) -> list[int]:
    """Return the stamps from <= stamp <= to."""
    return list(range(to_seconds(from_at), to_seconds(to_at) + 1, INTERVAL_S))


def at(seconds: int) -> datetime:
    return from_seconds(seconds)
