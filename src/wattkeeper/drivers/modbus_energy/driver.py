"""Energy meters on Modbus TCP or RTU-over-TCP: live registers, the interval log, clock and relay.

The map is `registers.toml`, the layout of the log `README.md`. No socket, no clock, no log of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    Answer,
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
    Request,
    Split,
    Steps,
)
from wattkeeper.drivers.modbus_energy.registers import (
    DEFAULT_MAP,
    Block,
    Row,
    load_map,
    plan_blocks,
    split_block,
)
from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.errors import ContentError, ModbusError
from wattkeeper.protocols.modbus.frame import (
    EXCEPTION,
    Adu,
    Found,
    Side,
    decode_rtu,
    decode_tcp,
    encode_rtu,
    encode_tcp,
    find_rtu,
    find_tcp,
)
from wattkeeper.protocols.modbus.interval_log import CLOCK_SET, LogSlot, decode_slots, spans_of
from wattkeeper.protocols.modbus.registers import decode_value, encode_value

T = TypeVar("T", bound=pdu.Answer)

_RETRY_CODES = frozenset({pdu.ExceptionCode.BUSY, pdu.ExceptionCode.ACKNOWLEDGE, pdu.ExceptionCode.NO_ANSWER})
_ABSENT_CODES = frozenset({pdu.ExceptionCode.ILLEGAL_ADDRESS, pdu.ExceptionCode.ILLEGAL_VALUE})


class ModbusEnergyDriver:
    """One unit on one line."""

    def __init__(self, config: DeviceConfig) -> None:
        self._serial_number = config.serial_number
        self._interval_s = config.interval_s
        self._unit_id = _unit_id(config.address)
        phases = config.settings.get("phases", 3)
        if phases not in (1, 3):
            raise WattkeeperError("modbus_energy.bad-phases", phases=phases)
        self._map = load_map(str(config.settings.get("map", DEFAULT_MAP)), int(str(phases)))
        framing = config.settings.get("framing", "tcp")
        if framing not in ("tcp", "rtu"):
            raise WattkeeperError("modbus_energy.bad-framing", framing=framing)
        self._is_tcp = framing == "tcp"
        self._transaction_id = self._unit_id << 8
        self.capabilities = self._capabilities()

    def _capabilities(self) -> frozenset[Capability]:
        found = set()
        if self._map.log_row is not None:
            found.add(Capability.PROFILE)
        if self._map.clock_address is not None:
            found |= {Capability.CLOCK, Capability.SET_CLOCK}
        if self._map.relay_coil is not None:
            found.add(Capability.RELAY)
        return frozenset(found)

    def split(self, buffer: bytes) -> Split:
        """Return the first frame of `buffer`; damaged bytes are skipped and counted, never raised."""
        found: Found = find_tcp(buffer) if self._is_tcp else find_rtu(buffer, Side.ANSWER)
        if found.adu is not None:
            return Split(bytes(buffer[: found.used_bytes]), found.used_bytes)
        return Split(None, found.used_bytes, found.error.code if found.error else "")

    def open(self) -> Steps[None]:
        """Compare the serial number with the one expected, where the map has one."""
        if self._map.serial is None:
            return
        address, count = self._map.serial
        _, registers = yield from self._read(address, count)
        serial = registers.octets.rstrip(b"\0 ").decode("ascii", "replace")
        if serial != self._serial_number:
            raise WattkeeperError("drivers.wrong-device", expected=self._serial_number, found=serial)

    def close(self) -> Steps[None]:
        """Nothing: Modbus has no sessions."""
        yield from ()

    def read_live(self) -> Steps[list[DeviceRead]]:
        """Read every register of the map; what the device does not have is left out."""
        reads: list[DeviceRead] = []
        waiting = plan_blocks(self._map.rows)
        while waiting:
            block = waiting.pop(0)
            try:
                frame_index, registers = yield from self._read(block.address, block.count)
            except DeviceRefused as refused:
                if refused.params.get("exception_code") not in _ABSENT_CODES:
                    raise
                waiting = split_block(block) + waiting
                continue
            reads += self._live_reads(block, registers.octets, frame_index)
        return reads

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read the log's slots with from_s <= instant < to_s; what the device lacks is left out."""
        row = self._map.log_row
        if row is None:
            raise DeviceRefused("modbus_energy.no-log", map=self._map.name)
        reads: list[DeviceRead] = []
        try:
            spans = spans_of(from_s, to_s, self._interval_s)
        except ModbusError as error:
            raise WattkeeperError(error.code, **error.params) from error
        for span in spans:
            try:
                frame_index, records = yield from self._ask(pdu.ReadFile((span,)), pdu.FileRecords)
            except DeviceRefused as refused:
                if refused.params.get("exception_code") not in _ABSENT_CODES:
                    raise
                continue
            octets = b"".join(records.parts)
            with _damage_named():
                slots = decode_slots(span, octets, self._interval_s)
            reads += [_profile_read(row, slot, frame_index) for slot in slots]
        return reads

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Return nothing: the log is all these devices keep."""
        del from_s, to_s
        yield from ()
        return []

    def read_clock(self) -> Steps[int]:
        """Return the device's clock in UTC seconds."""
        _, registers = yield from self._read(self._clock_address(), 2)
        return int.from_bytes(registers.octets, "big")

    def set_clock(self, now_s: int) -> Steps[None]:
        """Set the device's clock."""
        octets = encode_value("u32", now_s)
        yield from self._ask(pdu.WriteRegisters(self._clock_address(), octets), pdu.WroteRegisters)

    def read_relay(self) -> Steps[RelayState]:
        """Return whether the relay's coil is set."""
        _, bits = yield from self._ask(pdu.ReadBits(pdu.Function.READ_COILS, self._relay_coil(), 1), pdu.Bits)
        if len(bits.octets) != 1:
            raise AnswerDamaged("modbus.bad-length", bytes=len(bits.octets))
        return RelayState.CONNECTED if bits.is_on(0) else RelayState.DISCONNECTED

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        """Set or clear the relay's coil; there is no armed state, so ARM is refused."""
        if command is RelayCommand.ARM:
            raise DeviceRefused("modbus_energy.cannot-arm")
        is_on = command is RelayCommand.CLOSE
        yield from self._ask(pdu.WriteCoil(self._relay_coil(), is_on), pdu.WriteCoil)

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:
        """Return nothing: a Modbus device never speaks first."""
        del payload, frame_index
        return []

    def _live_reads(self, block: Block, octets: bytes, frame_index: int) -> list[DeviceRead]:
        reads: list[DeviceRead] = []
        for row in block.rows:
            start = 2 * (row.address - block.address)
            part = octets[start : start + 2 * (row.end - row.address)]
            try:
                value = decode_value(row.kind, part, self._map.word_order)
            except ContentError:  # a float that is not a number: the device has no such value
                continue
            reads.append(DeviceRead(row.reading_type, value * row.scale, None, Source.LIVE, frame_index))
        return reads

    def _read(self, address: int, count: int) -> Steps[tuple[int, pdu.Registers]]:
        return self._ask(pdu.ReadRegisters(self._map.function, address, count), pdu.Registers)

    def _ask(self, request: pdu.Request, kind: type[T]) -> Steps[tuple[int, T]]:
        """Send one request and return the index of the frame that answered and its content."""
        self._transaction_id = self._transaction_id % 0xFFFF + 1
        asked = pdu.encode_request(request)
        adu = Adu(self._unit_id, asked, self._transaction_id if self._is_tcp else None)
        frame = encode_tcp(adu) if self._is_tcp else encode_rtu(adu)
        answer: Answer = yield Request(frame, lambda octets: self._matches(octets, adu, request))
        with _damage_named():
            content = pdu.decode_answer(self._decode(answer.frame).pdu)
        if isinstance(content, pdu.Refused):
            code = content.exception_code
            raise DeviceRefused(
                "modbus.refused",
                is_permanent=code not in _RETRY_CODES,
                function=asked[0],
                exception_code=code,
            )
        if not isinstance(content, kind) or not _fits(request, content):
            raise AnswerDamaged("modbus.bad-answer", is_permanent=False, function=asked[0])
        return answer.frame_index, content

    def _matches(self, octets: bytes, asked: Adu, request: pdu.Request) -> bool:
        try:
            adu = self._decode(octets)
        except ModbusError:
            return False
        if adu.unit_id != asked.unit_id or adu.transaction_id != asked.transaction_id:
            return False
        if adu.pdu[0] & ~EXCEPTION != asked.pdu[0]:
            return False
        return self._is_tcp or bool(adu.pdu[0] & EXCEPTION) or _fits_pdu(request, adu.pdu)

    def _decode(self, octets: bytes) -> Adu:
        decoded = decode_tcp(octets) if self._is_tcp else decode_rtu(octets, Side.ANSWER)
        if decoded is None or decoded[1] != len(octets):
            raise ModbusError("modbus.not-a-frame", bytes=len(octets))
        return decoded[0]

    def _clock_address(self) -> int:
        if self._map.clock_address is None:
            raise DeviceRefused("modbus_energy.no-clock", map=self._map.name)
        return self._map.clock_address

    def _relay_coil(self) -> int:
        if self._map.relay_coil is None:
            raise DeviceRefused("modbus_energy.no-relay", map=self._map.name)
        return self._map.relay_coil


