"""Excel workbooks to blocks of intervals and back, through the same mappings as CSV.

A number in a workbook is a binary fraction of which Excel shows 15 digits: those are taken, and a value that
needs more is written as text. Excel knows no time zone: local times are written with a column for the offset.
"""

import contextlib
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import chain, repeat
from typing import Any
from zoneinfo import ZoneInfo

import python_calamine
import xlsxwriter

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality_codes import quality_name
from wattkeeper.formats.api import ErrorList, FormatError, IntervalBlock, ParsedIntervals
from wattkeeper.formats.archives import check_members
from wattkeeper.formats.blocks import kinds_of
from wattkeeper.formats.csv_cells import neutralise
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.csv_write import values_of
from wattkeeper.formats.mapping import Mapping
from wattkeeper.formats.tables import DIGITS_LOST, MERGED, NO_RESULT, TableReader
from wattkeeper.formats.units import written_unit
from wattkeeper.formats.xlsx_cells import find_sheets, look_through

ROWS_AT_MOST = 1_000_000
DIGITS_AT_MOST = 15
_ROWS_AT_ONCE = 50_000
_BROKEN = (python_calamine.CalamineError, ValueError, IndexError, OSError)
_COLUMNS = (
    "usage_point",
    "channel",
    "starts_at",
    "utc_offset",
    "interval_s",
    "value",
    "unit",
    "quality",
    "meter_serial",
    "details",
)


def read_xlsx(content: bytes, how: CsvOptions | Mapping) -> ParsedIntervals:
    """Return the blocks of a workbook's first sheet and an error for each row left out.

    Another sheet that the mapping would read is an error, too: it is not read.

    :raises FormatError: ``archive.*`` before anything is unpacked that would fill the memory;
        ``xlsx.broken``, ``xlsx.too-many-rows``, ``xlsx.too-many-cells``, ``xml.doctype``,
        ``formats.zone-unknown``
    """
    mapping = how.to_mapping() if isinstance(how, CsvOptions) else how
    errors = ErrorList()
    workbook = _Workbook(content)
    parsed = _read_sheet(workbook, 0, mapping, errors)
    for at, name in workbook.others:
        with contextlib.suppress(FormatError):
            blocks = _read_sheet(workbook, at, mapping, ErrorList()).blocks
            if count := sum(len(block.starts_at_s) for block in blocks):
                errors.add(0, 0, "xlsx.sheet-left-out", sheet=name, interval_count=count)
    return ParsedIntervals(parsed.blocks, errors.sorted())


