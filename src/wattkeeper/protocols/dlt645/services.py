"""Services of DL/T 645-2007 (clause 7) and the reading service of 1997: requests and answers, both halves.

A data identifier is written DI3 DI2 DI1 DI0 as eight hexadecimal digits (four in 1997) and travels low byte
first. A master builds with `encode_*` and reads answers with `decode_answer`; a meter reads requests with
`decode_request` and answers with `encode_answer`, `encode_refusal`.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from wattkeeper.protocols.dlt645.bcd import (
    LocalTime,
    decode_bcd,
    decode_minute,
    decode_second,
    encode_bcd,
    encode_minute,
    encode_second,
)
from wattkeeper.protocols.dlt645.errors import ContentError
from wattkeeper.protocols.dlt645.frame import (
    ANY_ADDRESS,
    BROADCAST_ADDRESS,
    HAS_MORE,
    IS_ANSWER,
    IS_REFUSED,
    Frame,
    encode_address,
)


class Function(IntEnum):
    """The five low bits of the control byte. ``_1997``: services of the older edition."""

    READ_1997 = 0x01
    READ_MORE_1997 = 0x02
    SECURITY = 0x03
    WRITE_1997 = 0x04
    BROADCAST_TIME = 0x08
    WRITE_ADDRESS_1997 = 0x0A
    SPEED_1997 = 0x0C
    PASSWORD_1997 = 0x0F
    CLEAR_DEMAND_1997 = 0x10
    READ = 0x11
    READ_MORE = 0x12
    READ_ADDRESS = 0x13
    WRITE = 0x14
    WRITE_ADDRESS = 0x15
    FREEZE = 0x16
    SPEED = 0x17
    PASSWORD = 0x18
    CLEAR_DEMAND = 0x19
    CLEAR_METER = 0x1A
    CLEAR_EVENTS = 0x1B
    CONTROL = 0x1C
    PULSE_OUTPUT = 0x1D


_DI_BYTES: dict[int, int] = {
    Function.READ: 4,
    Function.READ_MORE: 4,
    Function.READ_1997: 2,
    Function.READ_MORE_1997: 2,
}


class Control(IntEnum):
    """N1 of the control service 1C. ALLOW_CLOSE arms: a person closes the switch at the meter."""

    TRIP = 0x1A
    ALLOW_CLOSE = 0x1B
    CLOSE = 0x1C
    WARN = 0x2A
    END_WARN = 0x2B
    KEEP_ON = 0x3A
    END_KEEP_ON = 0x3B


class Refusal(IntFlag):
    """The error byte of a refusing answer (DL/T 645-2007 table A.1)."""

    OTHER = 0x01
    NO_SUCH_DATA = 0x02
    NOT_AUTHORIZED = 0x04
    SPEED = 0x08
    ZONES = 0x10
    PERIODS = 0x20
    RATES = 0x40


@dataclass(frozen=True, slots=True)
class Read:
    """Read one identifier; `count` and `from_time` only for load records."""

    di: str
    count: int | None = None
    from_time: LocalTime | None = None


@dataclass(frozen=True, slots=True)
class ReadMore:
    """Read follow-up frame `sequence` (1..255) of `di`; no sequence in the 1997 edition."""

    di: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class ReadAddress:
    """Ask the only meter on the line for its address."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write `data` to `di`. `password`: level PA and P0 P1 P2; `operator`: C0..C3; four bytes each."""

    di: str
    data: bytes
    password: bytes = b"\0\0\0\0"
    operator: bytes = b"\0\0\0\0"


@dataclass(frozen=True, slots=True)
class BroadcastTime:
    """Set the clocks of all meters on the line; never answered."""

    time: LocalTime


@dataclass(frozen=True, slots=True)
class Freeze:
    """Freeze now, or at a time given as MM DD hh mm with 99 for "every"; `pattern` four bytes mm hh DD MM."""

    pattern: bytes


@dataclass(frozen=True, slots=True)
class RelayControl:
    """Control the supply; void after `valid_until` by the meter's clock."""

    command: int
    valid_until: LocalTime
    password: bytes = b"\0\0\0\0"
    operator: bytes = b"\0\0\0\0"


@dataclass(frozen=True, slots=True)
class OtherRequest:
    """A service this module does not take apart."""

    function: int
    data: bytes


