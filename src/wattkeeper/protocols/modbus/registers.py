"""Values in registers: whole numbers and floats, exact. Two bytes a register, big-endian inside a register.

`word_order` "big": the first register holds the high bits (ABCD); "little": the last one does (CDAB).
"""

import math
import struct
from decimal import Decimal
from enum import Enum

from wattkeeper.protocols.modbus.errors import ContentError


class WordOrder(Enum):
    """Which register of a value comes first."""

    BIG = "big"
    LITTLE = "little"


_FORMATS = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q", "f32": ">f"}
_SMALLEST_NORMAL = 2.0**-126
REGISTER_COUNTS = {kind: struct.calcsize(code) // 2 for kind, code in _FORMATS.items()}


def decode_value(kind: str, octets: bytes, order: WordOrder = WordOrder.BIG) -> Decimal:
    """
    Return the value of registers as type `kind` (u16, i16, u32, i32, u64, i64, f32).

    A float becomes the shortest decimal number that reads back as the same float.

    :raises ContentError: if the type is unknown, the length does not fit or a float is no number
    """
    _check_kind(kind)
    if len(octets) != 2 * REGISTER_COUNTS[kind]:
        raise ContentError("modbus.bad-length", bytes=len(octets), kind=kind)
    number: int | float = struct.unpack(_FORMATS[kind], _ordered(octets, order))[0]
    return shortest_decimal(number) if isinstance(number, float) else Decimal(number)


def encode_value(kind: str, value: Decimal | int, order: WordOrder = WordOrder.BIG) -> bytes:
    """
    Return the registers of `value` as type `kind`.

    :raises ContentError: if the type is unknown or the value does not fit
    """
    _check_kind(kind)
    if kind != "f32" and value != int(value):
        raise ContentError("modbus.out-of-range", value=str(value), kind=kind)
    try:
        octets = struct.pack(_FORMATS[kind], float(value) if kind == "f32" else int(value))
    except (struct.error, OverflowError) as error:
        raise ContentError("modbus.out-of-range", value=str(value), kind=kind) from error
    return _ordered(octets, order)


def shortest_decimal(number: float) -> Decimal:
    """
    Return the shortest decimal number that a 32-bit float reads back as `number`.

    :raises ContentError: if it is infinite or not a number
    """
    if not math.isfinite(number):
        raise ContentError("modbus.not-a-number")
    first = 6 if abs(number) >= _SMALLEST_NORMAL else 1  # six digits of a normal float never round
    for digits in range(first, 9):
        text = f"{number:.{digits}g}"
        if _single(float(text)) == number:
            return Decimal(text)
    return Decimal(f"{number:.9g}")


def _single(number: float) -> float:
    try:
        single: float = struct.unpack(">f", struct.pack(">f", number))[0]
    except OverflowError:
        return math.inf
    return single


def _ordered(octets: bytes, order: WordOrder) -> bytes:
    if order is WordOrder.BIG:
        return octets
    return b"".join(octets[i : i + 2] for i in range(len(octets) - 2, -1, -2))


def _check_kind(kind: str) -> None:
    if kind not in _FORMATS:
        raise ContentError("modbus.unknown-type", kind=kind)
