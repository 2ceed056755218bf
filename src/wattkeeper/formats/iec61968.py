"""IEC 61968-9 messages (MeterReadings) to blocks of intervals.

A MeterReading has IntervalBlocks of IntervalReadings, and Readings of registers; a ReadingType is 18 numbers.
Whether a value is a register's or an interval's its type says, wherever it stands; only where that says
neither does its place. A sum over a time pattern in a block of intervals is of the time period that it has,
where both ends are told, and what a register shows where they are not. The time stamp of an interval reading
is its end; where it has a time period, that is taken. What a reading says besides (its reading type in full,
quality codes) is kept in notes.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, NamedTuple

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality_codes import Quality, decode_iec, encode_iec
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.channels import (
    is_export,
    of_phase,
    of_rate,
    of_type,
    phase_of,
    said_of,
    split_rate,
)
from wattkeeper.formats.espi import DIRECTIONS, REGISTER_BEHAVIOURS, UNITS
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
DELTA, CUMULATIVE, SUMMATION = "4", "3", "9"
TYPE_LENGTH = 18
AGGREGATE, MEASURING_PERIOD, ACCUMULATION, DIRECTION, COMMODITY, KIND, HARMONIC = range(1, 8)
TOU, CPP, TIER, PHASES, MULTIPLIER, UNIT = range(11, 17)
_WANTED = frozenset({"MeterReading", "IntervalBlocks", "IntervalReadings", "Readings"})
_NO_QUALITY = "none"


class _Wrong(Exception):
    def __init__(self, line: int, code: str) -> None:
        self.line, self.code = line, code
        super().__init__(code)


class _Whose(NamedTuple):
    usage_point: str
    meter_serial: str
    channel: str


class _Reading(NamedTuple):
    """What a reading says. `type_text` is empty where its block says the type."""

    line: int
    type_text: str
    start: str
    end: str
    stamp: str
    value: str
    codes: tuple[str, ...]
    details: str


class ReadingKind(NamedTuple):
    """What of a ReadingType matters here. `interval_s` 0 where the type does not say."""

    text: str
    unit: str
    exponent: int
    interval_s: int
    direction: str
    accumulation: str

    def is_register(self, *, is_moment: bool, has_period: bool) -> bool:
        """Whether a value is what a register shows; `is_moment`: it stands among readings of instants."""
        if self.accumulation == SUMMATION and has_period and not is_moment:
            return False
        return self.accumulation in REGISTER_BEHAVIOURS or (is_moment and self.accumulation != DELTA)


def read_iec61968(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of a message and an error for each reading left out.

    :raises FormatError: ``xml.*`` for what could reach outside of the file or fill the memory
    """
    errors = ErrorList()
    collector = IntervalCollector(errors)
    of_block: list[_Reading] = []
    intervals: list[_Reading] = []
    moments: list[_Reading] = []
    for element in iter_elements(source, _WANTED, errors):
        if element.name == "IntervalReadings":
            of_block.append(_reading(element))
        elif element.name == "Readings":
            moments.append(_reading(element))
        else:
            shared = _type_text(element)
            intervals += [one if one.type_text else one._replace(type_text=shared) for one in of_block]
            of_block = []
        if element.name == "MeterReading":
            whose = _whose(element)
            for one in intervals:
                _take(one, whose, collector, errors, is_moment=False)
            for one in moments:
                _take(one, whose, collector, errors, is_moment=True)
            intervals, moments = [], []
    blocks = collector.blocks("iec61968.reading-twice")
    if not blocks and not len(errors):
        errors.add(1, 0, "formats.no-intervals")
    return ParsedIntervals(blocks, errors.sorted())


def usual_type(channel: str, unit: str, interval_s: int) -> list[str]:
    """Return the 18 numbers of a reading type that nothing else is known of; the multiplier is 0."""
    numbers = ["0"] * TYPE_LENGTH
    numbers[ACCUMULATION] = DELTA if interval_s else CUMULATIVE
    named = next((code for code, name in DIRECTIONS.items() if name == channel.lower()), None)
    numbers[DIRECTION] = named or ("19" if is_export(channel) else "1")
    numbers[COMMODITY] = said_of(channel, "commodity") or "1"
    numbers[AGGREGATE] = said_of(channel, "statistic") or "0"
    numbers[MEASURING_PERIOD] = said_of(channel, "period") or "0"
    numbers[TOU], numbers[PHASES] = split_rate(channel)[1] or "0", phase_of(channel) or "0"
    numbers[KIND] = said_of(channel, "kind") or ("12" if unit in ("Wh", "varh", "VAh") else "0")
    numbers[UNIT] = next(code for code, name in UNITS.items() if name == unit)
    return numbers


def _whose(element: Element) -> _Whose:
    serial, _none = _names(element.find("Meter"))
    point, channel = _names(element.find("UsagePoint"))
    return _Whose(point or serial, serial, channel)


