"""Modbus functions 1 to 6, 16 and 20 (Modbus Application Protocol 1.1b3, clause 6): requests and answers.

Addresses are 0-based as on the wire. Registers travel big-endian, two bytes each.
"""

from dataclasses import dataclass
from enum import IntEnum

from wattkeeper.protocols.modbus.errors import ContentError
from wattkeeper.protocols.modbus.frame import EXCEPTION

REGISTERS_MAX = 125
WRITE_REGISTERS_MAX = 123
BITS_MAX = 2000
FILE_REGISTERS_MAX = 122
_FILE_REFERENCE = 6
_COIL_ON = 0xFF00


class Function(IntEnum):
    """The functions this module speaks."""

    READ_COILS = 1
    READ_INPUTS = 2
    READ_HOLDING = 3
    READ_INPUT_REGISTERS = 4
    WRITE_COIL = 5
    WRITE_REGISTER = 6
    WRITE_REGISTERS = 16
    READ_FILE = 20


class ExceptionCode(IntEnum):
    """Why a device refuses."""

    ILLEGAL_FUNCTION = 1
    ILLEGAL_ADDRESS = 2
    ILLEGAL_VALUE = 3
    DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    BUSY = 6
    NO_PATH = 10
    NO_ANSWER = 11


@dataclass(frozen=True, slots=True)
class ReadBits:
    """Read `count` coils (function 1) or inputs (2) from `address`."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class ReadRegisters:
    """Read `count` holding (function 3) or input (4) registers from `address`."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class WriteCoil:
    """Set one coil; the answer is the same."""

    address: int
    is_on: bool


@dataclass(frozen=True, slots=True)
class WriteRegister:
    """Set one register; the answer is the same."""

    address: int
    value: int


@dataclass(frozen=True, slots=True)
class WriteRegisters:
    """Set registers from `address` to `octets`, two bytes each."""

    address: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class FileSpan:
    """`count` registers of file `file_id` (1..65535) from record `record_index` (0..9999)."""

    file_id: int
    record_index: int
    count: int


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Read file records (function 20)."""

    spans: tuple[FileSpan, ...]


Request = ReadBits | ReadRegisters | WriteCoil | WriteRegister | WriteRegisters | ReadFile


@dataclass(frozen=True, slots=True)
class Bits:
    """Answer to `ReadBits`: eight bits a byte, the first in bit 0."""

    function: int
    octets: bytes

    def is_on(self, index: int) -> bool:
        """Return bit `index` of the answer."""
        return bool(self.octets[index >> 3] >> (index & 7) & 1)


@dataclass(frozen=True, slots=True)
class Registers:
    """Answer to `ReadRegisters`: two bytes a register."""

    function: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class WroteRegisters:
    """Answer to `WriteRegisters`."""

    address: int
    count: int


@dataclass(frozen=True, slots=True)
class FileRecords:
    """Answer to `ReadFile`: the registers of each span."""

    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception answer."""

    function: int
    exception_code: int


Answer = Bits | Registers | WriteCoil | WriteRegister | WroteRegisters | FileRecords | Refused


