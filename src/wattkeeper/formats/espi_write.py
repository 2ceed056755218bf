"""Blocks of intervals to a Green Button file (NAESB REQ.21 ESPI 4.0: Atom and XML)."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_espi, encode_espi
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kinds_of, newest_end, note_folding
from wattkeeper.formats.channels import of_type
from wattkeeper.formats.espi import (
    AMOUNTS,
    GENERATOR,
    NAMED_BY,
    READING_FIELDS,
    REGISTER_BEHAVIOURS,
    TYPE_FIELDS,
    UNITS,
    codes_of,
    default_type,
)
from wattkeeper.formats.notes import unpack_note
from wattkeeper.formats.quality_words import words_of

_CODES = {unit: code for code, unit in UNITS.items()}
_ORDER = (
    "accumulationBehaviour",
    "commodity",
    "consumptionTier",
    "currency",
    "dataQualifier",
    "flowDirection",
    "intervalLength",
    "kind",
    "phase",
    "powerOfTenMultiplier",
    "timeAttribute",
    "tou",
    "uom",
    "cpp",
    "measuringPeriod",
)
_BLOCK_COUNT = 1000
_STEP_POWERS = (0, 1, 2, 3, 4, 5, 6, 9)  # those less 3 are UnitMultiplierKind's: milli to mega
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:espi="http://naesb.org/espi">
<id>urn:uuid:{uuid}</id>
<title>Green Button feed</title>
<updated>{updated}</updated>
<generator>{generator}</generator>
"""


def write_espi(blocks: Sequence[IntervalBlock], losses: LossList, *, updated: str = "") -> Iterator[bytes]:
    """Yield a feed: one MeterReading a block and type of reading. Missing intervals are left out.

    What ESPI can't hold goes to `losses`: units, what is known of missing intervals. A quality that its codes
    do not say is in an extension beside them. `updated`: the end of the data unless given.
    """
    updated = updated or f"{newest_end(blocks):%Y-%m-%dT%H:%M:%SZ}"
    yield _HEAD.format(uuid=uuid5(NAMESPACE_URL, "feed"), updated=updated, generator=GENERATOR).encode()
    points: set[str] = set()
    types: dict[tuple[tuple[str, str], ...], str] = {}
    for number, block in enumerate(blocks, 1):
        if block.unit not in _CODES:
            losses.add("formats.unit-not-held", len(block.starts_at_s), unit=block.unit)
            continue
        point = f"/espi/1_1/resource/RetailCustomer/1/UsagePoint/{quote(block.usage_point, safe='')}"
        if point not in points:
            points.add(point)
            content = "<UsagePoint xmlns='http://naesb.org/espi'><ServiceCategory><kind>0</kind></ServiceCategory></UsagePoint>"
            yield _entry(point, [f"{point}/MeterReading"], block.usage_point, content, updated)
        yield from _write_block(block, point, number, types, losses, updated)
    yield b"</feed>\n"


