"""Blocks of intervals to an IEC 61968-9 message: an EventMessage of MeterReadings."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_iec, encode_iec
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kinds_of, newest_end, to_texts
from wattkeeper.formats.channels import of_type
from wattkeeper.formats.csv_write import instants_of
from wattkeeper.formats.espi import UNITS
from wattkeeper.formats.iec61968 import (
    ACCUMULATION,
    CHANNEL_NAME_TYPE,
    COMMENT_START,
    MEASURING_PERIOD,
    MULTIPLIER,
    OWN_DETAILS,
    PERIODS_S,
    SUMMATION,
    codes_of,
    parse_type,
    usual_type,
)
from wattkeeper.formats.notes import pack_note, unpack_note
from wattkeeper.formats.units import written_unit

_PERIOD_CODES = {length: code for code, length in PERIODS_S.items()}
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<EventMessage xmlns="http://iec.ch/TC57/2011/schema/message">
<Header><Verb>created</Verb><Noun>MeterReadings</Noun><Revision>2.0</Revision><Timestamp>{created}</Timestamp>\
<Source>Wattkeeper</Source><MessageID>{uuid}</MessageID></Header>
<Payload><MeterReadings xmlns="http://iec.ch/TC57/2011/MeterReadings#">
"""
_TAIL = "</MeterReadings></Payload></EventMessage>\n"


def write_iec61968(
    blocks: Sequence[IntervalBlock], losses: LossList, *, created: str = ""
) -> Iterator[bytes]:
    """Yield a message, one MeterReading a block. Every quality has codes of its own; units may be a loss.

    Details of other formats stand in the comments of a reading's qualities. `created`: the end of the data
    unless given.
    """
    created = created or f"{newest_end(blocks):%Y-%m-%dT%H:%M:%SZ}"
    known = set(UNITS.values())
    yield _HEAD.format(created=created, uuid=uuid5(NAMESPACE_URL, created)).encode()
    for block in blocks:
        if block.unit in known:
            yield _write_block(block)
        else:
            losses.add("formats.unit-not-held", len(block.starts_at_s), unit=block.unit)
    yield _TAIL.encode()


def _write_block(block: IntervalBlock) -> bytes:
    exponent = written_unit(block.unit)[1]
    kinds, place = kinds_of(block)
    notes = [unpack_note(note) for _quality, note in kinds]
    types = [_type(block, note, exponent - 3) for note in notes]
    qualities = [_qualities(quality, note) for (quality, _text), note in zip(kinds, notes, strict=True)]
    values = to_texts(block.value_milli, exponent, block.step_milli)
    for row in np.flatnonzero(block.provenance == Provenance.MISSING).tolist():
        values[row] = "0"
    starts = instants_of(block)
    ends = np.datetime_as_string(
        (block.starts_at_s + block.interval_s).astype("datetime64[s]"), timezone="UTC"
    ).tolist()
    rows = list(zip([types[k] for k in place.tolist()], starts, ends, values, place.tolist(), strict=True))
    parts = []
    for ref, run in groupby(rows, key=lambda row: row[0]):
        readings = [_reading(block, *row[1:4], qualities[row[4]], ref) for row in run]
        if block.interval_s:
            parts.append(
                f"<IntervalBlocks>\n{''.join(readings)}<ReadingType ref={quoteattr(ref)}/></IntervalBlocks>\n"
            )
        else:
            parts.extend(readings)
    return f"<MeterReading>\n{''.join(parts)}{_names(block)}</MeterReading>\n".encode()


def _reading(block: IntervalBlock, start: str, end: str, value: str, qualities: str, ref: str) -> str:
    if not block.interval_s:
        stamp = f"<timeStamp>{start}</timeStamp><value>{value}</value>"
        return f"<Readings>{qualities}{stamp}<ReadingType ref={quoteattr(ref)}/></Readings>\n"
    is_told = block.interval_s in _PERIOD_CODES and ref.split(".")[ACCUMULATION] != SUMMATION
    period = "" if is_told else f"<timePeriod><end>{end}</end><start>{start}</start></timePeriod>"
    stamp = f"<timeStamp>{end}</timeStamp><value>{value}</value>"
    return f"<IntervalReadings>{qualities}{period}{stamp}</IntervalReadings>\n"


def _qualities(quality: Quality, note: dict[str, str]) -> str:
    """Return the quality codes: as they came where they still say the same."""
    text = note.get("iec.quality", "")
    codes = tuple(code for code in text.split(",") if "." in code)
    held = codes if text and decode_iec(codes) == quality else encode_iec(quality)
    refs = [f"<ReadingQualityType ref={quoteattr(code)}/>" for code in held]
    others = pack_note({name: text for name, text in note.items() if name not in OWN_DETAILS})
    if others:
        refs[:1] = [f"<comments>{COMMENT_START}{escape(others)}</comments>{''.join(refs[:1])}"]
    return "".join(f"<ReadingQualities>{ref}</ReadingQualities>" for ref in refs)


def _type(block: IntervalBlock, note: dict[str, str], multiplier: int) -> str:
    numbers = note.get("iec.type", "").split(".")
    known = parse_type(".".join(numbers))  # one that says another unit or length is not this block's
    is_length = not block.interval_s or (known is not None and known.interval_s in (0, block.interval_s))
    is_moment = not block.interval_s
    is_register = known is not None and known.is_register(is_moment=is_moment, has_period=not is_moment)
    codes = codes_of(numbers, is_register=is_moment) if known else {}
    is_channel = of_type(block.channel, block.unit, **codes) == block.channel
    is_unit = known is not None and known.unit == block.unit
    if not is_unit or not is_channel or not is_length or is_register != is_moment:
        numbers = usual_type(block.channel, block.unit, block.interval_s)
        numbers[MEASURING_PERIOD] = _PERIOD_CODES.get(block.interval_s, numbers[MEASURING_PERIOD])
    numbers[MULTIPLIER] = str(multiplier)
    return ".".join(numbers)


def _names(block: IntervalBlock) -> str:
    name_type = f"<NameType><name>{CHANNEL_NAME_TYPE}</name></NameType>"
    names = f"<Names><name>{escape(block.channel)}</name>{name_type}</Names>"
    meter = f"<Meter><mRID>{escape(block.meter_serial)}</mRID></Meter>\n" if block.meter_serial else ""
    return f"{meter}<UsagePoint><mRID>{escape(block.usage_point)}</mRID>{names}</UsagePoint>\n"
