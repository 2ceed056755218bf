"""IEC 61968-9 messages (MeterReadings) to blocks of intervals.

A MeterReading has IntervalBlocks of IntervalReadings, and Readings of registers; a ReadingType is 18 numbers.
The time stamp of an interval reading is its end; where it has a time period, that is taken. What a reading
says besides (its reading type in full, quality codes) is kept in notes.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality_codes import Quality, decode_iec, encode_iec
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.channels import is_export
from wattkeeper.formats.espi import DIRECTIONS, UNITS
from wattkeeper.formats.intervals import IntervalCollector
from wattkeeper.formats.notes import NOTE_LENGTH_AT_MOST, pack_note, unpack_note
from wattkeeper.formats.xml_elements import Element, iter_elements

PERIODS_S = {
    "1": 600,
    "2": 900,
    "3": 60,
    "4": 86_400,
    "5": 1800,
    "6": 300,
    "7": 3600,
    "10": 120,
    "14": 180,
    "31": 1200,
}
COMMENT_START = "Wattkeeper details: "  # before what other formats say of a reading, as a note
OWN_DETAILS = ("iec.type", "iec.quality")
CHANNEL_NAME_TYPE = "channel"
DELTA, CUMULATIVE = "4", "3"
TYPE_LENGTH = 18
MEASURING_PERIOD, ACCUMULATION, DIRECTION, COMMODITY, KIND, MULTIPLIER, UNIT = 2, 3, 4, 5, 6, 15, 16
_NAME_LENGTH_AT_MOST = 64
_NO_QUALITY = "none"


class _Wrong(Exception):
    def __init__(self, line: int, code: str) -> None:
        self.line, self.code = line, code
        super().__init__(code)


class _Whose(NamedTuple):
    usage_point: str
    meter_serial: str
    channel: str


class ReadingKind(NamedTuple):
    """What of a ReadingType matters here. `interval_s` 0 where the type does not say."""

    text: str
    unit: str
    exponent: int
    interval_s: int
    direction: str


def read_iec61968(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of a message and an error for each reading left out.

    :raises FormatError: ``xml.doctype``, ``xml.too-deep``
    """
    errors = ErrorList()
    collector = IntervalCollector(errors)
    for element in iter_elements(source, frozenset({"MeterReading"}), errors):
        whose = _whose(element)
        for block in element.find_all("IntervalBlocks"):
            _take_block(block, whose, collector, errors)
        for reading in element.find_all("Readings"):
            kind = _reading_kind(reading.find("ReadingType"))
            _take(reading, kind, whose, collector, errors, is_register=True)
    blocks = collector.blocks("iec61968.reading-twice")
    if not blocks and not len(errors):
        errors.add(1, 0, "formats.no-intervals")
    return ParsedIntervals(blocks, errors.sorted())


def usual_type(channel: str, unit: str, interval_s: int) -> list[str]:
    """Return the 18 numbers of a reading type that nothing else is known of; multiplier and period are 0."""
    numbers = ["0"] * TYPE_LENGTH
    numbers[ACCUMULATION] = DELTA if interval_s else CUMULATIVE
    named = next((code for code, name in DIRECTIONS.items() if name == channel.lower()), None)
    numbers[DIRECTION] = named or ("19" if is_export(channel) else "1")
    numbers[COMMODITY] = "1"
    numbers[KIND] = "12" if unit in ("Wh", "varh", "VAh") else "0"
    numbers[UNIT] = next(code for code, name in UNITS.items() if name == unit)
    return numbers


def _whose(element: Element) -> _Whose:
    meter, point = element.find("Meter"), element.find("UsagePoint")
    serial = _name(meter)
    names = point.find_all("Names") if point else []
    channel = next(
        (one.text_of("name") for one in names if one.text_of("NameType", "name") == CHANNEL_NAME_TYPE), ""
    )
    return _Whose(_name(point) or serial, serial, channel)


def _name(element: Element | None) -> str:
    """Return the mRID of something, else its first name."""
    if element is None:
        return ""
    return element.text_of("mRID") or element.text_of("Names", "name")


def _take_block(block: Element, whose: _Whose, collector: IntervalCollector, errors: ErrorList) -> None:
    shared = block.find("ReadingType")
    for reading in block.find_all("IntervalReadings"):
        kind = _reading_kind(reading.find("ReadingType") or shared)
        _take(reading, kind, whose, collector, errors, is_register=False)


