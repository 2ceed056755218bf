"""A load profile as a log of files read with function 20, one file a day.

File number = 1 + days since 2020-01-01 (UTC). Slot k of the day (k = second of the day // interval) begins at
record 4 k and takes four registers, high word first:

    u32 register counts | u16 status (0: no record, 1: valid, 3: valid, clock was set) | u16 0

The counts are the register's position at the slot's instant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wattkeeper.protocols.modbus.errors import ContentError
from wattkeeper.protocols.modbus.pdu import FileSpan

DAY_S = 86_400
FIRST_DAY_S = 1_577_836_800  # 2020-01-01T00:00Z
SLOT_REGISTERS = 4
SLOT_BYTES = 2 * SLOT_REGISTERS
SLOTS_MAX = 30  # one answer holds 121 registers of one span
VALID = 1
CLOCK_SET = 2


@dataclass(frozen=True, slots=True)
class LogSlot:
    """One slot: `counts` of the register at `stamp_s` (UTC seconds); `status`: VALID, CLOCK_SET bits."""

    stamp_s: int
    counts: int
    status: int = VALID


def spans_of(from_s: int, to_s: int, interval_s: int) -> list[FileSpan]:
    """
    Return the spans to read for the slots with from_s <= instant < to_s, at most `SLOTS_MAX` slots each.

    :raises ContentError: if the interval does not divide a day, or the span begins before 2020
    """
    _check_interval(interval_s)
    if from_s < FIRST_DAY_S:
        raise ContentError("modbus.before-log", from_s=from_s)
    spans: list[FileSpan] = []
    stamp_s = -(-from_s // interval_s) * interval_s
    while stamp_s < to_s:
        day, in_day_s = divmod(stamp_s - FIRST_DAY_S, DAY_S)
        end_s = min(to_s, stamp_s - in_day_s + DAY_S)
        count = min(SLOTS_MAX, -(-(end_s - stamp_s) // interval_s))
        spans.append(FileSpan(1 + day, in_day_s // interval_s * SLOT_REGISTERS, count * SLOT_REGISTERS))
        stamp_s += count * interval_s
    return spans


def span_start_s(span: FileSpan, interval_s: int) -> int:
    """
    Return the instant (UTC seconds) of the first slot of `span`.

    :raises ContentError: if the interval does not divide a day or the span does not begin on a slot
    """
    _check_interval(interval_s)
    if span.record_index % SLOT_REGISTERS or span.count % SLOT_REGISTERS or span.file_id < 1:
        raise ContentError("modbus.not-a-slot", record=span.record_index, count=span.count)
    return FIRST_DAY_S + (span.file_id - 1) * DAY_S + span.record_index // SLOT_REGISTERS * interval_s


def decode_slots(span: FileSpan, octets: bytes, interval_s: int) -> list[LogSlot]:
    """
    Return the slots that hold a record, of the registers of `span`.

    :raises ContentError: if the length is not that of the span
    """
    start_s = span_start_s(span, interval_s)
    if len(octets) != 2 * span.count:
        raise ContentError("modbus.bad-length", bytes=len(octets), expected=2 * span.count)
    slots: list[LogSlot] = []
    for index in range(span.count // SLOT_REGISTERS):
        part = octets[index * SLOT_BYTES : (index + 1) * SLOT_BYTES]
        counts, status = int.from_bytes(part[:4], "big"), int.from_bytes(part[4:6], "big")
        if status & VALID:
            slots.append(LogSlot(start_s + index * interval_s, counts, status))
    return slots


def encode_slots(slots: Sequence[LogSlot | None]) -> bytes:
    """
    Return the registers of consecutive slots; None is "no record".

    :raises ContentError: if the counts do not fit in 32 bits
    """
    return b"".join(_encode_slot(slot) for slot in slots)


def _encode_slot(slot: LogSlot | None) -> bytes:
    if slot is None:
        return bytes(SLOT_BYTES)
    if not 0 <= slot.counts < 2**32:
        raise ContentError("modbus.out-of-range", value=slot.counts)
    return slot.counts.to_bytes(4, "big") + slot.status.to_bytes(2, "big") + b"\0\0"


def _check_interval(interval_s: int) -> None:
    if interval_s <= 0 or DAY_S % interval_s or DAY_S // interval_s * SLOT_REGISTERS > 10_000:
        raise ContentError("modbus.bad-interval", interval_s=interval_s)
