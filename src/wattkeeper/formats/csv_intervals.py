"""Plain CSV, one row an interval, to blocks of intervals. Everything is declared, nothing guessed.

The header names the columns, in any order: ``usage_point``, ``channel``, ``starts_at``, ``interval_s``,
``value``, ``unit``, ``quality``, and where known ``meter_serial``. UTF-8, quotes as in RFC 4180.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

import numpy as np

from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.formats.api import ErrorList, FormatError, Int64s, IntervalBlock, ParsedIntervals
from wattkeeper.formats.csv_times import InstantParser, TimeWrong
from wattkeeper.formats.decimals import CELL_BYTES_AT_MOST, CODES, to_integers
from wattkeeper.formats.lines import iter_lines
from wattkeeper.formats.units import base_unit

REQUIRED = ("usage_point", "channel", "starts_at", "interval_s", "value", "unit", "quality")
OPTIONAL = ("meter_serial",)
QUALITIES = {
    "measured": Provenance.MEASURED,
    "estimated": Provenance.ESTIMATED,
    "edited": Provenance.EDITED,
    "derived": Provenance.DERIVED,
    "projected": Provenance.PROJECTED,
    "missing": Provenance.MISSING,
}
_NAME_LENGTH_AT_MOST = 64
_INTERVAL_S_AT_MOST = 86_400
_ROWS_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a file is written. `zone`: IANA name for times without an offset; None refuses such times."""

    delimiter: str = ","
    decimal_mark: str = "."
    zone: str | None = None

    def __post_init__(self) -> None:
        if self.delimiter not in (",", ";", "\t", "|"):
            raise FormatError("formats.delimiter-unknown", delimiter=self.delimiter)
        if self.decimal_mark not in (".", ",") or self.decimal_mark == self.delimiter:
            raise FormatError("formats.decimal-mark-unknown", decimal_mark=self.decimal_mark)


class _Key(NamedTuple):
    usage_point: str
    meter_serial: str
    channel: str
    unit: str
    interval_s: int


@dataclass(slots=True)
class _Rows:
    """Rows of one block: line numbers and the four columns."""

    lines: list[int] = field(default_factory=list)
    starts_at_s: list[int] = field(default_factory=list)
    value_milli: list[int] = field(default_factory=list)
    provenance: list[int] = field(default_factory=list)


class _Row(NamedTuple):
    line: int
    key: _Key
    exponent: int
    starts_at_s: int
    value: bytes
    provenance: Provenance


def read_csv(source: BinaryIO | bytes, options: CsvOptions) -> ParsedIntervals:
    """Return the blocks of a CSV file and an error for each row left out; never raises on what it reads."""
    errors = ErrorList()
    reader = _Reader(options, errors)
    waiting: list[_Row] = []
    for line_number, cells in _iter_cells(source, options, errors):
        if reader.columns is None:
            if not reader.take_header(line_number, cells):
                break
            continue
        row = reader.parse(line_number, cells)
        if row is not None:
            waiting.append(row)
        if len(waiting) >= _ROWS_AT_ONCE:
            reader.keep(waiting)
            waiting = []
    reader.keep(waiting)
    blocks = reader.blocks()
    if not blocks and not len(errors):
        errors.add(1, 0, "csv.no-header" if reader.columns is None else "formats.no-intervals")
    return ParsedIntervals(blocks, errors.sorted())


