"""Green Button files (NAESB REQ.21 ESPI 4.0: Atom and XML) to blocks of intervals.

A UsagePoint has MeterReadings, each with a ReadingType and IntervalBlocks of IntervalReadings; links between
the entries of a feed say what belongs together. A reading starts at Unix seconds, UTC; its value counts
10**powerOfTenMultiplier of the unit. What a reading says besides (cost, time of use, quality codes) is kept
in notes; summaries and local time parameters are no readings and are left out.
"""

from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

from wattkeeper.core.kernel.quality_codes import decode_espi, encode_espi
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.channels import (
    is_electricity_code,
    is_export,
    of_phase,
    of_rate,
    of_type,
    phase_of,
    said_of,
    split_rate,
)
from wattkeeper.formats.intervals import IntervalCollector
from wattkeeper.formats.notes import pack_note
from wattkeeper.formats.quality_words import heed_words
from wattkeeper.formats.xml_elements import Element, iter_elements

GENERATOR = "Wattkeeper"
UNITS = {
    "72": "Wh",
    "73": "varh",
    "71": "VAh",
    "38": "W",
    "63": "var",
    "61": "VA",
    "29": "V",
    "5": "A",
    "33": "Hz",
    "42": "m3",
    "169": "therm",
    "31": "J",
    "132": "BTU",
    "0": "",
}
DIRECTIONS = {"1": "import", "19": "export", "4": "net", "20": "both"}
REGISTER_BEHAVIOURS = ("1", "2", "3", "9", "13", "14")  # bulk, cumulative, summation, latching, bounded
AMOUNTS = ("Wh", "varh", "VAh", "m3", "therm", "J", "BTU")  # what no single instant has
TYPE_FIELDS = (
    "accumulationBehaviour",
    "commodity",
    "consumptionTier",
    "currency",
    "dataQualifier",
    "flowDirection",
    "kind",
    "phase",
    "timeAttribute",
    "tou",
    "cpp",
    "measuringPeriod",
)
_ACCUMULATION = "accumulationBehaviour"
_WORDS = {"commodity": "commodity", "kind": "kind", "dataQualifier": "statistic"}  # of_type's, by field
NAMED_BY = frozenset({*_WORDS, _ACCUMULATION, "measuringPeriod"})
READING_FIELDS = ("cost", "consumptionTier", "tou", "cpp")
_RESOURCES = ("UsagePoint", "MeterReading", "ReadingType", "IntervalBlock")
_KNOWN_FIELDS = frozenset({*TYPE_FIELDS, "uom", "powerOfTenMultiplier", "intervalLength", "defaultQuality"})
_NO_QUALITY = "none"
_COMMODITY_OF_SERVICE = {"1": "7", "2": "9", "4": "12", "5": "25", "6": "11", "8": "23", "9": "24"}


class _Reading(NamedTuple):
    line: int
    start: str
    duration: str
    value: str
    qualities: tuple[str, ...]
    words: str
    more: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Entry:
    """An entry of the feed: its own link, the links it has, what it holds, of a type its fields, of a usage
    point the commodity of its service.
    """

    line: int
    own: str
    related: list[str]
    title: str
    resource: str
    fields: dict[str, str] = field(default_factory=dict)
    readings: list[_Reading] = field(default_factory=list)


def default_type(channel: str, unit: str, interval_s: int) -> dict[str, str]:
    """Return the fields of a ReadingType that nothing else is known of."""
    direction = next((code for code, name in DIRECTIONS.items() if name == channel.lower()), None)
    parts = {"phase": phase_of(channel), "tou": split_rate(channel)[1]}
    return {
        "accumulationBehaviour": "4" if interval_s else "3",
        "commodity": said_of(channel, "commodity") or "1",
        "dataQualifier": said_of(channel, "statistic") or "12",
        "flowDirection": direction or ("19" if is_export(channel) else "1"),
        "kind": said_of(channel, "kind") or ("12" if unit in ("Wh", "varh", "VAh") else "0"),
        "timeAttribute": "0",
        **{name: code for name, code in parts.items() if code},
    }


def codes_of(fields: dict[str, str], *, is_register: bool) -> dict[str, str]:
    """Return the codes of a ReadingType that `of_type` names: how an interval's value came to be among them,
    or of which cycle a register's is.
    """
    words = _WORDS | ({"measuringPeriod": "period"} if is_register else {_ACCUMULATION: "accumulation"})
    return {word: fields.get(name, "") for name, word in words.items()}