Request = Read | ReadMore | ReadAddress | Write | BroadcastTime | Freeze | RelayControl | OtherRequest


class Answer(NamedTuple):
    """What a meter answered. `di` empty where the service carries none; `refusal` None if it did as asked."""

    function: int
    di: str
    data: bytes
    has_more: bool = False
    sequence: int | None = None
    refusal: Refusal | None = None


def encode_read(address: str, request: Read) -> Frame:
    """Return the frame that reads one identifier: 2007 if it has eight digits, 1997 if four."""
    data = encode_di(request.di)
    if request.count is not None:
        data += bytes((request.count,))
    if request.from_time is not None:
        data += encode_minute(request.from_time)
    return Frame(address, Function.READ if len(request.di) == 8 else Function.READ_1997, data)


def encode_read_more(address: str, request: ReadMore) -> Frame:
    """Return the frame that asks for a follow-up frame."""
    if request.sequence is None:
        return Frame(address, Function.READ_MORE_1997, encode_di(request.di))
    return Frame(address, Function.READ_MORE, encode_di(request.di) + bytes((request.sequence,)))


def encode_read_address() -> Frame:
    """Return the frame that asks the only meter on the line for its address."""
    return Frame(ANY_ADDRESS, Function.READ_ADDRESS)


def encode_write(address: str, request: Write) -> Frame:
    """Return the frame that writes an identifier."""
    _check_credentials(request.password, request.operator)
    data = encode_di(request.di) + request.password + request.operator + request.data
    return Frame(address, Function.WRITE, data)


def encode_broadcast_time(time: LocalTime) -> Frame:
    """Return the frame that sets all clocks on the line."""
    return Frame(BROADCAST_ADDRESS, Function.BROADCAST_TIME, encode_second(time))


def encode_relay_control(address: str, request: RelayControl) -> Frame:
    """Return the frame that controls the supply (1C)."""
    _check_credentials(request.password, request.operator)
    data = request.password + request.operator + bytes((request.command, 0))
    return Frame(address, Function.CONTROL, data + encode_second(request.valid_until))


def decode_request(frame: Frame) -> Request:
    """
    Return what a master asks.

    :raises ContentError: if the data field is not what the service says, or the frame is an answer
    """
    if frame.is_answer:
        raise ContentError("dlt645.not-a-request", control=frame.control)
    data = frame.data
    if frame.function == Function.READ:
        return _decode_read(data)
    if frame.function == Function.READ_1997:
        return Read(decode_di(_exactly(data, 2)))
    if frame.function == Function.READ_MORE:
        return ReadMore(decode_di(_exactly(data, 5)[:4]), data[4])
    if frame.function == Function.READ_MORE_1997:
        return ReadMore(decode_di(_exactly(data, 2)), None)
    if frame.function == Function.READ_ADDRESS:
        return ReadAddress()
    if frame.function == Function.WRITE:
        _at_least(data, 12)
        return Write(decode_di(data[:4]), data[12:], data[4:8], data[8:12])
    if frame.function == Function.BROADCAST_TIME:
        return BroadcastTime(decode_second(data))
    if frame.function == Function.FREEZE:
        return Freeze(_exactly(data, 4))
    if frame.function == Function.CONTROL and len(data) == 16:
        return RelayControl(data[8], decode_second(data[10:]), data[:4], data[4:8])
    return OtherRequest(frame.function, data)


def _decode_read(data: bytes) -> Read:
    if len(data) not in (4, 5, 10):
        raise ContentError("dlt645.bad-length", bytes=len(data))
    count = data[4] if len(data) > 4 else None
    return Read(decode_di(data[:4]), count, decode_minute(data[5:]) if len(data) == 10 else None)


def encode_answer(address: str, answer: Answer) -> Frame:
    """Return the frame with which the meter `address` answers."""
    control = answer.function | IS_ANSWER
    if answer.refusal is not None:
        return Frame(address, control | IS_REFUSED, bytes((answer.refusal,)))
    data = (encode_di(answer.di) if answer.di else b"") + answer.data
    if answer.sequence is not None:
        data += bytes((answer.sequence,))
    return Frame(address, control | (HAS_MORE if answer.has_more else 0), data)