def _take(
    reading: Element,
    kind: ReadingKind | None,
    whose: _Whose,
    collector: IntervalCollector,
    errors: ErrorList,
    *,
    is_register: bool,
) -> None:
    try:
        if kind is None:
            raise _Wrong(reading.line, "iec61968.wrong-type")
        if not whose.usage_point or len(whose.usage_point) > _NAME_LENGTH_AT_MOST:
            raise _Wrong(reading.line, "csv.wrong-name")
        at_s, interval_s = _when(reading, 0 if is_register else kind.interval_s, is_register=is_register)
        channel = whose.channel or DIRECTIONS.get(kind.direction, f"direction-{kind.direction}")
        quality, note = _quality(reading)
        usual = usual_type(channel, kind.unit, interval_s)
        numbers = kind.text.split(".")
        usual[MEASURING_PERIOD], usual[MULTIPLIER] = numbers[MEASURING_PERIOD], numbers[MULTIPLIER]
        if usual != numbers:
            numbers[MULTIPLIER] = "0"
            note = {"iec.type": ".".join(numbers), **note}
        key = (whose.usage_point, whose.meter_serial, channel, kind.unit, interval_s)
        value = reading.text_of("value")
        collector.add(key, reading.line, at_s, value, kind.exponent, (quality, pack_note(note)))
    except _Wrong as wrong:
        errors.add(wrong.line, 0, wrong.code)


def _when(reading: Element, interval_s: int, *, is_register: bool) -> tuple[int, int]:
    """Return start and length of a reading; a register's length is 0."""
    start, end = reading.text_of("timePeriod", "start"), reading.text_of("timePeriod", "end")
    if start and end and not is_register:
        at_s, end_s = parse_instant(start), parse_instant(end)
        if at_s is None or end_s is None or end_s <= at_s:
            raise _Wrong(reading.line, "iec61968.wrong-time")
        return at_s, end_s - at_s
    stamp_s = parse_instant(reading.text_of("timeStamp"))
    if stamp_s is None:
        raise _Wrong(reading.line, "iec61968.wrong-time")
    if not interval_s and not is_register:
        raise _Wrong(reading.line, "iec61968.no-length")
    return stamp_s - interval_s, interval_s


def _quality(reading: Element) -> tuple[Quality, dict[str, str]]:
    found = [one.find("ReadingQualityType") for one in reading.find_all("ReadingQualities")]
    codes = tuple(one.attributes.get("ref", "") or one.text.strip() for one in found if one is not None)
    quality = decode_iec(codes)
    if quality is None:
        raise _Wrong(reading.line, "iec61968.quality-unknown")
    note = {} if codes == encode_iec(quality) else {"iec.quality": ",".join(codes) or _NO_QUALITY}
    comments = (one.text_of("comments") for one in reading.find_all("ReadingQualities"))
    others = next((text for text in comments if text.startswith(COMMENT_START)), "")
    others = others.removeprefix(COMMENT_START)
    if len(others) > NOTE_LENGTH_AT_MOST:
        raise _Wrong(reading.line, "csv.wrong-details")
    return quality, note | unpack_note(others)


@lru_cache(maxsize=1024)
def parse_type(text: str) -> ReadingKind | None:
    """Return what a reading type of 18 numbers says, None where it is none or its unit is unknown."""
    numbers = text.split(".")
    is_whole = all(number.removeprefix("-").isdecimal() and len(number) < 6 for number in numbers)
    if len(numbers) != TYPE_LENGTH or not is_whole or not text.isascii():
        return None
    unit = UNITS.get(numbers[UNIT])
    multiplier = int(numbers[MULTIPLIER])
    if unit is None or abs(multiplier) > 12:
        return None
    return ReadingKind(
        text, unit, multiplier + 3, PERIODS_S.get(numbers[MEASURING_PERIOD], 0), numbers[DIRECTION]
    )


def _reading_kind(element: Element | None) -> ReadingKind | None:
    if element is None:
        return None
    return parse_type(element.attributes.get("ref", "") or element.text_of("mRID") or element.text.strip())


@lru_cache(maxsize=100_000)
def parse_instant(text: str) -> int | None:
    """Return the UTC second of an ISO 8601 time with its offset, None where it is none."""
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else to_seconds(instant.astimezone(UTC))
    except (ValueError, OverflowError):
        return None
