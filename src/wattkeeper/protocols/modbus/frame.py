"""Modbus frames: bytes in, unit and PDU out. No I/O, no clock.

TCP (Modbus Messaging on TCP/IP 1.0b, clause 3.1.3), big-endian: transaction (2) | 0 (2) | length (2) | unit |
PDU, where `length` counts unit and PDU. RTU (Modbus over Serial Line 1.02, clause 2.5.1): unit | PDU | CRC-16
low byte first. An RTU frame does not tell its length: it follows from the function and from who sent it.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from fastcrc import crc16

from wattkeeper.protocols.modbus.errors import ChecksumMismatch, ContentError, FrameError, ModbusError

PDU_MAX_BYTES = 253
HEADER_BYTES = 7
EXCEPTION = 0x80
_LOOK_BYTES = 6 + 1 + PDU_MAX_BYTES  # the longest frame


class Side(Enum):
    """Who sent a frame."""

    REQUEST = "request"
    ANSWER = "answer"


class Adu(NamedTuple):
    """One frame. `transaction_id` None on a serial line."""

    unit_id: int
    pdu: bytes
    transaction_id: int | None = None


class Found(NamedTuple):
    """What the head of a buffer holds; `used_bytes` 0 asks for more, bytes used without `adu` are garbage."""

    adu: Adu | None
    used_bytes: int
    error: ModbusError | None = None


def decode_tcp(buffer: bytes) -> tuple[Adu, int] | None:
    """
    Return the first TCP frame and the number of bytes used, or None if more bytes are needed.

    :raises FrameError: if the header is none
    """
    if len(buffer) >= 4 and (buffer[2] or buffer[3]):
        raise FrameError("modbus.bad-header", protocol=buffer[2] << 8 | buffer[3])
    if len(buffer) < 6:
        return None
    length = buffer[4] << 8 | buffer[5]
    if not 2 <= length <= PDU_MAX_BYTES + 1:
        raise FrameError("modbus.bad-length", bytes=length)
    end = 6 + length
    if len(buffer) < end:
        return None
    return Adu(buffer[6], bytes(buffer[HEADER_BYTES:end]), buffer[0] << 8 | buffer[1]), end


def encode_tcp(adu: Adu) -> bytes:
    """
    Return the TCP frame of `adu`.

    :raises ContentError: if it has no transaction or does not fit
    """
    _check(adu)
    if adu.transaction_id is None or not 0 <= adu.transaction_id <= 0xFFFF:
        raise ContentError("modbus.bad-transaction", transaction_id=adu.transaction_id)
    head = adu.transaction_id.to_bytes(2, "big") + b"\0\0" + (len(adu.pdu) + 1).to_bytes(2, "big")
    return head + bytes((adu.unit_id,)) + adu.pdu


def decode_rtu(buffer: bytes, side: Side) -> tuple[Adu, int] | None:
    """
    Return the first RTU frame sent by `side` and the number of bytes used, or None if more are needed.

    :raises FrameError: if the function is none whose length is known
    :raises ChecksumMismatch: if the frame is whole but damaged
    """
    total = rtu_bytes(buffer, side)
    if total is None or len(buffer) < total:
        return None
    crc = crc16.modbus(bytes(buffer[: total - 2]))
    if buffer[total - 2] | buffer[total - 1] << 8 != crc:
        raise ChecksumMismatch("modbus.checksum", expected=crc)
    return Adu(buffer[0], bytes(buffer[1 : total - 2])), total


def encode_rtu(adu: Adu) -> bytes:
    """
    Return the RTU frame of `adu`.

    :raises ContentError: if it does not fit
    """
    _check(adu)
    body = bytes((adu.unit_id,)) + adu.pdu
    return body + crc16.modbus(body).to_bytes(2, "little")


def rtu_bytes(buffer: bytes, side: Side) -> int | None:
    """
    Return the length of the RTU frame at the head of `buffer`, or None if more bytes are needed to tell.

    :raises FrameError: if the function is none whose length is known
    """
    if len(buffer) < 2:
        return None
    function = buffer[1]
    if side is Side.ANSWER and function & EXCEPTION:
        return 5
    fixed = _FIXED_BYTES[side].get(function)
    if fixed is not None:
        return fixed
    at = _COUNT_AT[side].get(function)
    if at is None:
        raise FrameError("modbus.unknown-function", function=function)
    if len(buffer) <= at:
        return None
    return at + 1 + buffer[at] + 2


_FIXED_BYTES = {
    Side.REQUEST: {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8},
    Side.ANSWER: {5: 8, 6: 8, 15: 8, 16: 8},
}
_COUNT_AT = {
    Side.REQUEST: {15: 6, 16: 6, 20: 2},
    Side.ANSWER: {1: 2, 2: 2, 3: 2, 4: 2, 20: 2},
}


_Decode = Callable[[bytes], tuple[Adu, int] | None]


def find_tcp(buffer: bytes, unit_id: int | None = None) -> Found:
    """Return the first TCP frame of `buffer` (of `unit_id`, if given), or the bytes that can never be one."""

    def decode(part: bytes) -> tuple[Adu, int] | None:
        if unit_id is not None and len(part) >= HEADER_BYTES and part[6] != unit_id:
            raise FrameError("modbus.other-unit", unit_id=part[6])
        return decode_tcp(part)

    return _find(buffer, decode)


def find_rtu(buffer: bytes, side: Side, unit_id: int | None = None) -> Found:
    """Return the first RTU frame of `buffer` (of `unit_id`, if given), or the bytes that can never be one."""

    def decode(part: bytes) -> tuple[Adu, int] | None:
        if unit_id is not None and part and part[0] != unit_id:
            raise FrameError("modbus.other-unit", unit_id=part[0])
        return decode_rtu(part, side)

    found = _find(buffer, decode)
    if found.used_bytes:
        return found
    later = _whole_frame(buffer, decode)
    return Found(None, later, FrameError("modbus.cut-short", bytes=later)) if later else found


def _find(buffer: bytes, decode: _Decode) -> Found:
    try:
        decoded = decode(buffer)
    except FrameError as error:
        return Found(None, _next_start(buffer, decode), error)
    return Found(*decoded) if decoded else Found(None, 0)


def _whole_frame(buffer: bytes, decode: _Decode) -> int:
    """Return where a whole frame stands behind one that was cut short, or 0."""
    for start in range(1, len(buffer)):
        with suppress(FrameError):
            if decode(buffer[start:]) is not None:
                return start
    return 0


def _next_start(buffer: bytes, decode: _Decode) -> int:
    """Return the first later place where a frame stands or may stand: a whole one is preferred."""
    perhaps = min(len(buffer), _LOOK_BYTES)
    for start in range(1, min(len(buffer), _LOOK_BYTES)):
        try:
            if decode(buffer[start : start + _LOOK_BYTES]) is not None:
                return start
        except FrameError:
            continue
        perhaps = min(perhaps, start)
    return perhaps


def _check(adu: Adu) -> None:
    if not 1 <= len(adu.pdu) <= PDU_MAX_BYTES:
        raise ContentError("modbus.bad-length", bytes=len(adu.pdu))
    if not 0 <= adu.unit_id <= 255:
        raise ContentError("modbus.bad-unit", unit_id=adu.unit_id)
