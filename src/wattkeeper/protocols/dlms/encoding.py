"""A-XDR fragments, one function for each type, named as in IEC 62056-6-2 clause 4.1.5.

Integers out of range raise `ApduDamaged`, so that nothing is ever cut silently.
"""

import struct

from wattkeeper.protocols.dlms.errors import ApduDamaged

NULL = b"\x00"


def length(count: int) -> bytes:
    """Return the A-XDR length of `count` bytes or elements."""
    if count < 0x80:
        return bytes((count,))
    size = (count.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + count.to_bytes(size, "big")


def _number(form: str, tag: int, value: float) -> bytes:
    try:
        return struct.pack(form, tag, value)
    except struct.error:
        raise ApduDamaged("dlms.value-range", value=value, tag=tag) from None


def boolean(value: bool) -> bytes:
    """Tag 03."""
    return b"\x03\x01" if value else b"\x03\x00"


def double_long(value: int) -> bytes:
    """Tag 05, int32."""
    return _number(">Bi", 5, value)


def double_long_unsigned(value: int) -> bytes:
    """Tag 06, uint32."""
    return _number(">BI", 6, value)


def integer(value: int) -> bytes:
    """Tag 0F, int8."""
    return _number(">Bb", 15, value)


def long(value: int) -> bytes:
    """Tag 10, int16."""
    return _number(">Bh", 16, value)


def unsigned(value: int) -> bytes:
    """Tag 11, uint8."""
    return _number(">BB", 17, value)


def long_unsigned(value: int) -> bytes:
    """Tag 12, uint16."""
    return _number(">BH", 18, value)


def long64(value: int) -> bytes:
    """Tag 14, int64."""
    return _number(">Bq", 20, value)


def long64_unsigned(value: int) -> bytes:
    """Tag 15, uint64."""
    return _number(">BQ", 21, value)


def enum(value: int) -> bytes:
    """Tag 16, one byte."""
    return _number(">BB", 22, value)


def float64(value: float) -> bytes:
    """Tag 18, IEEE 754 double."""
    return _number(">Bd", 24, value)


def octet_string(octets: bytes) -> bytes:
    """Tag 09."""
    return b"\x09" + length(len(octets)) + octets


def visible_string(text: str) -> bytes:
    """Tag 0A."""
    octets = text.encode("latin-1", "replace")
    return b"\x0a" + length(len(octets)) + octets


def utf8_string(text: str) -> bytes:
    """Tag 0C."""
    octets = text.encode()
    return b"\x0c" + length(len(octets)) + octets


def bit_string(bit_count: int, value: int) -> bytes:
    """Tag 04; `value` holds the bits, first bit highest."""
    size = (bit_count + 7) // 8
    return b"\x04" + length(bit_count) + (value << (size * 8 - bit_count)).to_bytes(size, "big")


def array(*items: bytes) -> bytes:
    """Tag 01, of encoded items."""
    return b"\x01" + length(len(items)) + b"".join(items)


def structure(*items: bytes) -> bytes:
    """Tag 02, of encoded items."""
    return b"\x02" + length(len(items)) + b"".join(items)