def _names(element: Element | None) -> tuple[str, str]:
    """Return what something is called, by its mRID or else its first name, and its channel's name."""
    if element is None:
        return "", ""
    own = [element.text_of("mRID")]
    channels: list[str] = []
    for one in element.find_all("Names"):
        is_channel = one.text_of("NameType", "name") == CHANNEL_NAME_TYPE
        (channels if is_channel else own).append(one.text_of("name"))
    return next(filter(None, own), ""), next(iter(channels), "")


def _reading(element: Element) -> _Reading:
    qualities = element.find_all("ReadingQualities")
    types = [one.find("ReadingQualityType") for one in qualities]
    comments = (one.text_of("comments") for one in qualities)
    return _Reading(
        element.line,
        _type_text(element),
        element.text_of("timePeriod", "start"),
        element.text_of("timePeriod", "end"),
        element.text_of("timeStamp"),
        element.text_of("value"),
        tuple(one.attributes.get("ref", "") or one.text.strip() for one in types if one is not None),
        next((text for text in comments if text.startswith(COMMENT_START)), ""),
    )


def _type_text(element: Element) -> str:
    found = element.find("ReadingType")
    return (found.attributes.get("ref", "") or found.text_of("mRID") or found.text.strip()) if found else ""


def _take(
    reading: _Reading, whose: _Whose, collector: IntervalCollector, errors: ErrorList, *, is_moment: bool
) -> None:
    kind = parse_type(reading.type_text)
    try:
        if kind is None:
            raise _Wrong(reading.line, "iec61968.wrong-type")
        has_period = bool(reading.start and reading.end)
        is_register = kind.is_register(is_moment=is_moment, has_period=has_period)
        at_s, interval_s = _when(reading, 0 if is_register else kind.interval_s, is_register=is_register)
        numbers = kind.text.split(".")
        channel = _channel(whose.channel, kind, numbers, is_register=is_register)
        quality, note = _quality(reading)
        usual = usual_type(channel, kind.unit, interval_s)
        usual[MEASURING_PERIOD], usual[MULTIPLIER] = numbers[MEASURING_PERIOD], numbers[MULTIPLIER]
        if usual != numbers:
            numbers[MULTIPLIER] = "0"
            note = {"iec.type": ".".join(numbers), **note}
        key = (whose.usage_point, whose.meter_serial, channel, kind.unit, interval_s)
        collector.add(key, reading.line, at_s, reading.value, kind.exponent, (quality, pack_note(note)))
    except _Wrong as wrong:
        errors.add(wrong.line, 0, wrong.code)


def _channel(own: str, kind: ReadingKind, numbers: list[str], *, is_register: bool) -> str:
    """Return what a channel is called, its own name or the way energy flows, with what else the type says."""
    named = own or DIRECTIONS.get(kind.direction, f"direction-{kind.direction}")
    named = of_type(named, kind.unit, **codes_of(numbers, is_register=is_register))
    if own:
        return named
    named = of_phase(named, numbers[PHASES])
    return of_rate(named, numbers[TOU], numbers[CPP], numbers[TIER]) if is_register else named


def codes_of(numbers: list[str], *, is_register: bool) -> dict[str, str]:
    """Return the codes of a reading type that `of_type` names."""
    places = {"commodity": COMMODITY, "kind": KIND, "harmonic": HARMONIC, "statistic": AGGREGATE}
    places |= {"period": MEASURING_PERIOD} if is_register else {"accumulation": ACCUMULATION}
    return {word: numbers[place] for word, place in places.items()}


def _when(reading: _Reading, interval_s: int, *, is_register: bool) -> tuple[int, int]:
    """Return start and length of a reading; a register's length is 0."""
    if reading.start and reading.end and not is_register:
        at_s, end_s = parse_instant(reading.start), parse_instant(reading.end)
        if at_s is None or end_s is None or end_s <= at_s:
            raise _Wrong(reading.line, "iec61968.wrong-time")
        return at_s, end_s - at_s
    stamp_s = parse_instant(reading.stamp or reading.end)
    if stamp_s is None:
        raise _Wrong(reading.line, "iec61968.wrong-time")
    if not interval_s and not is_register:
        raise _Wrong(reading.line, "iec61968.no-length")
    return stamp_s - interval_s, interval_s


def _quality(reading: _Reading) -> tuple[Quality, dict[str, str]]:
    quality = decode_iec(reading.codes)
    if quality is None:
        raise _Wrong(reading.line, "iec61968.quality-unknown")
    is_usual = reading.codes == encode_iec(quality)
    note = {} if is_usual else {"iec.quality": ",".join(reading.codes) or _NO_QUALITY}
    others = reading.details.removeprefix(COMMENT_START)
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
        text,
        unit,
        multiplier + 3,
        PERIODS_S.get(numbers[MEASURING_PERIOD], 0),
        numbers[DIRECTION],
        numbers[ACCUMULATION],
    )


@lru_cache(maxsize=100_000)
def parse_instant(text: str) -> int | None:
    """Return the UTC second of an ISO 8601 time with its offset, None where it is none."""
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else to_seconds(instant.astimezone(UTC))
    except (ValueError, OverflowError):
        return None
