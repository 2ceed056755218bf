"""A-XDR data (IEC 62056-6-2 clause 4.1.5, encoding IEC 61334-6): tagged values <-> Python values.

    tag (1) | value          fixed types
    tag (1) | length | value  octet string 09, text 0A/0C, bit string 04
    tag (1) | count | items   array 01, structure 02

Decoded values are plain: None, bool, int, float, bytes, str, `BitString`, list. Encoding functions are named
as in the standard and return encoded fragments, so a structure is ``structure(unsigned(1), enum(27))``.
"""

import struct
from typing import NamedTuple, TypeAlias

from wattkeeper.protocols.dlms.errors import ApduDamaged

MAX_BYTES = 65_536
MAX_DEPTH = 16


class BitString(NamedTuple):
    """`value` holds the bits, first bit highest."""

    bit_count: int
    value: int


Value: TypeAlias = "bool | int | float | bytes | str | BitString | list[Value] | None"

_FIXED = {
    3: struct.Struct(">?"),
    5: struct.Struct(">i"),
    6: struct.Struct(">I"),
    13: struct.Struct(">B"),
    15: struct.Struct(">b"),
    16: struct.Struct(">h"),
    17: struct.Struct(">B"),
    18: struct.Struct(">H"),
    20: struct.Struct(">q"),
    21: struct.Struct(">Q"),
    22: struct.Struct(">B"),
    23: struct.Struct(">f"),
    24: struct.Struct(">d"),
    25: struct.Struct(">12s"),
    26: struct.Struct(">5s"),
    27: struct.Struct(">4s"),
}
_FIXED_GET = {tag: (form.unpack_from, form.size + 1) for tag, form in _FIXED.items()}


def decode(data: bytes) -> Value:
    """
    Return the one value that `data` holds from its first to its last byte.

    :raises ApduDamaged: if it holds less, more, or breaks a bound
    """
    value, end = decode_from(data, 0)
    if end != len(data):
        raise ApduDamaged("dlms.data-left-over", byte_count=len(data) - end)
    return value


def decode_from(data: bytes, at: int) -> tuple[Value, int]:
    """
    Return the value that starts at byte `at` and the index of the byte after it.

    :raises ApduDamaged: if it is cut, has an unknown tag or breaks a bound
    """
    if len(data) - at > MAX_BYTES:
        raise ApduDamaged("dlms.data-too-long", byte_count=len(data) - at)
    try:
        return _item(data, at, 0)
    except (IndexError, struct.error):
        raise ApduDamaged("dlms.data-cut") from None


def decode_length(data: bytes, at: int) -> tuple[int, int]:
    """
    Return the A-XDR (and BER definite) length at byte `at` and the index after it.

    :raises ApduDamaged: if it is cut or needs more than four bytes
    """
    try:
        first = data[at]
        if first < 0x80:
            return first, at + 1
        size = first & 0x7F
        end = at + 1 + size
        if not 0 < size <= 4:
            raise ApduDamaged("dlms.bad-length", first=first)
        if end > len(data):
            raise ApduDamaged("dlms.data-cut")
        return int.from_bytes(data[at + 1 : end], "big"), end
    except IndexError:
        raise ApduDamaged("dlms.data-cut") from None


def take_octets(data: bytes, at: int) -> tuple[bytes, int]:
    """
    Return the octets behind a length at byte `at`, without a tag, and the index after them.

    :raises ApduDamaged: if they are cut
    """
    length, at = decode_length(data, at)
    end = at + length
    if end > len(data):
        raise ApduDamaged("dlms.data-cut")
    return data[at:end], end


