"""MSCONS messages (EDIFACT D:04B, EDI@Energy 2.2 to 2.4) to blocks of intervals.

UNA defines the marks, the decimal mark among them. NAD+DP begins a delivery point, LOC names it, PIA says
what is measured (an OBIS code), each QTY is a value with its period (DTM+163, DTM+164) and status (STS).
A QTY without a period is what a register showed (DTM+9 or DTM+7); half a period is none. Times carry their
offset from UTC.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from wattkeeper.core.kernel.identifiers import is_malo_wrong, malo_check_digit
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality_codes import decode_mscons, encode_mscons
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.detect import BOM
from wattkeeper.formats.intervals import IntervalCollector, Kind
from wattkeeper.formats.notes import pack_note
from wattkeeper.formats.quality_words import heed_words

SIZE_BYTES_AT_MOST = 512 * 1024 * 1024
UNITS = {
    "": ("Wh", 6),
    "KWH": ("Wh", 6),
    "WHR": ("Wh", 3),
    "MWH": ("Wh", 9),
    "K3": ("varh", 6),
    "KVH": ("VAh", 6),
    "KWT": ("W", 6),
    "KVR": ("var", 6),
    "MTQ": ("m3", 3),
    "VLT": ("V", 3),
    "AMP": ("A", 3),
    "HTZ": ("Hz", 3),
    "D54": ("W/m2", 3),
}
USUAL_UNITS = {"Wh": "KWH", "varh": "K3", "VAh": "KVH", "W": "KWT", "var": "KVR"} | {
    base: code for code, (base, power) in UNITS.items() if power == 3 and base != "Wh"
}
MOMENTS = ("9", "7")  # of a register's value: when it was read, when it is good for
USUAL_LOC, USUAL_PIA, USUAL_MOMENT = "172", "SRW", MOMENTS[0]
_USUAL_MARKS = (":", "+", "?", "'")
_PLAIN_VALUE = re.compile(
    r"(?<=[^?]')\s*QTY\+(\w+):([^:+'?]*)(?::(\w*))?'"
    r"\s*DTM\+163:(\d{12}\?\+\d\d:303)'\s*DTM\+164:(\d{12}\?\+\d\d:303)'",
    re.ASCII,
)  # as nearly all values are told, one after another; whatever is not is looked at segment by segment
_STATUS = re.compile(r"Z[0-9A-Z]\d")
_QUALIFIER = re.compile(r"\w{1,3}", re.ASCII)


class _Wrong(Exception):
    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Marks(NamedTuple):
    """The marks of an interchange."""

    component: str
    element: str
    decimal: str
    release: str
    terminator: str


class _Quantity:
    """A QTY and what follows it until the next."""

    __slots__ = ("line", "parts", "statuses", "times")

    def __init__(self, line: int, parts: list[str]) -> None:
        self.line = line
        self.parts = parts
        self.times: dict[str, str] = {}
        self.statuses: list[str] = []


def read_mscons(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of an interchange and an error for each value left out or lost; never raises.

    An error's line is the number of its segment, UNA among them: files mostly have one line or one a segment.
    """
    content = source if isinstance(source, bytes) else source.read(SIZE_BYTES_AT_MOST)
    content = content.removeprefix(BOM)
    errors = ErrorList()
    marks, at = marks_of(content)
    if marks is None:
        errors.add(1, 1, "mscons.no-header")
        return ParsedIntervals([], errors.sorted())
    reader = _Reader(marks, errors)
    text = content[at:].decode("latin-1")  # UNOC: ISO 8859-1
    reader.take_all(text, 2 if content[:at].lstrip() else 1)
    return reader.finish()


def marks_of(content: bytes) -> tuple[Marks | None, int]:
    """Return the marks and where the first segment begins; None for what is no interchange."""
    start = len(content) - len(content[:1024].lstrip()) - len(content[1024:])
    if content[start : start + 3] == b"UNA" and len(content) >= start + 9:
        found = content[start + 3 : start + 9].decode("latin-1")
        component, element, decimal, release, terminator = (found[at] for at in (0, 1, 2, 3, 5))
        if len({component, element, release, terminator}) < 4 or decimal not in ".,":
            return None, 0
        return Marks(component, element, decimal, release, terminator), start + 9
    if content[start : start + 4] == b"UNB+":
        return Marks(":", "+", ".", "?", "'"), start
    return None, 0


def split_at(text: str, mark: str, release: str) -> list[str]:
    """Return the parts of a text between marks; a mark after an odd number of releases is none."""
    pieces = text.split(mark)
    if release not in text:
        return pieces
    parts: list[str] = []
    is_open = False
    for piece in pieces:
        if is_open:
            parts[-1] += mark + piece
        else:
            parts.append(piece)
        is_open = (len(piece) - len(piece.rstrip(release))) % 2 == 1
    return parts