def read_espi(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of a Green Button file and an error for each reading left out.

    :raises FormatError: ``xml.doctype``, ``xml.too-deep``
    """
    errors = ErrorList()
    entries: list[_Entry] = []
    readings: list[_Reading] = []
    generator = ""
    names = frozenset({"IntervalReading", "entry", "generator"})
    for element in iter_elements(source, names, errors, begun="entry"):
        if element.name == "IntervalReading":
            readings.append(_reading(element))
        elif element.name == "generator":
            generator = element.text.strip()
        else:
            entry = _entry(element, readings)
            readings = []
            if entry.own or not len(errors):  # of one that a break cuts short nobody else knows whose it is
                entries.append(entry)
    if readings:
        entries.append(_Entry(readings[0].line, "", [], "", "", readings=readings))
    feed = _Feed(entries, is_ours=generator == GENERATOR)
    collector = IntervalCollector(errors)
    for entry in entries:
        if entry.readings:
            feed.collect(entry, collector, errors)
    blocks = collector.blocks("espi.reading-twice")
    if not blocks and not len(errors):
        errors.add(1, 0, "formats.no-intervals")
    return ParsedIntervals(blocks, errors.sorted())


def _reading(element: Element) -> _Reading:
    qualities = tuple(
        one.text_of("quality") or one.text.strip() for one in element.find_all("ReadingQuality")
    )
    words = element.text_of("ReadingQuality", "extension")
    more = tuple((name, text) for name in READING_FIELDS if (text := element.text_of(name)))
    start, duration = element.text_of("timePeriod", "start"), element.text_of("timePeriod", "duration")
    return _Reading(element.line, start, duration, element.text_of("value"), qualities, words, more)


def _entry(element: Element, readings: list[_Reading]) -> _Entry:
    links = element.find_all("link")
    own = next(
        (link.attributes.get("href", "") for link in links if link.attributes.get("rel") == "self"), ""
    )
    related = [link.attributes.get("href", "") for link in links if link.attributes.get("rel") == "related"]
    content = element.find("content")
    resource = next((one for one in content.children if one.name in _RESOURCES), None) if content else None
    name = resource.name if resource else ""
    said = resource.children if resource and name == "ReadingType" else []
    fields = {one.name: one.text.strip() for one in said if one.name in _KNOWN_FIELDS}
    if resource and name == "UsagePoint":
        service = resource.text_of("ServiceCategory", "kind")
        fields["commodity"] = _COMMODITY_OF_SERVICE.get(service, "")
    return _Entry(element.line, own.strip(), related, element.text_of("title"), name, fields, readings)


class _Feed:
    """Which entries belong together."""

    def __init__(self, entries: list[_Entry], *, is_ours: bool) -> None:
        self._is_ours = is_ours
        self._of: dict[str, list[_Entry]] = {name: [] for name in _RESOURCES}
        for entry in entries:
            if entry.resource:
                self._of[entry.resource].append(entry)
        self._points: dict[str, set[str]] = {}
        for entry in entries:
            customer, _mark, rest = entry.own.partition("/UsagePoint/")
            if rest:
                self._points.setdefault(rest.split("/")[0], set()).add(customer.rsplit("/", 1)[-1])

    def collect(self, entry: _Entry, collector: IntervalCollector, errors: ErrorList) -> None:
        """Hand the readings of an entry to the collector."""
        meter_reading = self._meter_reading(entry)
        kind = self._reading_type(meter_reading)
        if kind is None:
            errors.add(entry.line, 0, "formats.unit-unknown")
            return
        path = entry.own or (meter_reading.own if meter_reading else "")
        point = self._point(path)
        unit = UNITS.get(kind.get("uom", "") or "0")
        multiplier = kind.get("powerOfTenMultiplier", "") or "0"
        if unit is None or not multiplier.lstrip("-").isdecimal() or abs(int(multiplier)) > 12:
            errors.add(entry.line, 0, "formats.unit-unknown")
            return
        exponent = int(multiplier) + 3
        is_register = kind.get("accumulationBehaviour", "") in REGISTER_BEHAVIOURS
        channel, serial = self._channel(meter_reading, path, kind, unit, is_register=is_register)
        for reading in entry.readings:
            self._collect_one(
                reading, (point, serial, channel, unit), exponent, kind, collector, errors, is_register
            )

    def _collect_one(
        self,
        reading: _Reading,
        names: tuple[str, str, str, str],
        exponent: int,
        kind: dict[str, str],
        collector: IntervalCollector,
        errors: ErrorList,
        is_register: bool,
    ) -> None:
        start, _mark, fraction = reading.start.partition(".")
        duration = reading.duration or kind.get("intervalLength", "") or "0"
        is_time = _is_whole(start.removeprefix("-")) and (not fraction or _is_whole(fraction))
        if not is_time or not _is_whole(duration):
            errors.add(reading.line, 0, "espi.wrong-time")
            return
        qualities = reading.qualities or ((kind["defaultQuality"],) if kind.get("defaultQuality") else ())
        quality = decode_espi(int(code) if _is_whole(code) else -1 for code in qualities)
        if quality is None:
            errors.add(reading.line, 0, "espi.quality-unknown")
            return
        quality = heed_words(reading.words, quality, "greenbutton") or quality
        interval_s = 0 if is_register else int(duration)
        if not interval_s and not is_register and names[3] in AMOUNTS:
            errors.add(reading.line, 0, "espi.no-length")
            return
        usual = default_type(names[2], names[3], interval_s)
        note = {
            f"espi.{name}": kind[name]
            for name in TYPE_FIELDS
            if kind.get(name, "") != usual.get(name, "") and kind.get(name)
        }
        note |= {f"espi.reading.{name}": text for name, text in reading.more}
        if qualities != tuple(map(str, encode_espi(quality))):
            note["espi.quality"] = ",".join(qualities) or _NO_QUALITY
        if fraction:
            note["espi.start"] = reading.start
        if is_register and duration != "0":
            note["espi.duration"] = duration
        collector.add(
            (*names, interval_s),
            reading.line,
            int(start),
            reading.value,
            exponent,
            (quality, pack_note(note)),
        )

    def _meter_reading(self, entry: _Entry) -> _Entry | None:
        """Return the MeterReading of an IntervalBlock: by its link, by the other's links, or the only one."""
        found = self._of["MeterReading"]
        parent = entry.own.rpartition("/IntervalBlock")[0]
        for one in found:
            if parent and one.own == parent:
                return one
        for one in found:
            if entry.own and any(
                entry.own.startswith(link) for link in one.related if "IntervalBlock" in link
            ):
                return one
        return found[0] if len(found) == 1 else None

    def _reading_type(self, meter_reading: _Entry | None) -> dict[str, str] | None:
        types = self._of["ReadingType"]
        wanted = meter_reading.related if meter_reading else []
        chosen = next((one for one in types if one.own and one.own in wanted), None)
        if chosen is None and len(types) == 1:
            chosen = types[0]
        return chosen.fields if chosen else None

    def _point(self, path: str) -> str:
        """Return the name of a usage point: the last part of its link, with its customer's where need be."""
        customer, _mark, rest = path.partition("/UsagePoint/")
        own = rest.split("/")[0]
        if not own:
            points = self._of["UsagePoint"]
            own = points[0].own.rsplit("/", 1)[-1] if len(points) == 1 else ""
        elif len(self._points.get(own, ())) > 1 and not self._is_ours and len(self._of["UsagePoint"]) > 1:
            own = f"{customer.rsplit('/', 1)[-1]}/{own}"
        return unquote(own).strip()

    def _served(self, path: str) -> str:
        """Return the commodity of the service of a usage point, "" where that says nothing."""
        points = self._of["UsagePoint"]
        own = (one for one in points if len(points) == 1 or path.startswith(f"{one.own}/"))
        return next((one.fields["commodity"] for one in own), "")

    def _channel(
        self, meter_reading: _Entry | None, path: str, kind: dict[str, str], unit: str, *, is_register: bool
    ) -> tuple[str, str]:
        """Return channel and meter serial: our own files name both, others only which way energy flows, what
        else of it the type says, of which phase, and of which time of use a register.
        """
        own = path.partition("/MeterReading/")[2].split("/")[0]
        codes = codes_of(kind, is_register=is_register)
        if is_electricity_code(codes["commodity"]):
            codes["commodity"] = self._served(path) or codes["commodity"]
        if self._is_ours:
            name = of_type(unquote(own.partition(":")[0]) or "import", unit, **codes)
            return name, meter_reading.title if meter_reading else ""
        direction = kind.get("flowDirection") or "1"
        name = DIRECTIONS.get(direction, f"direction-{direction}")
        name = name if len(self._of["MeterReading"]) <= 1 else f"{name}-{unquote(own)}"
        name = of_phase(of_type(name, unit, **codes), kind.get("phase", ""))
        rates = [kind.get(field_name, "") for field_name in ("tou", "cpp", "consumptionTier")]
        return of_rate(name, *rates) if is_register else name, ""


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15