def encode_request(request: Request) -> bytes:
    """
    Return the PDU of a request.

    :raises ContentError: if a number is out of its range
    """
    match request:
        case ReadBits(function, address, count):
            _check_count(count, BITS_MAX)
            return bytes((function,)) + _u16(address) + _u16(count)
        case ReadRegisters(function, address, count):
            _check_count(count, REGISTERS_MAX)
            return bytes((function,)) + _u16(address) + _u16(count)
        case WriteRegisters(address, octets):
            _check_count(len(octets) // 2, WRITE_REGISTERS_MAX)
            head = bytes((Function.WRITE_REGISTERS,)) + _u16(address) + _u16(len(octets) // 2)
            return head + bytes((len(octets),)) + octets
        case ReadFile(spans):
            return _encode_read_file(spans)
        case WriteCoil() | WriteRegister():
            return _encode_write_one(request)


def decode_request(pdu: bytes) -> Request:
    """
    Return what a master asks.

    :raises ContentError: if the function is unknown or its content is not what it says
    """
    function = pdu[0] if pdu else 0
    if function == Function.WRITE_REGISTERS:
        if len(pdu) < 8 or pdu[5] != len(pdu) - 6 or 2 * _int(pdu, 3) != pdu[5]:
            raise ContentError("modbus.bad-request", function=function)
        return WriteRegisters(_int(pdu, 1), pdu[6:])
    if function == Function.READ_FILE:
        return _decode_read_file(pdu)
    if function not in Function.__members__.values():
        raise ContentError("modbus.unknown-function", function=function)
    if len(pdu) != 5:
        raise ContentError("modbus.bad-request", function=function)
    address, number = _int(pdu, 1), _int(pdu, 3)
    if function in (Function.WRITE_COIL, Function.WRITE_REGISTER):
        return _decode_write_one(pdu)
    if function in (Function.READ_COILS, Function.READ_INPUTS):
        _check_count(number, BITS_MAX)
        return ReadBits(function, address, number)
    _check_count(number, REGISTERS_MAX)
    return ReadRegisters(function, address, number)


def encode_answer(answer: Answer) -> bytes:
    """
    Return the PDU of an answer.

    :raises ContentError: if it does not fit
    """
    match answer:
        case Bits(function, octets) | Registers(function, octets):
            _check_count(len(octets), 250)
            return bytes((function, len(octets))) + octets
        case WroteRegisters(address, count):
            return bytes((Function.WRITE_REGISTERS,)) + _u16(address) + _u16(count)
        case FileRecords(parts):
            body = b"".join(bytes((len(part) + 1, _FILE_REFERENCE)) + part for part in parts)
            _check_count(len(body), 245)
            return bytes((Function.READ_FILE, len(body))) + body
        case Refused(function, exception_code):
            return bytes((function | EXCEPTION, exception_code))
        case WriteCoil() | WriteRegister():
            return _encode_write_one(answer)


def decode_answer(pdu: bytes) -> Answer:
    """
    Return what a device answered.

    :raises ContentError: if the function is unknown or its content is not what it says
    """
    function = pdu[0] if pdu else 0
    if function & EXCEPTION:
        if len(pdu) != 2:
            raise ContentError("modbus.bad-answer", function=function)
        return Refused(function & ~EXCEPTION, pdu[1])
    if function in (Function.WRITE_COIL, Function.WRITE_REGISTER, Function.WRITE_REGISTERS):
        if len(pdu) != 5:
            raise ContentError("modbus.bad-answer", function=function)
        is_many = function == Function.WRITE_REGISTERS
        return WroteRegisters(_int(pdu, 1), _int(pdu, 3)) if is_many else _decode_write_one(pdu)
    if function not in Function.__members__.values():
        raise ContentError("modbus.unknown-function", function=function)
    if len(pdu) < 3 or pdu[1] != len(pdu) - 2:
        raise ContentError("modbus.bad-answer", function=function)
    if function == Function.READ_FILE:
        return _decode_file_records(pdu)
    if function in (Function.READ_COILS, Function.READ_INPUTS):
        return Bits(function, pdu[2:])
    if len(pdu) % 2:
        raise ContentError("modbus.bad-answer", function=function)
    return Registers(function, pdu[2:])


def _encode_write_one(write: WriteCoil | WriteRegister) -> bytes:
    if isinstance(write, WriteCoil):
        return bytes((Function.WRITE_COIL,)) + _u16(write.address) + _u16(_COIL_ON * write.is_on)
    return bytes((Function.WRITE_REGISTER,)) + _u16(write.address) + _u16(write.value)


def _decode_write_one(pdu: bytes) -> WriteCoil | WriteRegister:
    address, value = _int(pdu, 1), _int(pdu, 3)
    if pdu[0] == Function.WRITE_REGISTER:
        return WriteRegister(address, value)
    if value not in (0, _COIL_ON):
        raise ContentError("modbus.bad-coil", value=value)
    return WriteCoil(address, value == _COIL_ON)


def _encode_read_file(spans: tuple[FileSpan, ...]) -> bytes:
    _check_count(len(spans), 35)
    _check_count(sum(span.count + 1 for span in spans), FILE_REGISTERS_MAX + 1)
    body = b"".join(
        bytes((_FILE_REFERENCE,)) + _u16(s.file_id) + _u16(s.record_index) + _u16(s.count) for s in spans
    )
    return bytes((Function.READ_FILE, len(body))) + body


def _decode_read_file(pdu: bytes) -> ReadFile:
    if len(pdu) < 9 or pdu[1] != len(pdu) - 2 or pdu[1] % 7:
        raise ContentError("modbus.bad-request", function=Function.READ_FILE)
    starts = range(2, len(pdu), 7)
    if any(pdu[start] != _FILE_REFERENCE for start in starts):
        raise ContentError("modbus.bad-file-reference", function=Function.READ_FILE)
    return ReadFile(
        tuple(FileSpan(_int(pdu, start + 1), _int(pdu, start + 3), _int(pdu, start + 5)) for start in starts)
    )


def _decode_file_records(pdu: bytes) -> FileRecords:
    parts: list[bytes] = []
    position = 2
    while position < len(pdu):
        size_bytes = pdu[position]
        part = pdu[position + 1 : position + 1 + size_bytes]
        if not size_bytes or len(part) != size_bytes or part[0] != _FILE_REFERENCE or not size_bytes % 2:
            raise ContentError("modbus.bad-answer", function=Function.READ_FILE)
        parts.append(part[1:])
        position += 1 + size_bytes
    return FileRecords(tuple(parts))


def _u16(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise ContentError("modbus.out-of-range", value=value)
    return value.to_bytes(2, "big")


def _int(pdu: bytes, at: int) -> int:
    return pdu[at] << 8 | pdu[at + 1]


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ContentError("modbus.bad-count", count=count, most=most)