def iter_texts(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number, cells as text) of a workbook's first sheet. A text or a time that is merged over
    rows stands in each of them.

    :raises FormatError: as `read_xlsx` does
    """
    for number, texts in _Workbook(content).iter_cells(0, "."):
        yield number, ["" if text in (NO_RESULT, DIGITS_LOST, MERGED) else text for text in texts]


def write_xlsx(blocks: Sequence[IntervalBlock], *, zone: str = "UTC") -> bytes:
    """Return a workbook: identifiers as text, times local to `zone` with their offset beside them.

    :raises FormatError: ``xlsx.too-many-rows``, ``formats.zone-unknown``
    """
    if sum(len(block.starts_at_s) for block in blocks) >= ROWS_AT_MOST:
        raise FormatError("xlsx.too-many-rows", limit_count=ROWS_AT_MOST)
    try:
        local = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise FormatError("formats.zone-unknown", zone=zone) from None
    out = io.BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as workbook:
        sheet = workbook.add_worksheet("intervals")
        moment = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        for column, name in enumerate(_COLUMNS):
            sheet.write_string(0, column, name)
        row = 1
        for block in blocks:
            row = _write_block(sheet, row, block, local, moment)
    return out.getvalue()


def _write_block(sheet: Any, row: int, block: IntervalBlock, local: ZoneInfo, moment: Any) -> int:
    unit, exponent = written_unit(block.unit)
    kinds, place = kinds_of(block)
    names = [neutralise(text) for text in (block.usage_point, block.channel, block.meter_serial)]
    values = values_of(block, exponent)
    for at_s, value, index in zip(block.starts_at_s.tolist(), values, place.tolist(), strict=True):
        at = from_seconds(at_s).astimezone(local)
        quality, note = kinds[index]
        sheet.write_string(row, 0, names[0])
        sheet.write_string(row, 1, names[1])
        sheet.write_datetime(row, 2, at.replace(tzinfo=None), moment)
        sheet.write_string(row, 3, _offset(at))
        sheet.write_number(row, 4, block.interval_s)
        _write_value(sheet, row, value)
        sheet.write_string(row, 6, unit)
        sheet.write_string(row, 7, quality_name(quality))
        sheet.write_string(row, 8, names[2])
        sheet.write_string(row, 9, neutralise(note))
        row += 1
    return row


def _write_value(sheet: Any, row: int, text: str) -> None:
    if len(text.replace(".", "").lstrip("-0")) > DIGITS_AT_MOST:
        sheet.write_string(row, 5, text)
    elif text:
        sheet.write_number(row, 5, float(text))


def _offset(at: datetime) -> str:
    offset = at.utcoffset() or timedelta()
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


class _Workbook:
    """A workbook whose sheets are looked through before they are laid out."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._archive = check_members(content)
        self._members = find_sheets(self._archive)

    @cached_property
    def _book(self) -> python_calamine.CalamineWorkbook:
        try:
            return python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(self._content))
        except _BROKEN:
            raise FormatError("xlsx.broken") from None

    @property
    def others(self) -> list[tuple[int, str]]:
        """Return the place and the name of each sheet but the first that has a member of its own."""
        names = zip(self._members, self._book.sheet_names, strict=False)
        return [(at, name) for at, (member, name) in enumerate(names) if at and member]

    def iter_cells(self, at: int, mark: str) -> Iterator[tuple[int, list[str]]]:
        """Yield (row number, cells as text) of a sheet's rows that hold anything."""
        without_result = look_through(self._archive, self._members[at])
        try:
            sheet = self._book.get_sheet_by_index(at)
            first_column = sheet.start[1] if sheet.start else 0
            laid_out_count = sheet.end[0] + 1 if sheet.end else 0
        except _BROKEN:
            raise FormatError("xlsx.broken") from None
        count = max([laid_out_count, *(row + 1 for row, _column in without_result)])
        if count > ROWS_AT_MOST:
            raise FormatError("xlsx.too-many-rows", limit_count=ROWS_AT_MOST)
        blank: list[Any] = [""] * sheet.width
        merged = _MergedCells(sheet, first_column)
        for row, cells in enumerate(chain(sheet.iter_rows(), repeat(blank, count - laid_out_count))):
            texts = [_text(cell, mark) for cell in cells]
            for column in range(len(texts)) if without_result else ():
                if (row, first_column + column) in without_result:
                    texts[column] = NO_RESULT
            if any(texts):
                merged.fill(row, cells, texts)
                yield row + 1, texts


class _MergedCells:
    """What cells that are merged over several rows hold, which is in the file with the first of them.

    A text or a time is that of each row; a number would be counted as often: it is `MERGED` below the first.
    """

    def __init__(self, sheet: Any, first_column: int) -> None:
        self._begun: dict[int, list[tuple[int, int]]] = {}  # (column, last row) by first row
        for (first, column), (last, _right) in sheet.merged_cell_ranges or ():
            if last > first and column >= first_column:
                self._begun.setdefault(first, []).append((column - first_column, last))
        self._held: dict[int, tuple[int, str]] = {}  # (last row, text) by column

    def fill(self, row: int, cells: Sequence[object], texts: list[str]) -> None:
        """Fill a row that holds anything; rows come in order."""
        if not self._begun:
            return
        for column, (last, text) in self._held.items():
            if row <= last and not texts[column]:
                texts[column] = text
        for column, last in self._begun.get(row, ()):
            if column < len(texts):
                is_number = isinstance(cells[column], int | float)
                self._held[column] = last, MERGED if is_number and texts[column] else texts[column]


def _read_sheet(workbook: _Workbook, at: int, mapping: Mapping, errors: ErrorList) -> ParsedIntervals:
    reader = TableReader(mapping, errors)
    rows: list[tuple[int, list[str]]] = []
    for row in workbook.iter_cells(at, mapping.decimal_mark):
        rows.append(row)
        if len(rows) >= _ROWS_AT_ONCE:
            reader.take(rows)
            rows = []
    reader.take(rows)
    return reader.finish()


def _text(cell: object, mark: str) -> str:
    """Return a cell as the text a CSV file would have."""
    if isinstance(cell, float):
        if abs(cell) >= 10**DIGITS_AT_MOST:
            return DIGITS_LOST
        number = Decimal(f"{cell:.15g}")
        text = format(number.quantize(Decimal(1)) if number == number.to_integral_value() else number, "f")
        return text.replace(".", mark)
    if isinstance(cell, datetime):
        whole = cell + timedelta(microseconds=500_000)
        return whole.replace(microsecond=0).isoformat(sep=" ")
    if isinstance(cell, date):
        return f"{cell.isoformat()} 00:00:00"
    if isinstance(cell, time):
        return cell.isoformat()
    return str(cell)