def decode_answer(frame: Frame) -> Answer:
    """
    Return what a meter answered.

    :raises ContentError: if the data field is too short for its service, or the frame is a request
    """
    if not frame.is_answer:
        raise ContentError("dlt645.not-an-answer", control=frame.control)
    data, function = frame.data, frame.function
    if frame.is_refused:
        _at_least(data, 1)
        return Answer(function, "", data[1:], refusal=Refusal(data[0]))
    di_bytes = _DI_BYTES.get(function, 0)
    _at_least(data, di_bytes + (function == Function.READ_MORE))
    di, rest = decode_di(data[:di_bytes]), data[di_bytes:]
    if function == Function.READ_MORE:
        return Answer(function, di, rest[:-1], frame.has_more, rest[-1])
    return Answer(function, di, rest, frame.has_more)


def decode_address_answer(frame: Frame) -> str:
    """
    Return the address in an answer to `ReadAddress`.

    :raises ContentError: if it is not there
    """
    if frame.function != Function.READ_ADDRESS or not frame.is_answer or frame.is_refused:
        raise ContentError("dlt645.not-an-answer", control=frame.control)
    return _exactly(frame.data, 6)[::-1].hex()


def encode_address_answer(address: str) -> Frame:
    """Return the answer to `ReadAddress`."""
    return Frame(address, Function.READ_ADDRESS | IS_ANSWER, encode_address(address))


def split_data(di: str, data: bytes, part_bytes: int = 196) -> list[Answer]:
    """Return the answers that carry `data`: one, or a first and its follow-ups, `part_bytes` each."""
    parts = [data[i : i + part_bytes] for i in range(0, len(data), part_bytes)] or [b""]
    answers = [Answer(Function.READ, di, parts[0], has_more=len(parts) > 1)]
    for sequence, part in enumerate(parts[1:], start=1):
        answers.append(Answer(Function.READ_MORE, di, part, sequence < len(parts) - 1, sequence))
    return answers


def encode_di(di: str) -> bytes:
    """
    Return the bytes of a data identifier, low byte first.

    :raises ContentError: if it has neither eight nor four hexadecimal digits
    """
    try:
        octets = bytes.fromhex(di)
    except ValueError:
        octets = b""
    if len(octets) not in (2, 4) or len(di) != 2 * len(octets):
        raise ContentError("dlt645.bad-identifier", di=di)
    return octets[::-1]


def decode_di(octets: bytes) -> str:
    """Return the data identifier of bytes that are low byte first, as upper-case hexadecimal digits."""
    return octets[::-1].hex().upper()


def encode_date_week(time: LocalTime, weekday: int) -> bytes:
    """Return the value of 04000101: WW DD MM YY on the wire; `weekday` 0 is Sunday."""
    return bytes(encode_bcd(part, 1)[0] for part in (weekday, time.day, time.month, time.year % 100))


def decode_clock(date: bytes, time: bytes) -> LocalTime:
    """
    Return the clock of the values of 04000101 (WW DD MM YY) and 04000102 (ss mm hh).

    :raises ContentError: if they have not four and three bytes of decimal digits
    """
    day, month, year = (decode_bcd(_exactly(date, 4)[i : i + 1]) for i in (1, 2, 3))
    second, minute, hour = (decode_bcd(_exactly(time, 3)[i : i + 1]) for i in (0, 1, 2))
    return LocalTime(2000 + year, month, day, hour, minute, second)


def encode_time_of_day(time: LocalTime) -> bytes:
    """Return the value of 04000102: ss mm hh on the wire."""
    return bytes(encode_bcd(part, 1)[0] for part in (time.second, time.minute, time.hour))


def _check_credentials(password: bytes, operator: bytes) -> None:
    if len(password) != 4 or len(operator) != 4:
        raise ContentError(
            "dlt645.bad-credentials", password_bytes=len(password), operator_bytes=len(operator)
        )


def _at_least(data: bytes, size_bytes: int) -> None:
    if len(data) < size_bytes:
        raise ContentError("dlt645.too-short", bytes=len(data))


def _exactly(data: bytes, size_bytes: int) -> bytes:
    if len(data) != size_bytes:
        raise ContentError("dlt645.bad-length", bytes=len(data))
    return data