def _iter_cells(
    source: BinaryIO | bytes, options: CsvOptions, errors: ErrorList
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells). A quoted cell ends with its line: no name or number holds a line break."""
    for number, line in iter_lines(source):
        if line is None:
            errors.add(number, 0, "formats.line-too-long")
            continue
        if not line.strip():
            continue
        try:
            yield number, next(csv.reader([line.decode("utf-8")], delimiter=options.delimiter, strict=True))
        except UnicodeDecodeError:
            errors.add(number, 0, "formats.not-utf8")
        except csv.Error:
            errors.add(number, 0, "csv.wrong-quotes")


class _Reader:
    """Turns cells into rows and rows into blocks."""

    def __init__(self, options: CsvOptions, errors: ErrorList) -> None:
        self.columns: dict[str, int] | None = None
        self._cell_count = 0
        self._options = options
        self._errors = errors
        self._instants = InstantParser(options.zone)
        self._blocks: dict[_Key, _Rows] = {}

    def take_header(self, line: int, cells: list[str]) -> bool:
        """Return whether the header names what is needed."""
        names = [cell.strip().lower() for cell in cells]
        missing = [name for name in REQUIRED if name not in names]
        unknown = [name for name in names if name not in REQUIRED + OPTIONAL]
        if missing or unknown or len(set(names)) != len(names):
            self._errors.add(line, 0, "csv.wrong-header", missing=missing, unknown=unknown)
            return False
        self.columns = {name: index for index, name in enumerate(names)}
        self._cell_count = len(names)
        return True

    def parse(self, line: int, cells: list[str]) -> _Row | None:
        """Return the row, or None after noting its first error."""
        if len(cells) != self._cell_count:
            self._errors.add(line, 0, "csv.wrong-count", expected=self._cell_count)
            return None
        try:
            return self._row(line, cells)
        except _CellWrong as wrong:
            assert self.columns is not None
            self._errors.add(line, self.columns[wrong.column] + 1, wrong.code)
            return None

    def keep(self, rows: list[_Row]) -> None:
        """Turn the values into integers and keep the rows that have one."""
        powers = np.array([row.exponent for row in rows], dtype=np.int64)
        values, wrong = to_integers([row.value for row in rows], powers)
        assert self.columns is not None or not rows
        for row, value, reason in zip(rows, values.tolist(), wrong.tolist(), strict=True):
            if reason:
                self._errors.add(row.line, (self.columns or {})["value"] + 1, CODES[reason])
                continue
            held = self._blocks.setdefault(row.key, _Rows())
            held.lines.append(row.line)
            held.starts_at_s.append(row.starts_at_s)
            held.value_milli.append(value)
            held.provenance.append(row.provenance)

    def blocks(self) -> list[IntervalBlock]:
        """Return the blocks in time order; of two rows for one interval the later is an error."""
        return [self._block(key, held) for key, held in self._blocks.items()]

    def _row(self, line: int, cells: list[str]) -> _Row:
        assert self.columns is not None
        text = {name: cells[index].strip() for name, index in self.columns.items()}
        for name in ("usage_point", "channel", "meter_serial"):
            _refuse_name(name, text.get(name, ""), may_be_blank=name == "meter_serial")
        unit = base_unit(text["unit"])
        if unit is None or not text["unit"]:
            raise _CellWrong("unit", "formats.unit-unknown")
        quality = QUALITIES.get(text["quality"].lower())
        if quality is None:
            raise _CellWrong("quality", "csv.quality-unknown")
        interval_s = _interval_s(text["interval_s"])
        key = _Key(text["usage_point"], text.get("meter_serial", ""), text["channel"], unit[0], interval_s)
        value = self._value(text["value"], is_missing=quality is Provenance.MISSING)
        return _Row(line, key, unit[1], self._starts_at_s(text["starts_at"]), value, quality)

    def _starts_at_s(self, text: str) -> int:
        try:
            return self._instants.parse(text)
        except TimeWrong as wrong:
            raise _CellWrong("starts_at", wrong.code) from None

    def _value(self, text: str, *, is_missing: bool) -> bytes:
        if is_missing:
            if text:
                raise _CellWrong("value", "csv.missing-has-value")
            return b"0"
        if self._options.decimal_mark != ".":
            text = text.replace(".", "x").replace(self._options.decimal_mark, ".")
        if len(text) > CELL_BYTES_AT_MOST or not text.isascii() or "\0" in text:
            raise _CellWrong("value", "formats.not-a-number")
        return text.encode()

    def _block(self, key: _Key, held: _Rows) -> IntervalBlock:
        starts_at_s = np.array(held.starts_at_s, dtype=np.int64)
        order = np.lexsort((np.array(held.lines), starts_at_s))
        is_again = np.concatenate([[False], np.diff(starts_at_s[order]) == 0])
        for index in order[is_again].tolist():
            at = (self.columns or {})["starts_at"] + 1
            self._errors.add(held.lines[index], at, "csv.interval-twice")
        kept: Int64s = order[~is_again]
        zeros = np.zeros(len(kept), dtype=np.int64)
        return IntervalBlock(
            *key,
            starts_at_s=starts_at_s[kept],
            value_milli=np.array(held.value_milli, dtype=np.int64)[kept],
            provenance=np.array(held.provenance, dtype=np.int64)[kept],
            flags=zeros + int(Flag.NONE),
            method=zeros + int(Method.NONE),
        )


class _CellWrong(Exception):
    """Which cell of a row is wrong, and how."""

    def __init__(self, column: str, code: str) -> None:
        self.column = column
        self.code = code
        super().__init__(column, code)


def _refuse_name(name: str, text: str, *, may_be_blank: bool) -> None:
    if (not text and not may_be_blank) or len(text) > _NAME_LENGTH_AT_MOST or not (text + "x").isprintable():
        raise _CellWrong(name, "csv.wrong-name")


def _interval_s(text: str) -> int:
    is_whole = text.isascii() and text.isdigit() and len(text) <= 5
    if not is_whole or not 1 <= int(text) <= _INTERVAL_S_AT_MOST or _INTERVAL_S_AT_MOST % int(text):
        raise _CellWrong("interval_s", "csv.interval-length")
    return int(text)