class _Reader:
    """Where the interchange stands: whose values come, and the value that is being told."""

    def __init__(self, marks: Marks, errors: ErrorList) -> None:
        self._marks = marks
        self._errors = errors
        self._collector = IntervalCollector(errors)
        self._quantity: _Quantity | None = None
        self._point = self._serial = self._channel = ""
        self._point_note: dict[str, str] = {}
        self._item_note: dict[str, str] = {}
        self._has_interchange = self._has_ended = self._is_place_wrong = False
        self._message_at = self._message_count = self._number = 0  # no message is open at 0
        self._instants: dict[str, int | None] = {}
        self._kinds: dict[tuple[str, ...], Kind | None] = {}
        self._plain: dict[tuple[str, str], tuple[Kind, int]] = {}  # of the place and item that hold now
        self._released = re.compile(re.escape(marks.release) + "(.)", re.DOTALL)
        self._takers = {
            "QTY": self._take_quantity,
            "DTM": self._take_time,
            "STS": self._take_status,
            "PIA": self._take_item,
            "LIN": self._take_line,
            "LOC": self._take_place,
            "RFF": self._take_reference,
            "NAD": self._take_party,
            "UNH": self._take_message,
            "UNT": self._take_trailer,
            "UNB": self._take_interchange,
            "UNZ": self._take_end,
        }

    def take_all(self, text: str, number: int) -> None:
        """Take an interchange whose first segment has a number."""
        marks = self._marks
        is_usual = (marks.component, marks.element, marks.release, marks.terminator) == _USUAL_MARKS
        at = 0
        for match in _PLAIN_VALUE.finditer(text) if is_usual else ():
            if match.start() > at:
                number = self._take_segments(text[at : match.start()], number)
            self._keep()
            parts = match.groups("")
            self._quantity = _Quantity(number, list(parts[:3]))
            self._quantity.times = {"163": parts[3], "164": parts[4]}
            number, at = number + 3, match.end()
        self._number = self._take_segments(text[at:], number)

    def _take_segments(self, text: str, number: int) -> int:
        """Take some whole segments and return the number of the next."""
        segments = split_at(text, self._marks.terminator, self._marks.release)
        for index, segment in enumerate(segments):
            self._take(number + index, segment.lstrip("\r\n \t"))
        return number + len(segments) - 1

    def _take(self, number: int, segment: str) -> None:
        taker = self._takers.get(segment[:3])
        if taker is not None:
            self._plain = {}
            taker(number, segment)

    def finish(self) -> ParsedIntervals:
        """Return all that was read, without the last value where what else is said of it may be cut off."""
        if not self._has_interchange:
            self._errors.add(1, 1, "mscons.no-header")
        elif not self._has_ended:
            self._errors.add(self._number, 0, "mscons.no-end")
        blocks = self._collector.blocks("mscons.value-twice")
        if not blocks and not len(self._errors):
            self._errors.add(1, 0, "formats.no-intervals")
        return ParsedIntervals(blocks, self._errors.sorted())

    def _split(self, segment: str) -> list[list[str]]:
        """Return the elements of a segment, each as its components, releases taken out."""
        marks = self._marks
        if marks.release not in segment:
            return [element.split(marks.component) for element in segment.split(marks.element)]
        elements = split_at(segment, marks.element, marks.release)
        parts = (split_at(element, marks.component, marks.release) for element in elements)
        return [[self._released.sub(r"\1", one) for one in components] for components in parts]

    def _take_quantity(self, number: int, segment: str) -> None:
        self._keep()
        self._quantity = _Quantity(number, [*self._split(segment), [""]][1])

    def _take_time(self, number: int, segment: str) -> None:
        if self._quantity is not None:
            qualifier, _mark, rest = segment[4:].partition(self._marks.component)
            is_first = qualifier not in self._quantity.times
            if _QUALIFIER.fullmatch(qualifier) and is_first:
                self._quantity.times[qualifier] = rest
            else:  # another value's, or it would be part of a detail's name
                self._quantity = None
                self._errors.add(number, 0, "mscons.wrong-time")

    def _take_status(self, _number: int, segment: str) -> None:
        if self._quantity is not None:
            self._quantity.statuses.append(segment[4:])

    def _take_item(self, _number: int, segment: str) -> None:
        self._keep()
        parts = [*self._split(segment), [""], [""]][2]
        self._channel = parts[0]
        kind = parts[1] if len(parts) > 1 else ""
        self._item_note = {"mscons.pia": kind or "none"} if kind != USUAL_PIA else {}

    def _take_line(self, _number: int, _segment: str) -> None:
        self._keep()
        self._channel, self._item_note = "", {"mscons.pia": "absent"}

    def _take_place(self, number: int, segment: str) -> None:
        self._keep()
        elements = [*self._split(segment), [""], [""]]
        self._point = "/".join(element[0] for element in elements[2:] if element[0])
        self._serial, self._channel = "", ""
        self._point_note = {"mscons.loc": elements[1][0]} if elements[1][0] != USUAL_LOC else {}
        self._is_place_wrong = is_malo_wrong(self._point)
        if self._is_place_wrong:
            expected = malo_check_digit(self._point)
            self._errors.add(number, 0, "mscons.check-digit", location=self._point, expected=expected)

    def _take_reference(self, _number: int, segment: str) -> None:
        parts = [*self._split(segment), [""]][1]
        if parts[0] == "MG" and len(parts) > 1 and self._point:
            self._serial = parts[1]

    def _take_party(self, _number: int, _segment: str) -> None:
        self._keep()
        self._point, self._is_place_wrong = "", False

    def _take_interchange(self, _number: int, _segment: str) -> None:
        self._has_interchange = True
        self._message_at = self._message_count = 0

    def _take_message(self, number: int, segment: str) -> None:
        self._keep()
        self._close_message(number)
        self._message_at = number
        self._message_count += 1
        self._point = self._serial = self._channel = ""
        self._is_place_wrong = False
        parts = [*self._split(segment), [""], [""]][2]
        if parts[0] != "MSCONS":
            self._errors.add(number, 0, "mscons.other-message", kind=parts[0])

    def _take_trailer(self, number: int, segment: str) -> None:
        self._keep()
        self._point = ""
        self._check_count(number, segment, number - self._message_at + 1 if self._message_at else 0)
        self._message_at = 0

    def _take_end(self, number: int, segment: str) -> None:
        self._keep()
        self._close_message(number)
        self._check_count(number, segment, self._message_count)
        self._has_ended = True

    def _close_message(self, number: int) -> None:
        """Tell of a message that another one, or the end, begins in."""
        if self._message_at:
            self._errors.add(number, 0, "mscons.no-trailer", first_line=self._message_at)
        self._message_at = 0

    def _check_count(self, number: int, segment: str, found: int) -> None:
        """Tell where a UNT or UNZ counts more than came; there are files that count fewer."""
        expected = [*self._split(segment), [""]][1][0]
        if not expected.isdecimal() or int(expected) > found:
            self._errors.add(number, 0, "mscons.too-few", expected=expected, found=found)

    def _keep(self) -> None:
        """Hand the value that is being told to the collector."""
        quantity, self._quantity = self._quantity, None
        if quantity is None or self._is_place_wrong:
            return
        try:
            if not quantity.statuses and len(quantity.times) == 2:
                self._keep_plain(quantity)
            else:
                self._keep_quantity(quantity)
        except _Wrong as wrong:
            self._errors.add(quantity.line, 0, wrong.code)

    def _keep_plain(self, quantity: _Quantity) -> None:
        """Keep a value like others before it."""
        qualifier, value, unit = [*quantity.parts, "", ""][:3]
        known = self._plain.get((qualifier, unit))
        start, end = quantity.times.get("163"), quantity.times.get("164")
        start_s, end_s = self._known_instant(start), self._known_instant(end)
        if known is None or start_s is None or end_s is None or end_s <= start_s:
            self._keep_quantity(quantity)
            return
        kind, exponent = known
        key = (self._point, self._serial, self._channel or "-", UNITS[unit.upper()][0])
        self._collector.add(
            (*key, end_s - start_s), quantity.line, start_s, self._value(value), exponent, kind
        )

    def _value(self, text: str) -> str:
        mark = self._marks.decimal
        return text if mark == "." else text.replace(".", "x").replace(mark, ".")

    def _keep_quantity(self, quantity: _Quantity) -> None:
        parts = [*quantity.parts, "", "", ""]
        unit = UNITS.get(parts[2].upper())
        if unit is None:
            raise _Wrong("formats.unit-unknown")
        at_s, interval_s, more = self._when(quantity.times)
        kind = self._kind(parts[0], parts[2].upper(), quantity.statuses, more)
        channel = self._channel or "-"
        key = (self._point, self._serial, channel, unit[0], interval_s)
        self._collector.add(key, quantity.line, at_s, self._value(parts[1]), unit[1], kind)
        if not quantity.statuses and not more:
            self._plain[parts[0], parts[2]] = kind, unit[1]

    def _when(self, times: dict[str, str]) -> tuple[int, int, tuple[tuple[str, str], ...]]:
        """Return start, length (0 for a register) and the other times of a value."""
        if "163" in times and "164" in times:
            start_s, end_s = self._instant(times["163"]), self._instant(times["164"])
            if end_s <= start_s:
                raise _Wrong("mscons.wrong-time")
            others = tuple(item for item in times.items() if item[0] not in ("163", "164"))
            return start_s, end_s - start_s, others
        qualifier = next((one for one in MOMENTS if one in times), None)
        if qualifier is None:
            raise _Wrong("mscons.no-time")
        others = tuple(item for item in times.items() if item[0] != qualifier)
        own = () if qualifier == USUAL_MOMENT else (("at", qualifier),)
        return self._instant(times[qualifier]), 0, (*own, *others)

    def _instant(self, text: str) -> int:
        found = self._known_instant(text)
        if found is None:
            raise _Wrong("mscons.wrong-time")
        return found

    def _known_instant(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text not in self._instants:
            self._instants[text] = parse_instant(self._plain_time(text))
        return self._instants[text]

    def _plain_time(self, text: str) -> str:
        """Return a time as ``value:format``."""
        return ":".join(text.replace(self._marks.release, "").split(self._marks.component)[:2])

    def _kind(
        self, qualifier: str, unit: str, statuses: list[str], more: tuple[tuple[str, str], ...]
    ) -> Kind:
        """Return quality and note of a value."""
        key = (qualifier, unit, *statuses, "", *(f"{a} {b}" for a, b in more), *self._context())
        if key not in self._kinds:
            self._kinds[key] = self._new_kind(qualifier, unit, statuses, more)
        found = self._kinds[key]
        if found is None:
            raise _Wrong("mscons.quality-unknown")
        return found

    def _context(self) -> tuple[str, ...]:
        return (*self._point_note.values(), "", *self._item_note.values())

    def _new_kind(
        self, qualifier: str, unit: str, statuses: list[str], more: tuple[tuple[str, str], ...]
    ) -> Kind | None:
        codes = [code for status in statuses for code in self._codes(status)]
        quality = decode_mscons(qualifier, codes)
        if quality is None:
            return None
        for status in statuses:
            if (told := heed_words(self._text(status), quality, "mscons")) is not None:
                quality, statuses = told, [one for one in statuses if one != status]
                break
        usual = encode_mscons(quality)
        note = {**self._point_note, **self._item_note}
        if UNITS[unit] != UNITS[""] or unit != "KWH":
            note["mscons.unit"] = "" if USUAL_UNITS.get(UNITS[unit][0]) == unit else unit or "none"
        if (qualifier, *codes) != usual or statuses != status_texts(usual[1:]):
            note["mscons.quality"] = ";".join([qualifier, *statuses])
        for name, text in more:
            is_own = name == "at"
            note["mscons.at" if is_own else f"mscons.dtm{name}"] = text if is_own else self._plain_time(text)
        return quality, pack_note(note)

    def _codes(self, status: str) -> list[str]:
        """Return the status codes of an STS: every component after its category that is one."""
        return [part for element in self._elements(status) for part in element if _STATUS.fullmatch(part)]

    def _text(self, status: str) -> str:
        """Return the text of an STS's reason."""
        return next((part for element in self._elements(status) for part in element[3:]), "")

    def _elements(self, status: str) -> list[list[str]]:
        return self._split(f"STS{self._marks.element}{status}")[2:]


def status_texts(codes: Sequence[str]) -> list[str]:
    """Return the STS segments of status codes, without their tag: category, empty, code."""
    return [
        f"{'Z33' if code in ('Z86', 'Z87') else 'Z32' if code in _METHODS else 'Z40'}++{code}"
        for code in codes
    ]


def status_of_words(words: str) -> str:
    """Return the STS segment of words beside codes, without its tag: no reason that others know (ZZZ)."""
    return f"Z40++ZZZ:::{words}"


def status_codes(statuses: Sequence[str]) -> list[str]:
    """Return the components of some STS segments (told with the usual marks) after their category."""
    return [part for status in statuses for element in status.split("+")[1:] for part in element.split(":")]


_METHODS = ("Z84", "Z88", "Z89", "Z90", "Z91", "Z92", "Z93", "Z94", "Z95", "ZJ2")


def parse_instant(text: str) -> int | None:
    """Return the UTC second of a DTM's ``value:format``: 303 is CCYYMMDDHHMMZZZ, 304 has seconds."""
    value, _mark, form = text.partition(":")
    length = {"303": 12, "304": 14}.get(form)
    if length is None or not value[:length].isdecimal() or not value.isascii():
        return None
    zone = value[length:]
    if len(zone) not in (3, 5) or zone[0] not in "+-" or not zone[1:].isdecimal():
        return None
    offset_s = (int(zone[1:3]) * 3600 + int(zone[3:] or 0) * 60) * (1 if zone[0] == "+" else -1)
    numbers = [int(value[:4]), *(int(value[at : at + 2]) for at in range(4, length, 2))]
    try:
        return to_seconds(datetime(*numbers, tzinfo=UTC)) - offset_s  # type: ignore[misc, arg-type]
    except (ValueError, OverflowError):
        return None