def _write_block(
    block: IntervalBlock,
    point: str,
    number: int,
    types: dict[tuple[tuple[str, str], ...], str],
    losses: LossList,
    updated: str,
) -> Iterator[bytes]:
    kinds, place = kinds_of(block)
    notes = [unpack_note(note) for _quality, note in kinds]
    counts = np.bincount(place, minlength=len(kinds)).tolist()
    codes = [_quality_codes(quality, note) for (quality, _text), note in zip(kinds, notes, strict=True)]
    for (quality, _note), count in zip(kinds, counts, strict=True):
        if quality.provenance is Provenance.MISSING:
            note_folding(losses, quality, Quality(Provenance.MISSING), count)
    said = [_said(quality, held) for (quality, _note), held in zip(kinds, codes, strict=True)]
    exponent = _exponent(block)
    values = (block.value_milli // 10**exponent).tolist()
    kind_of_type = [_type_fields(block, note, exponent) for note in notes]
    rows = [
        (kind_of_type[k], at_s, value, k)
        for at_s, value, k in zip(block.starts_at_s.tolist(), values, place.tolist(), strict=True)
        if kinds[k][0].provenance is not Provenance.MISSING
    ]
    channel = quote(block.channel, safe="")
    for part, (fields, run) in enumerate(groupby(rows, key=lambda row: row[0])):
        reading = f"{point}/MeterReading/{channel}:{number}-{part}"
        if fields not in types:
            types[fields] = f"/espi/1_1/resource/ReadingType/{len(types) + 1}"
            yield _entry(types[fields], [], "", _type_content(fields), updated)
        content = "<MeterReading xmlns='http://naesb.org/espi'/>"
        yield _entry(
            reading, [f"{reading}/IntervalBlock", types[fields]], block.meter_serial, content, updated
        )
        readings = list(run)
        for first in range(0, len(readings), _BLOCK_COUNT):
            some = readings[first : first + _BLOCK_COUNT]
            texts = [_reading(block, at_s, value, said[k], notes[k]) for _fields, at_s, value, k in some]
            content = _block_content(some[0][1], some[-1][1] + block.interval_s, texts)
            yield _entry(f"{reading}/IntervalBlock/{first}", [], "", content, updated)


def _quality_codes(quality: Quality, note: dict[str, str]) -> tuple[int, ...]:
    """Return the QualityOfReading codes: as they came where they still say the same."""
    text = note.get("espi.quality", "")
    codes = tuple(int(code) for code in text.split(",") if code.isdecimal())
    return codes if text and decode_espi(codes) == quality else encode_espi(quality)


def _said(quality: Quality, codes: tuple[int, ...]) -> str:
    """Return the quality as codes, in words too where they say less."""
    words = "" if decode_espi(codes) == quality else f"<extension>{words_of(quality)}</extension>"
    return "".join(
        f"<ReadingQuality>{words if place == 0 else ''}<quality>{code}</quality></ReadingQuality>"
        for place, code in enumerate(codes)
    )


def _exponent(block: IntervalBlock) -> int:
    """Return the power of ten that values count in thousandths: of a register what its last digit counts."""
    own = int(np.gcd.reduce(block.value_milli, initial=block.step_milli or 1000))
    return max(power for power in (_STEP_POWERS if block.step_milli else (0, 3)) if own % 10**power == 0)


def _type_fields(block: IntervalBlock, note: dict[str, str], exponent: int) -> tuple[tuple[str, str], ...]:
    usual = default_type(block.channel, block.unit, block.interval_s)
    fields = usual | {name: note[f"espi.{name}"] for name in TYPE_FIELDS if f"espi.{name}" in note}
    is_register = fields["accumulationBehaviour"] in REGISTER_BEHAVIOURS
    if is_register if block.interval_s else not is_register and block.unit in AMOUNTS:
        fields["accumulationBehaviour"] = usual["accumulationBehaviour"]  # the note is of other values
    codes = codes_of(fields, is_register=not block.interval_s)
    if of_type(block.channel, block.unit, **codes) != block.channel:  # and of another channel
        fields = {name: text for name, text in fields.items() if name not in NAMED_BY} | usual
    fields["uom"] = _CODES[block.unit]
    fields["powerOfTenMultiplier"] = str(exponent - 3)
    if block.interval_s:
        fields["intervalLength"] = str(block.interval_s)
    return tuple((name, fields[name]) for name in _ORDER if name in fields)


def _type_content(fields: tuple[tuple[str, str], ...]) -> str:
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields)
    return f"<ReadingType xmlns='http://naesb.org/espi'>{inner}</ReadingType>"


def _block_content(start_s: int, end_s: int, readings: Sequence[str]) -> str:
    interval = f"<interval><duration>{end_s - start_s}</duration><start>{start_s}</start></interval>"
    inner = "\n".join(readings)
    return f"<IntervalBlock xmlns='http://naesb.org/espi'>{interval}\n{inner}\n</IntervalBlock>"


def _reading(block: IntervalBlock, at_s: int, value: int, quality: str, note: dict[str, str]) -> str:
    more = {name: note.get(f"espi.reading.{name}", "") for name in READING_FIELDS}
    cost = f"<cost>{escape(more['cost'])}</cost>" if more["cost"] else ""
    duration = block.interval_s or note.get("espi.duration", "0")
    start = note.get("espi.start", at_s)
    period = f"<timePeriod><duration>{duration}</duration><start>{start}</start></timePeriod>"
    rest = "".join(f"<{name}>{escape(more[name])}</{name}>" for name in READING_FIELDS[1:] if more[name])
    return f"<IntervalReading>{cost}{quality}{period}<value>{value}</value>{rest}</IntervalReading>"


def _entry(own: str, related: Sequence[str], title: str, content: str, updated: str) -> bytes:
    links = f'<link rel="self" href="{escape(own)}"/><link rel="up" href="{escape(own.rpartition("/")[0])}"/>'
    links += "".join(f'<link rel="related" href="{escape(href)}"/>' for href in related)
    head = f"<entry><id>urn:uuid:{uuid5(NAMESPACE_URL, own)}</id>{links}<title>{escape(title)}</title>"
    tail = f"<published>{updated}</published><updated>{updated}</updated></entry>"
    return f"{head}\n<content>{content}</content>\n{tail}\n".encode()
