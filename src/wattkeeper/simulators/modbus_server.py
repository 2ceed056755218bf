"""Modbus meters behind one gateway port, with the map `wattkeeper` and its interval log."""

from wattkeeper.protocols.modbus.errors import ModbusError
from wattkeeper.protocols.modbus.frame import Adu, Side, encode_rtu, encode_tcp, find_rtu, find_tcp
from wattkeeper.protocols.modbus.interval_log import (
    DAY_S,
    FIRST_DAY_S,
    SLOT_REGISTERS,
    LogSlot,
    encode_slots,
    span_start_s,
)
from wattkeeper.protocols.modbus.pdu import (
    Answer,
    ExceptionCode,
    FileRecords,
    FileSpan,
    Function,
    ReadFile,
    ReadRegisters,
    Refused,
    Registers,
    Request,
    decode_request,
    encode_answer,
)
from wattkeeper.protocols.modbus.registers import encode_value
from wattkeeper.simulators.plant import Meter

BUFFER_MAX_BYTES = 4096
SERIAL_BYTES = 16
_BLOCKS = ((0, 31), (100, 8), (110, 2))


class Gateway:
    """One connection to the gateway; `is_rtu`: frames as on the bus behind it, not as in Modbus TCP."""

    def __init__(self, meters: list[Meter], *, is_rtu: bool = False) -> None:
        self._is_rtu = is_rtu
        self._by_unit = {int(meter.entry.address): meter for meter in meters}
        self._buffer = b""

    def feed(self, received: bytes, now_s: int) -> list[bytes]:
        """Return the answers, one frame each."""
        self._buffer = (self._buffer + received)[-BUFFER_MAX_BYTES:]
        answers: list[bytes] = []
        while self._buffer:
            found = find_rtu(self._buffer, Side.REQUEST) if self._is_rtu else find_tcp(self._buffer)
            if not found.used_bytes:
                break
            self._buffer = self._buffer[found.used_bytes :]
            if found.adu is not None:
                pdu = encode_answer(self._answer(found.adu, now_s))
                adu = Adu(found.adu.unit_id, pdu, found.adu.transaction_id)
                answers.append(encode_rtu(adu) if self._is_rtu else encode_tcp(adu))
        return answers

    def _answer(self, adu: Adu, now_s: int) -> Answer:
        function = adu.pdu[0] & 0x7F
        meter = self._by_unit.get(adu.unit_id)
        if meter is None or not meter.answers(now_s):
            return Refused(function, ExceptionCode.NO_ANSWER)
        meter.requests_count += 1
        try:
            request = decode_request(adu.pdu)
        except ModbusError as error:
            is_unknown = error.code == "modbus.unknown-function"
            wrong = ExceptionCode.ILLEGAL_FUNCTION if is_unknown else ExceptionCode.ILLEGAL_VALUE
            return Refused(function, wrong)
        return _serve(meter, request, now_s) or Refused(function, ExceptionCode.ILLEGAL_ADDRESS)


def _serve(meter: Meter, request: Request, now_s: int) -> Answer | None:
    if isinstance(request, ReadRegisters) and request.function == Function.READ_HOLDING:
        return _holding(meter, request, now_s)
    if isinstance(request, ReadFile):
        parts = [_log_part(meter, span, now_s) for span in request.spans]
        whole = tuple(part for part in parts if part is not None)
        return FileRecords(whole) if len(whole) == len(parts) else None
    return None


def _holding(meter: Meter, request: ReadRegisters, now_s: int) -> Registers | None:
    for start, count in _BLOCKS:
        if start <= request.address and request.address + request.count <= start + count:
            at = 2 * (request.address - start)
            return Registers(request.function, _block(meter, start, now_s)[at : at + 2 * request.count])
    return None


def _block(meter: Meter, start: int, now_s: int) -> bytes:
    if start == 100:
        return meter.entry.meter_serial.encode("ascii").ljust(SERIAL_BYTES, b"\0")
    if start == 110:
        return encode_value("u32", meter.registers.clock_s(now_s))
    shown = meter.measures(now_s)
    return (
        encode_value("u32", meter.registers.display(now_s))
        + bytes(28)
        + b"".join(encode_value("u16", volts) for volts in shown.decivolts)
        + b"".join(encode_value("u32", amperes) for amperes in shown.milliamperes)
        + encode_value("i32", shown.power_w)
        + encode_value("i32", shown.reactive_var)
        + encode_value("i16", shown.factor_permille)
        + encode_value("u16", shown.centihertz)
    )


def _log_part(meter: Meter, span: FileSpan, now_s: int) -> bytes | None:
    """Return the slots of `span`, or None if the meter has no such file."""
    registers = meter.registers
    try:
        from_s = span_start_s(span, registers.interval_s)
    except ModbusError:
        return None
    day_s = FIRST_DAY_S + (span.file_id - 1) * DAY_S
    if not len(registers.profile_stamps(day_s, day_s + DAY_S, now_s)):
        return None
    to_s = from_s + span.count // SLOT_REGISTERS * registers.interval_s
    held = dict(registers.profile(from_s, to_s, now_s))
    stamps = range(from_s, to_s, registers.interval_s)
    return encode_slots([LogSlot(stamp, held[stamp]) if stamp in held else None for stamp in stamps])