def make_driver(config: DeviceConfig) -> ModbusEnergyDriver:
    """
    Return the driver of a device.

    :raises WattkeeperError: ``modbus_energy.*`` if its address or settings are wrong
    """
    return ModbusEnergyDriver(config)


def _unit_id(address: str) -> int:
    if not (address.isascii() and address.isdigit() and int(address) <= 255):
        raise WattkeeperError("modbus_energy.bad-address", address=address)
    return int(address)


def _profile_read(row: Row, slot: LogSlot, frame_index: int) -> DeviceRead:
    flags = Flag.CLOCK_ADJUSTED if slot.status & CLOCK_SET else Flag.NONE
    value = Decimal(slot.counts) * row.scale
    return DeviceRead(row.reading_type, value, slot.stamp_s, Source.PROFILE, frame_index, int(flags))


def _fits(request: pdu.Request, content: pdu.Answer) -> bool:
    """Whether an answer has the size, or repeats the address and value, that was asked."""
    match request, content:
        case pdu.ReadRegisters(), pdu.Registers():
            return len(content.octets) == 2 * request.count
        case pdu.ReadBits(), pdu.Bits():
            return len(content.octets) == -(-request.count // 8)
        case pdu.ReadFile(), pdu.FileRecords():
            return [len(part) for part in content.parts] == [2 * span.count for span in request.spans]
        case pdu.WriteRegisters(), pdu.WroteRegisters():
            return (request.address, len(request.octets)) == (content.address, 2 * content.count)
        case _:
            return request == content


def _fits_pdu(request: pdu.Request, octets: bytes) -> bool:
    try:
        return _fits(request, pdu.decode_answer(octets))
    except ModbusError:
        return False


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except ModbusError as error:
        raise AnswerDamaged(error.code, is_permanent=False, **error.params) from error
