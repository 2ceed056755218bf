"""Load records as DL/T 645-2007 annex B lays them out, decoded and encoded.

    A0 A0 | length | mm hh DD MM YY | class 1 (17) AA | class 2 (24) AA | class 3 (8) AA | class 4 (16) AA
          | class 5 (16) AA | class 6 (6) AA | checksum | E5

A class that is not recorded is empty: only its AA stands. `length` counts the time and the classes with their
AAs; the checksum is the sum from the first A0 to the last AA, modulo 256. E0 E0 instead of A0 A0 marks a
block the meter knows to be wrong. Values are BCD, low byte first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wattkeeper.protocols.dlt645.bcd import (
    LocalTime,
    decode_bcd,
    decode_minute,
    encode_bcd,
    encode_minute,
    is_absent,
)
from wattkeeper.protocols.dlt645.errors import ContentError


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a class: the data identifier that names it, its size and whether the top bit is a sign."""

    di: str
    size_bytes: int
    is_signed: bool = False


CLASSES: dict[int, tuple[Field, ...]] = {
    1: (
        *(Field(f"02010{n}00", 2) for n in (1, 2, 3)),
        *(Field(f"02020{n}00", 3, is_signed=True) for n in (1, 2, 3)),
        Field("02800002", 2),
    ),
    2: tuple(Field(f"020{q}0{n}00", 3, is_signed=True) for q in (3, 4) for n in (0, 1, 2, 3)),
    3: tuple(Field(f"02060{n}00", 2, is_signed=True) for n in (0, 1, 2, 3)),
    4: (
        Field("00010000", 4),
        Field("00020000", 4),
        Field("00030000", 4, is_signed=True),
        Field("00040000", 4, is_signed=True),
    ),
    5: tuple(Field(f"000{q}0000", 4) for q in (5, 6, 7, 8)),
    6: (Field("02800004", 3), Field("02800005", 3)),
}
CLASS_BYTES = {number: sum(f.size_bytes for f in fields) for number, fields in CLASSES.items()}

_GOOD = b"\xa0\xa0"
_WRONG = b"\xe0\xe0"
_SEPARATOR = b"\xaa"
_END = 0xE5
_FRAMING_BYTES = 5


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One record. `values`: counts of the last decimal by data identifier, None where the meter has FF.

    `is_wrong`: the meter itself marks the block as not correct.
    """

    time: LocalTime
    values: Mapping[str, int | None] = field(default_factory=dict)
    is_wrong: bool = False


def decode_records(octets: bytes) -> list[LoadRecord]:
    """
    Return the records in the data field of an answer, after its data identifier.

    :raises ContentError: if a record is not as annex B says
    """
    records: list[LoadRecord] = []
    while octets:
        record, used_bytes = _decode_record(octets)
        records.append(record)
        octets = octets[used_bytes:]
    return records


def _decode_record(octets: bytes) -> tuple[LoadRecord, int]:
    if octets[:2] not in (_GOOD, _WRONG):
        raise ContentError("dlt645.record-no-start", hex=octets[:2].hex())
    total = _FRAMING_BYTES + (octets[2] if len(octets) > 2 else 0)
    if len(octets) < total or total < _FRAMING_BYTES + 5:
        raise ContentError("dlt645.record-short", bytes=len(octets))
    if octets[total - 1] != _END:
        raise ContentError("dlt645.record-no-end", byte=octets[total - 1])
    if sum(octets[: total - 2]) & 0xFF != octets[total - 2]:
        raise ContentError("dlt645.record-checksum", found=octets[total - 2])
    values = _decode_classes(octets[8 : total - 2])
    return LoadRecord(decode_minute(octets[3:8]), values, octets[:2] == _WRONG), total


def _decode_classes(octets: bytes) -> dict[str, int | None]:
    parts = octets.split(_SEPARATOR)  # no decimal digit, sign or FF makes an AA
    if len(parts) != len(CLASSES) + 1 or parts[-1]:
        raise ContentError("dlt645.record-separators", count=len(parts) - 1)
    values: dict[str, int | None] = {}
    for (number, size), part in zip(CLASS_BYTES.items(), parts, strict=False):
        if part and len(part) != size:
            raise ContentError("dlt645.record-class", number=number, bytes=len(part))
        if part:
            values |= _decode_class(CLASSES[number], part)
    return values


def _decode_class(fields: tuple[Field, ...], octets: bytes) -> dict[str, int | None]:
    values: dict[str, int | None] = {}
    position = 0
    for item in fields:
        part = octets[position : position + item.size_bytes]
        values[item.di] = None if is_absent(part) else decode_bcd(part, is_signed=item.is_signed)
        position += item.size_bytes
    return values


def encode_record(record: LoadRecord) -> bytes:
    """
    Return one record; a class is written if any of its values is given, missing ones as FF.

    :raises ContentError: if a value does not fit or belongs to no class
    """
    unknown = set(record.values) - {f.di for fields in CLASSES.values() for f in fields}
    if unknown:
        raise ContentError("dlt645.record-unknown", di=min(unknown))
    body = encode_minute(record.time)
    for fields in CLASSES.values():
        if any(f.di in record.values for f in fields):
            body += b"".join(_encode_value(f, record.values.get(f.di)) for f in fields)
        body += _SEPARATOR
    head = (_WRONG if record.is_wrong else _GOOD) + bytes((len(body),)) + body
    return head + bytes((sum(head) & 0xFF, _END))


def _encode_value(item: Field, value: int | None) -> bytes:
    if value is None:
        return b"\xff" * item.size_bytes
    return encode_bcd(value, item.size_bytes, is_signed=item.is_signed)