def _item(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    tag = data[at]
    fixed = _FIXED_GET.get(tag)
    if fixed is not None:
        return fixed[0](data, at + 1)[0], at + fixed[1]
    if tag <= 2:
        return _items(data, at, depth) if tag else (None, at + 1)
    return _compact_array(data, at + 1, depth) if tag == 19 else _sized(tag, data, at + 1)


def _sized(tag: int, data: bytes, at: int) -> tuple[Value, int]:
    """Return the value of a type that begins with its length."""
    if tag == 9:
        return take_octets(data, at)
    if tag == 10:
        octets, at = take_octets(data, at)
        return octets.decode("latin-1"), at
    if tag == 12:
        return _utf8(data, at)
    if tag == 4:
        return _bits(data, at)
    raise ApduDamaged("dlms.data-tag", tag=tag)


def _items(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    count = data[at + 1]
    at += 2
    if count >= 0x80:
        count, at = decode_length(data, at - 1)
    if count > len(data) - at:
        raise ApduDamaged("dlms.data-cut")
    if depth >= MAX_DEPTH:
        raise ApduDamaged("dlms.data-too-deep")
    items: list[Value] = []
    depth += 1
    append, fixed_get, byte_count = items.append, _FIXED_GET.get, len(data)
    for _ in range(count):  # the commonest items in place: calling `_item` for each costs half the speed
        tag = data[at]
        fixed = fixed_get(tag)
        if fixed is not None:
            append(fixed[0](data, at + 1)[0])
            at += fixed[1]
        elif tag == 9 and data[at + 1] < 0x80 and at + 2 + data[at + 1] <= byte_count:
            start, at = at + 2, at + 2 + data[at + 1]
            append(data[start:at])
        else:
            value, at = _item(data, at, depth)
            append(value)
    return items, at


def _utf8(data: bytes, at: int) -> tuple[str, int]:
    octets, at = take_octets(data, at)
    try:
        return octets.decode(), at
    except UnicodeDecodeError:
        raise ApduDamaged("dlms.data-text") from None


def _bits(data: bytes, at: int) -> tuple[BitString, int]:
    count, at = decode_length(data, at)
    size = (count + 7) // 8
    if size > len(data) - at:
        raise ApduDamaged("dlms.data-cut")
    value = int.from_bytes(data[at : at + size], "big") >> (size * 8 - count)
    return BitString(count, value), at + size


# A compact array (tag 13) says the type once and then packs the contents without tags. Types without contents
# (null, empty structures) are not taken: a few bytes could ask for millions of elements.


def _compact_array(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    shape_end = _skip_shape(data, at, depth)
    contents, end = take_octets(data, shape_end)
    items: list[Value] = []
    inner = 0
    while inner < len(contents):
        value, inner = _shaped(data, at, contents, inner)
        items.append(value)
    return items, end


def _skip_shape(shape: bytes, at: int, depth: int) -> int:
    """Return the index after the type description at `at`; checks it on the way."""
    if depth >= MAX_DEPTH:
        raise ApduDamaged("dlms.data-too-deep")
    tag = shape[at]
    if tag == 1:
        if not shape[at + 1] | shape[at + 2]:
            raise ApduDamaged("dlms.bad-length", first=0)
        return _skip_shape(shape, at + 3, depth + 1)
    if tag == 2:
        count = shape[at + 1]
        if not 0 < count < 0x80:
            raise ApduDamaged("dlms.bad-length", first=count)
        at += 2
        for _ in range(count):
            at = _skip_shape(shape, at, depth + 1)
        return at
    if tag not in (4, 9, 10, 12) and tag not in _FIXED:
        raise ApduDamaged("dlms.data-tag", tag=tag)
    return at + 1


def _shaped(shape: bytes, at: int, data: bytes, where: int) -> tuple[Value, int]:
    """Return one element of a compact array and the index after it in its contents."""
    tag = shape[at]
    fixed = _FIXED_GET.get(tag)
    if fixed is not None:
        return fixed[0](data, where)[0], where + fixed[1] - 1
    if tag > 2:
        return _sized(tag, data, where)
    items: list[Value] = []
    count = shape[at + 1] if tag == 2 else shape[at + 1] << 8 | shape[at + 2]
    at += 2 if tag == 2 else 3
    for _ in range(count):
        value, where = _shaped(shape, at, data, where)
        items.append(value)
        at = _skip_shape(shape, at, 0) if tag == 2 else at
    return items, where
