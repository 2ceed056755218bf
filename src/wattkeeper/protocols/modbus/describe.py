"""What a capture of Modbus bytes says, frame by frame, for people. TCP and RTU are told apart by themselves.

An answer carries no register numbers: they come from its request, if that is in the capture too; otherwise
registers count from 0 and no map speaks for them. Without a map a register is a plain number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypedDict, TypeVar

from wattkeeper.protocols.modbus import pdu
from wattkeeper.protocols.modbus.errors import ChecksumMismatch, FrameError, ModbusError
from wattkeeper.protocols.modbus.frame import (
    HEADER_BYTES,
    PDU_MAX_BYTES,
    Adu,
    Side,
    decode_rtu,
    decode_tcp,
    rtu_bytes,
)
from wattkeeper.protocols.modbus.registers import REGISTER_COUNTS, WordOrder, decode_value

WAITING_MAX = 4096
WINDOW_BYTES = HEADER_BYTES + PDU_MAX_BYTES


class Reading(TypedDict):
    """One value, as exact decimal text; None for a float that is no number. `measured_at` is always None."""

    id: str
    quantity: str
    value: str | None
    unit: str
    measured_at: str | None


class DescribedError(TypedDict):
    """Why a frame is not one, or what in it is wrong. `params`: what a sentence of another language needs."""

    code: str
    message: str
    params: Mapping[str, object]


class DecodedFrame(TypedDict):
    """One frame, or bytes that are none."""

    frame: str
    protocol: str
    address: str | None
    service: str | None
    readings: list[Reading]
    error: DescribedError | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """What stands at a register: value = registers as `kind` x `scale`, in `unit`."""

    quantity: str
    unit: str
    kind: str = "u16"
    scale: Decimal = Decimal(1)
    word_order: WordOrder = WordOrder.BIG


RegisterMap = Mapping[int, Meaning]


@dataclass(frozen=True, slots=True)
class _Taken:
    """One frame taken from the head of the bytes: its content, and the request it answers if known."""

    adu: Adu
    used_bytes: int
    content: pdu.Request | pdu.Answer
    side: Side
    request: pdu.Request | None = None


def decode_stream(
    data: bytes, keys: Mapping[str, bytes], *, registers: RegisterMap | None = None
) -> Iterator[DecodedFrame]:
    """Yield a row for each frame in `data`, and one for each run of bytes that are none. `keys`: not used."""
    return decode_chunks([data], keys, registers=registers)


def decode_chunks(
    chunks: Iterable[bytes], keys: Mapping[str, bytes], *, registers: RegisterMap | None = None
) -> Iterator[DecodedFrame]:
    """Yield as `decode_stream` does; requests of one chunk explain answers of the next."""
    del keys
    describer = _Describer(registers or {})
    for chunk in chunks:
        yield from describer.describe(chunk)


class _Describer:
    """Remembers requests until they are answered."""

    def __init__(self, registers: RegisterMap) -> None:
        self._registers = registers
        self._asked: dict[tuple[int | None, int], pdu.Request] = {}

    def describe(self, data: bytes) -> Iterator[DecodedFrame]:
        position = garbage_at = 0
        while position < len(data):
            taken = self._take(data[position : position + WINDOW_BYTES])
            if taken is None:
                position += 1
                continue
            if garbage_at < position:
                yield _garbage_row(data[garbage_at:position])
            position += taken.used_bytes
            yield self._row(data[position - taken.used_bytes : position], taken)
            garbage_at = position
        if garbage_at < len(data):
            yield _garbage_row(data[garbage_at:])

    def _take(self, window: bytes) -> _Taken | None:
        """Return the frame at the head of `window`, or None: first what a CRC proves, then TCP."""
        for side in self._sides(window):
            try:
                decoded = decode_rtu(window, side)
            except FrameError:
                continue
            if decoded is not None and (taken := self._read(*decoded)) is not None:
                return taken
        try:
            decoded = decode_tcp(window)
        except FrameError:
            return None
        return self._read(*decoded) if decoded is not None else None

    def _sides(self, window: bytes) -> tuple[Side, Side]:
        is_asked = len(window) > 0 and (None, window[0]) in self._asked
        return (Side.ANSWER, Side.REQUEST) if is_asked else (Side.REQUEST, Side.ANSWER)

    def _read(self, adu: Adu, used_bytes: int) -> _Taken | None:
        """Return what the frame says: the answer to a waiting request, a request, or another answer."""
        key = (adu.transaction_id, adu.unit_id)
        request = self._asked.get(key)
        answer = _content(pdu.decode_answer, adu.pdu)
        if request is not None and answer is not None and _belongs(request, answer):
            return _Taken(adu, used_bytes, answer, Side.ANSWER, self._asked.pop(key))
        asked = _content(pdu.decode_request, adu.pdu)
        if asked is not None:
            if len(self._asked) >= WAITING_MAX:
                del self._asked[next(iter(self._asked))]
            self._asked[key] = asked
            return _Taken(adu, used_bytes, asked, Side.REQUEST)
        return _Taken(adu, used_bytes, answer, Side.ANSWER) if answer is not None else None

    def _row(self, octets: bytes, taken: _Taken) -> DecodedFrame:
        row = DecodedFrame(
            frame=octets.hex(),
            protocol="modbus",
            address=str(taken.adu.unit_id),
            service=_service(taken),
            readings=[],
            error=None,
        )
        if taken.side is Side.ANSWER:
            row["readings"] = self._readings(taken)
        return row

    def _readings(self, taken: _Taken) -> list[Reading]:
        match taken.content:
            case pdu.Registers(_, octets):
                if not isinstance(taken.request, pdu.ReadRegisters):
                    return _plain(0, octets)
                return self._registers_at(taken.request.address, octets)
            case pdu.Bits(function, octets):
                return _bits(function, octets, taken.request)
            case pdu.FileRecords(parts):
                spans = taken.request.spans if isinstance(taken.request, pdu.ReadFile) else ()
                return [r for n, part in enumerate(parts) for r in _file(spans[n : n + 1], part)]
            case pdu.Refused(_, exception_code):
                return [_reading("", "exception_code", str(exception_code))]
            case _:
                return []

    def _registers_at(self, start: int, octets: bytes) -> list[Reading]:
        if not self._registers:
            return _plain(start, octets)
        readings: list[Reading] = []
        for address, meaning in sorted(self._registers.items()):
            at = 2 * (address - start)
            part = octets[at : at + 2 * REGISTER_COUNTS[meaning.kind]] if at >= 0 else b""
            if len(part) == 2 * REGISTER_COUNTS[meaning.kind]:
                readings.append(
                    _reading(str(address), meaning.quantity, _scaled(meaning, part), meaning.unit)
                )
        return readings


def _scaled(meaning: Meaning, octets: bytes) -> str | None:
    try:
        return f"{decode_value(meaning.kind, octets, meaning.word_order) * meaning.scale:f}"
    except ModbusError:
        return None


def _plain(start: int, octets: bytes) -> list[Reading]:
    return [
        _reading(str(start + i // 2), "register", str(octets[i] << 8 | octets[i + 1]))
        for i in range(0, len(octets), 2)
    ]


def _bits(function: int, octets: bytes, request: pdu.Request | None) -> list[Reading]:
    start, count = 0, 8 * len(octets)
    if isinstance(request, pdu.ReadBits):
        start, count = request.address, min(count, request.count)
    quantity = "coil" if function == pdu.Function.READ_COILS else "input"
    bits = pdu.Bits(function, octets)
    return [_reading(str(start + i), quantity, str(int(bits.is_on(i)))) for i in range(count)]


def _file(spans: tuple[pdu.FileSpan, ...], octets: bytes) -> list[Reading]:
    head = f"{spans[0].file_id}/" if spans else "/"
    start = spans[0].record_index if spans else 0
    return [{**reading, "id": head + reading["id"]} for reading in _plain(start, octets)]


def _belongs(request: pdu.Request, answer: pdu.Answer) -> bool:
    match request, answer:
        case pdu.ReadRegisters(), pdu.Registers():
            return request.function == answer.function and len(answer.octets) == 2 * request.count
        case pdu.ReadBits(), pdu.Bits():
            return request.function == answer.function and len(answer.octets) == -(-request.count // 8)
        case pdu.ReadFile(), pdu.FileRecords():
            return len(answer.parts) == len(request.spans)
        case pdu.WriteRegisters(), pdu.WroteRegisters():
            return request.address == answer.address
        case _, pdu.Refused():
            return answer.function == pdu.encode_request(request)[0]
        case _:
            return request == answer


C = TypeVar("C")


def _content(decode: Callable[[bytes], C], octets: bytes) -> C | None:
    try:
        return decode(octets)
    except ModbusError:
        return None


_NAMES = {function.value: function.name.lower().replace("_", "-") for function in pdu.Function}


def _service(taken: _Taken) -> str:
    function = taken.adu.pdu[0] & 0x7F
    name = _NAMES.get(function, f"function-{function}")
    if isinstance(taken.content, pdu.Refused):
        return f"{name}-refused"
    return f"{name}-{taken.side.value}"


def _reading(id_: str, quantity: str, value: str | None, unit: str = "") -> Reading:
    return Reading(id=id_, quantity=quantity, value=value, unit=unit, measured_at=None)


def _garbage_row(octets: bytes) -> DecodedFrame:
    code, message = _why(octets)
    return DecodedFrame(
        frame=octets.hex(),
        protocol="modbus",
        address=None,
        service=None,
        readings=[],
        error=DescribedError(code=code, message=message, params={"bytes": len(octets)}),
    )


def _why(octets: bytes) -> tuple[str, str]:
    """Return why bytes are no frame: a damaged RTU frame is told from a cut one and from none at all."""
    for side in (Side.ANSWER, Side.REQUEST):
        try:
            is_exact = rtu_bytes(octets, side) == len(octets)
            if is_exact:
                decode_rtu(octets, side)
        except ChecksumMismatch as error:
            return error.code, "The checksum does not fit: the frame is damaged."
        except FrameError:
            continue
    try:
        if decode_tcp(octets) is None:
            return "modbus.cut-short", "The frame is cut short."
    except FrameError as error:
        return error.code, "These bytes begin no frame, neither TCP nor RTU."
    return "modbus.unknown-function", "The function is not known or its content is not what it says."
