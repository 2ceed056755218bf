"""A workbook's sheets, looked through before they are laid out: how far they reach, what has no result.

A sheet is read as one rectangle: two cells in far corners, a kilobyte in the file, would fill any memory. And
a formula whose result is not stored, or is an error, is read as a blank: so is what nobody measured.
"""

import re
import zipfile
from itertools import islice
from xml.parsers import expat

from wattkeeper.formats.api import ErrorList, FormatError
from wattkeeper.formats.archives import WORKBOOK, read_member
from wattkeeper.formats.xml_elements import Element, iter_elements

CELLS_AT_MOST = 4_000_000  # a dense sheet that may be unpacked at all has fewer
SHEETS_AT_MOST = 32
_RELATIONS = "xl/_rels/workbook.xml.rels"
_OTHER_KINDS = ("content.xml", "xl/workbook.bin")  # of what is tried where a workbook is none after all
_PLACE = re.compile(r"([A-Za-z]{1,3})([1-9]\d{0,6})", re.ASCII)
_CELL = re.compile(rb"<(?:[\w.-]+:)?c[\s/>]")
_PLAIN_CELL = re.compile(rb'<c r="([A-Z]{1,3})([1-9]\d{0,6})"')
_NOT_PLAIN = re.compile(rb"""<(?:[\w.-]+:)?f[\s/>]|\st\s*=\s*["']e["']|<!DOCTYPE|\0""")

Place = tuple[int, int]


def look_through(archive: zipfile.ZipFile, member: str) -> set[Place]:
    """Return the cells, (row, column) from 0, with a formula that has no result or with an error for one.

    `member`: the sheet's, of `find_sheets`.

    :raises FormatError: ``xlsx.too-many-cells``, ``xlsx.broken``, ``xml.doctype``
    """
    content = _only(archive, member)
    if _is_plain(content):
        return set()
    scan = _Scan()
    try:
        scan.parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError):
        raise FormatError("xlsx.broken") from None
    return scan.without_result


def find_sheets(archive: zipfile.ZipFile) -> list[str]:
    """Return which member each sheet is, of the first `SHEETS_AT_MOST`; nothing for one without its own.

    :raises FormatError: ``xlsx.broken``, where it is in doubt which one the first is, too
    """
    errors = ErrorList()
    if any(name.lower() in _OTHER_KINDS for name in archive.namelist()):
        raise FormatError("xlsx.broken")
    book = iter_elements(_only(archive, WORKBOOK), frozenset({"sheet"}), errors)
    sheets = list(islice(book, SHEETS_AT_MOST))
    targets: dict[str, list[str]] = {}
    for one in iter_elements(_only(archive, _RELATIONS), frozenset({"Relationship"}), errors):
        targets.setdefault(one.attributes.get("Id", ""), []).append(one.attributes.get("Target", ""))
    found = [_member_of(sheet, targets) for sheet in sheets]
    if len(errors) or not found or not found[0]:
        raise FormatError("xlsx.broken")
    return ["" if member in found[:at] else member for at, member in enumerate(found)]


def _member_of(sheet: Element, targets: dict[str, list[str]]) -> str:
    ids = [text for name, text in sheet.attributes.items() if name.endswith("\x1fid")]
    found = targets.get(ids[0], []) if len(ids) == 1 else []
    target = found[0].removeprefix("/") if len(found) == 1 else ""
    return target if not target or target.startswith("xl/") else f"xl/{target}"


def _is_plain(content: bytes) -> bool:
    """Whether a glance is enough, as it mostly is: all cells say where they are; no formulas."""
    if _NOT_PLAIN.search(content):
        return False
    places = _PLAIN_CELL.findall(content)
    columns, rows = ({place[part] for place in places} for part in (0, 1))
    height = max(map(int, rows), default=0)
    width = max(map(_column_number, map(bytes.decode, columns)), default=0)
    return height * width <= CELLS_AT_MOST and len(places) == len(_CELL.findall(content))


def _column_number(letters: str) -> int:
    """Return the number, from 1, of a column: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _only(archive: zipfile.ZipFile, name: str) -> bytes:
    members = [member for member in archive.infolist() if member.filename.lower() == name.lower()]
    if len(members) != 1:
        raise FormatError("xlsx.broken")
    return read_member(archive, members[0])


class _Scan:
    """Where the cells of a sheet are that hold something."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.StartElementHandler = self._start
        self.without_result: set[Place] = set()
        self._row, self._column = -1, 0
        self._place: Place = (0, 0)
        self._kind = ""
        self._has_formula = False
        self._first: Place | None = None
        self._last: Place = (0, 0)

    def _refuse_doctype(self, *_parts: object) -> None:
        raise FormatError("xml.doctype", line=self.parser.CurrentLineNumber)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self.parser.CharacterDataHandler = None
        if local == "c":
            self._place = self._place_of(attributes.get("r"))
            self._column = self._place[1] + 1
            self._kind, self._has_formula = attributes.get("t", ""), False
        elif local in ("v", "is"):
            self._reach()
            if self._kind == "e":
                self.without_result.add(self._place)
            elif self._has_formula and local == "v":
                self.parser.CharacterDataHandler = self._result
        elif local == "f":
            self._reach()
            self._has_formula = True
            if self._kind != "str":  # a text may be an empty one
                self.without_result.add(self._place)
        elif local == "row":
            self._row = int(attributes["r"]) - 1 if "r" in attributes else self._row + 1
            self._column = 0

    def _result(self, text: str) -> None:
        if text.strip():
            self.without_result.discard(self._place)

    def _place_of(self, text: str | None) -> Place:
        if text is None:
            return self._row, self._column
        match = _PLACE.fullmatch(text)
        if match is None:
            raise FormatError("xlsx.broken")
        return int(match[2]) - 1, _column_number(match[1]) - 1

    def _reach(self) -> None:
        """Take the cell into the rectangle."""
        row, column = self._place
        first, last = self._first or self._place, self._last
        self._first = min(first[0], row), min(first[1], column)
        self._last = max(last[0], row), max(last[1], column)
        height, width = (end - start + 1 for start, end in zip(self._first, self._last, strict=True))
        if height * width > CELLS_AT_MOST:
            raise FormatError("xlsx.too-many-cells", limit_count=CELLS_AT_MOST)
