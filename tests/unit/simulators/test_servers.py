"""Requests made with the bare codecs, over real sockets, answered by the simulated meters."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.obis import Obis
from wattkeeper.protocols.dlms import wrapper
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.apdus import Descriptor
from wattkeeper.protocols.dlms.client import ClientAssociation, ClientSession
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.services import range_access
from wattkeeper.protocols.dlt645.bcd import LocalTime, decode_bcd
from wattkeeper.protocols.dlt645.frame import ANY_ADDRESS, encode_frame, find_frame
from wattkeeper.protocols.dlt645.records import LoadRecord, decode_records, encode_record
from wattkeeper.protocols.dlt645.services import (
    Answer,
    Control,
    Read,
    Refusal,
    RelayControl,
    decode_answer,
    encode_read,
    encode_read_address,
    encode_relay_control,
)
from wattkeeper.protocols.dlt645.status import STATUS_WORD_3, SupplyStatus, decode_supply_status
from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.frame import Adu, decode_tcp, encode_tcp
from wattkeeper.protocols.modbus.interval_log import decode_slots, spans_of
from wattkeeper.protocols.pulse.messages import Ack, Counts, Get, History, Topic, decode_line, encode_line
from wattkeeper.simulators.clock import SharedClock
from wattkeeper.simulators.dlt645_server import load_record
from wattkeeper.simulators.plant import Plant
from wattkeeper.simulators.service import Service
from wattkeeper.simulators.world_model import Entry, World

HOUR_S = 3600


class Rig:
    """A service on a clock of its own, and sockets to it."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.clock = SharedClock.create(folder / "clock", starts_at=from_seconds(world.now_s))
        self.service = Service(Plant.build(world), SharedClock(folder / "clock", follower="simulators"))
        self.stopped = asyncio.Event()
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        ready = await self.service.start()
        self.ports = {name: link["port"] for name, link in ready["links"].items()}
        self.ports["control"] = ready["control"]["port"]
        self.task = asyncio.create_task(self.service.run(self.stopped))

    async def stop(self) -> None:
        self.stopped.set()
        await asyncio.wait_for(self.task, 30)
        await self.service.stop()

    async def advance(self, seconds: int) -> None:
        self.clock.advance_to(from_seconds(self.world.now_s + seconds))
        async with asyncio.timeout(30):
            while not self.clock.wait_settled(("simulators",), timeout_s=0):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.005)

    def entry(self, point: str) -> Entry:
        return next(e for e in self.world.entries if e.usage_point == point)

    async def ask(self, link: str, request: bytes, within_s: float = 30.0) -> bytes:
        """Send on a connection of its own; return what comes first, or nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[link])
        writer.write(request)
        try:
            async with asyncio.timeout(within_s):
                return await reader.read(65536)
        except TimeoutError:
            return b""
        finally:
            writer.close()

    async def control(self, **request: object) -> dict:
        return json.loads(await self.ask("control", json.dumps(request).encode() + b"\n"))

    async def dlt645(self, request: bytes, within_s: float = 30.0) -> Answer | None:
        found = find_frame(await self.ask("compound-concentrator", request, within_s))
        return decode_answer(found.frame) if found.frame else None

    async def is_silent(self, request: bytes) -> bool:
        return await self.dlt645(request, within_s=0.1) is None

    async def modbus(self, unit_id: int, request: pdu.Request) -> pdu.Answer:
        octets = await self.ask("factory-gateway", encode_tcp(Adu(unit_id, pdu.encode_request(request), 9)))
        decoded = decode_tcp(octets)
        assert decoded is not None
        assert (decoded[0].unit_id, decoded[0].transaction_id) == (unit_id, 9)
        return pdu.decode_answer(decoded[0].pdu)


@pytest.fixture
async def rig(check_world: World, tmp_path: Path) -> AsyncIterator[Rig]:
    quiet = replace(check_world, links=tuple(replace(k, faults_per_mille=0) for k in check_world.links))
    rig = Rig(quiet, tmp_path)
    await rig.start()
    yield rig
    await rig.stop()


def read(rig: Rig, point: str, request: Read) -> bytes:
    return encode_frame(encode_read(rig.entry(point).address, request))


async def test_the_concentrator_routes_to_the_meter_that_is_named(rig: Rig) -> None:
    for point in ("H-01", "H-40", "T-1"):
        answer = await rig.dlt645(read(rig, point, Read("00010000")))
        assert answer is not None
        serial = rig.entry(point).meter_serial
        shown = await rig.control(do="display", serial=serial)
        assert decode_bcd(answer.data) == shown["counts"] > 0
    stranger = encode_frame(encode_read("111111111111", Read("00010000")))
    assert await rig.is_silent(stranger)
    # all answer at once: nobody is heard
    assert await rig.is_silent(encode_frame(encode_read_address()))
    assert encode_read_address().address == ANY_ADDRESS


async def test_load_records_are_register_positions_at_quarter_hours(rig: Rig) -> None:
    start = rig.world.now_s - 2 * HOUR_S
    local = LocalTime.from_seconds(start + 8 * HOUR_S, from_seconds(0).tzinfo)
    answer = await rig.dlt645(read(rig, "H-02", Read("06040001", 6, local)))
    assert answer is not None
    counts = [record.values["00010000"] for record in decode_records(answer.data)]
    serial = rig.entry("H-02").meter_serial
    shown = [
        (await rig.control(do="display", serial=serial, at_s=start + 900 * i))["counts"] for i in range(6)
    ]
    assert counts == shown
    future = local._replace(year=local.year + 1)
    refused = await rig.dlt645(read(rig, "H-02", Read("06040001", 6, future)))
    assert refused is not None
    assert refused.refusal == Refusal.NO_SUCH_DATA


def test_a_record_filled_in_is_the_record_the_protocol_encodes() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    for stamp_s, shown in ((1_793_289_600, 0), (1_793_290_500, 99_999_999), (1_793_291_400, 12_345_678)):
        time = LocalTime.from_seconds(stamp_s, zone)
        assert load_record(stamp_s, shown, zone) == encode_record(LoadRecord(time, {"00010000": shown}))


async def test_relay_wants_its_password_arms_and_waits_for_the_button(rig: Rig) -> None:
    entry = rig.entry("H-01")
    until = LocalTime(2026, 10, 30, 0, 10)

    async def tell(command: Control, password: bytes) -> Answer | None:
        request = RelayControl(command, until, password, bytes.fromhex(entry.keys["operator"]))
        return await rig.dlt645(encode_frame(encode_relay_control(entry.address, request)))

    async def status() -> SupplyStatus:
        answer = await rig.dlt645(read(rig, "H-01", Read(STATUS_WORD_3)))
        assert answer is not None
        return decode_supply_status(answer.data)

    right = bytes.fromhex(entry.keys["password"])
    wrong = await tell(Control.TRIP, bytes(4))
    assert wrong is not None
    assert wrong.refusal == Refusal.NOT_AUTHORIZED
    assert await status() == SupplyStatus(is_switch_open=False, is_command_open=False)
    assert (await tell(Control.TRIP, right)).refusal is None
    assert await status() == SupplyStatus(is_switch_open=True, is_command_open=True)
    assert not (await rig.control(do="press", serial=entry.meter_serial))["closed"]
    assert (await tell(Control.ALLOW_CLOSE, right)).refusal is None
    assert await status() == SupplyStatus(is_switch_open=True, is_command_open=False)
    assert (await rig.control(do="relay", serial=entry.meter_serial))["relay_state_code"] == 2
    assert (await rig.control(do="press", serial=entry.meter_serial))["closed"]
    assert await status() == SupplyStatus(is_switch_open=False, is_command_open=False)
    await rig.advance(HOUR_S)  # the order has run out by the meter's clock
    assert (await tell(Control.TRIP, right)).refusal == Refusal.NOT_AUTHORIZED


async def test_modbus_registers_serial_clock_and_log(rig: Rig) -> None:
    entry = rig.entry("F-12")
    serial = await rig.modbus(2, pdu.ReadRegisters(3, 100, 8))
    assert serial == pdu.Registers(3, entry.meter_serial.encode().ljust(16, b"\0"))
    clock = await rig.modbus(2, pdu.ReadRegisters(3, 110, 2))
    assert clock == pdu.Registers(3, rig.world.now_s.to_bytes(4, "big"))
    assert await rig.modbus(2, pdu.ReadRegisters(3, 500, 2)) == pdu.Refused(3, 2)
    assert await rig.modbus(99, pdu.ReadRegisters(3, 0, 2)) == pdu.Refused(3, 11)
    (span,) = spans_of(rig.world.now_s - 4 * HOUR_S, rig.world.now_s + 1, 900)[:1]
    records = await rig.modbus(2, pdu.ReadFile((span,)))
    assert isinstance(records, pdu.FileRecords)
    slots = decode_slots(span, b"".join(records.parts), 900)
    shown = await rig.control(do="display", serial=entry.meter_serial, at_s=slots[3].stamp_s)
    assert slots[3].counts == shown["counts"]
    (old,) = spans_of(rig.world.starts_at_s - 900 * 96 * 9, rig.world.starts_at_s - 900 * 96 * 9 + 900, 900)
    assert await rig.modbus(2, pdu.ReadFile((old,))) == pdu.Refused(20, 2)


async def test_dlms_with_gmac_reads_register_and_profile(rig: Rig) -> None:
    entry = rig.entry("F-2")
    keys = Keys(bytes.fromhex(entry.keys["guek"]), bytes.fromhex(entry.keys["gak"]))
    counters = iter(range(1, 10_000))
    association = ClientAssociation(Mechanism.HLS_GMAC, b"", b"WTKTEST1", keys)
    session = ClientSession(association, lambda: next(counters), bytes(range(16)))
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.ports["factory-main-2"])

    async def run(exchange):  # type: ignore[no-untyped-def]
        try:
            apdu = next(exchange)
            while True:
                writer.write(wrapper.encode_frame(1, 1, apdu))
                head = await asyncio.wait_for(reader.readexactly(8), 30)
                apdu = exchange.send(await asyncio.wait_for(reader.readexactly(head[6] << 8 | head[7]), 30))
        except StopIteration as stop:
            return stop.value

    await run(session.associate())
    shown = await rig.control(do="display", serial=entry.meter_serial)
    assert await run(session.get(Descriptor(3, Obis(1, 0, 1, 8, 0), 2))) == shown["counts"]
    assert await run(session.get(Descriptor(3, Obis(1, 0, 1, 8, 0), 3))) == [0, 30]
    now = rig.world.now_s
    rows = await run(
        session.get(Descriptor(7, Obis(1, 0, 99, 1, 0), 2), range_access(now - 48 * HOUR_S, now))
    )
    assert len(rows) == 193
    assert rows[-1][1] == shown["counts"]
    writer.close()


async def test_pulse_counters_push_resend_and_remember(rig: Rig) -> None:
    serial = rig.entry("B-03").meter_serial
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.ports["building-pulses"])
    async with asyncio.timeout(30):
        while not rig.service._lines["building-pulses"].connections:  # noqa: ASYNC110 - of the code under test
            await asyncio.sleep(0.005)
    await rig.advance(2 * 900)

    async def message() -> tuple[Topic, object]:
        return decode_line(await asyncio.wait_for(reader.readline(), 30))

    pushed = [await message() for _ in range(20)]
    mine = [m for t, m in pushed if t.serial == serial]
    stamps = [rig.world.now_s + 900, rig.world.now_s + 1800]
    counts = [(await rig.control(do="display", serial=serial, at_s=at_s))["counts"] for at_s in stamps]
    expected = [Counts(serial, i + 1, ((stamps[i], counts[i]),)) for i in range(2)]
    assert mine == expected
    get = encode_line(Topic("BUILDING", serial, "get"), Get(rig.world.now_s, rig.world.now_s + 1800))
    writer.write(get)
    _, history = await message()
    assert isinstance(history, History)
    assert [row[0] for row in history.rows] == [rig.world.now_s, rig.world.now_s + 900]
    writer.write(encode_line(Topic("BUILDING", serial, "ack"), Ack(1)))
    writer.write(get)  # answered in order, so the acknowledgement has been taken by then
    await message()
    writer.close()
    again = (await rig.ask("building-pulses", b"")).splitlines()
    assert [m for t, m in map(decode_line, again) if t.serial == serial] == expected[1:]


async def test_an_outage_drops_and_refuses_and_ends(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.ports["compound-concentrator"])
    await rig.advance(13 * HOUR_S)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 30)
    writer.close()
    with pytest.raises(ConnectionResetError):
        await rig.ask("compound-concentrator", read(rig, "H-01", Read("00010000")))
    assert (await rig.modbus(1, pdu.ReadRegisters(3, 0, 2))) is not None
    await rig.advance(19 * HOUR_S)
    assert await rig.dlt645(read(rig, "H-01", Read("00010000"))) is not None
    stats = await rig.control(do="stats")
    assert stats["links"]["compound-concentrator"]["dropped"] == 1


async def test_the_dead_and_the_exchanged(rig: Rig) -> None:
    exchange = rig.world.exchanges[0]
    request = encode_frame(encode_read(exchange.entry.address, Read("00010000")))
    assert await rig.is_silent(request)
    await rig.advance(exchange.at_s - rig.world.now_s)
    assert await rig.dlt645(request) is not None
    assert await rig.is_silent(read(rig, "H-12", Read("00010000")))
    assert await rig.is_silent(read(rig, "H-23", Read("00010000")))


async def test_garbage_ends_no_session(rig: Rig) -> None:
    randomness = random.Random(5)
    for link in rig.ports:
        _, writer = await asyncio.open_connection("127.0.0.1", rig.ports[link])
        for size in (1, 7, 300, 5000):
            writer.write(randomness.randbytes(size))
        writer.write(b"\x68" * 300 + b"\x00\x01\x00\x01\x00\x01\xff\xff" + b"{" * 70_000 + b"\n")
        writer.close()
    await asyncio.sleep(0.05)
    assert await rig.dlt645(b"\x12\x68\x00" + read(rig, "H-01", Read("00010000"))) is not None
    assert (await rig.control(do="stats"))["ok"]


async def test_truth_on_demand_and_what_is_refused(rig: Rig, tmp_path: Path) -> None:
    start, path = rig.world.now_s, tmp_path / "truth.json"
    await rig.advance(2 * HOUR_S)
    answer = await rig.control(do="truth", from_s=start, to_s=start + HOUR_S, path=str(path))
    assert answer == {"ok": True, "path": str(path)}
    assert len(json.loads(path.read_text())["usage_points"]) == len(rig.world.entries)
    for request in ({}, {"do": "fly"}, {"do": "press"}, {"do": "truth", "from_s": 1, "to_s": 0, "path": "x"},
                    {"do": "truth", "from_s": start, "to_s": start + 9 * HOUR_S, "path": "x"},
                    {"do": "display", "serial": rig.entry("H-01").meter_serial, "at_s": "now"}):  # fmt: skip
        answer = await rig.control(**request)
        assert not answer["ok"]
        assert answer["error"].startswith("control.")
