"""NEM12 interval files (AEMO Meter Data File Format v2.6) to blocks of intervals.

Records: 100 header, 200 stream, 300 a day of values, 400 qualities within a day marked V, 500 read details,
900 end. The k-th value of a day is the energy of the interval that ends k lengths after midnight, market time
UTC+10 all year. Values stay exact integers.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.decimals import CELL_BYTES_AT_MOST
from wattkeeper.formats.lines import iter_lines
from wattkeeper.formats.nem12_days import Day, DayCollector, Stream
from wattkeeper.formats.nem12_quality import VARIABLE, Quality, parse_quality
from wattkeeper.formats.units import base_unit

MARKET_OFFSET = timedelta(hours=10)
INTERVAL_MINUTES = (1, 5, 10, 15, 30, 60)  # the standard says 5, 15 or 30; files in use have the others too
_NAME_BYTES_AT_MOST = 24


def read_nem12(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of a NEM12 file and an error for each row left out; never raises on what it reads.

    A row that is wrong leaves out its day; a wrong 200 record its days; a missing header or end is an error,
    without a header nothing is read.
    """
    reader = _Reader()
    for line_number, line in iter_lines(source):
        if line is None:
            reader.errors.add(line_number, 0, "formats.line-too-long")
        elif line.strip(b", "):
            reader.take(line_number, line.split(b","))
        if reader.has_no_header:
            break
    return reader.finish()


@dataclass(slots=True)
class _Reader:
    """Where the file stands: in which stream, in which day."""

    errors: ErrorList = field(default_factory=ErrorList)
    days: DayCollector = field(default_factory=DayCollector)
    has_header: bool = False
    has_no_header: bool = False
    has_ended: bool = False
    stream: Stream | None = None
    in_stream: bool = False
    is_day_refused: bool = False
    variable: "_VariableDay | None" = None
    line_number: int = 0

    def take(self, line_number: int, cells: list[bytes]) -> None:
        """Take one record."""
        self.line_number = line_number
        record = cells[0].strip()
        if not self.has_header:
            self._take_header(record, cells)
            return
        if self.has_ended:
            self._wrong(0, "nem12.after-end")
            return
        if record != b"400":
            self._close_variable()
        if record == b"200":
            self._take_stream(cells)
        elif record == b"300":
            self._take_day(cells)
        elif record == b"400":
            self._take_qualities(cells)
        elif record == b"500":
            if not self.in_stream:
                self._wrong(1, "nem12.record-out-of-place")
        elif record == b"900":
            self.has_ended = True
        else:
            self._wrong(1, "nem12.record-unknown")

    def finish(self) -> ParsedIntervals:
        """Return all that was read."""
        self._close_variable()
        if not self.has_header and not self.has_no_header:
            self.errors.add(1, 0, "nem12.no-header")
        elif self.has_header and not self.has_ended:
            self.errors.add(self.line_number, 0, "nem12.no-end")
        blocks = self.days.blocks(self.errors)
        if not blocks and not len(self.errors):
            self.errors.add(self.line_number, 0, "formats.no-intervals")
        return ParsedIntervals(blocks, self.errors.sorted())

    def _wrong(self, column: int, code: str, **params: object) -> None:
        self.errors.add(self.line_number, column, code, **params)

    def _take_header(self, record: bytes, cells: list[bytes]) -> None:
        if record != b"100" or len(cells) < 2 or cells[1].strip().upper() != b"NEM12":
            self._wrong(1, "nem12.no-header")
            self.has_no_header = True
        self.has_header = not self.has_no_header

    def _take_stream(self, cells: list[bytes]) -> None:
        self.in_stream, self.stream = True, None
        if len(cells) < 9:
            self._wrong(0, "nem12.too-few-fields", least=9)
            return
        for column in (2, 5, 7):
            name = cells[column - 1]
            if len(name) > _NAME_BYTES_AT_MOST or not name.isascii() or not name.decode().isprintable():
                self._wrong(column, "nem12.wrong-name")
                return
        names = [cells[index].strip().decode() for index in (1, 4, 6)]
        if not names[0] or not names[1]:
            self._wrong(2 if not names[0] else 5, "nem12.wrong-name")
            return
        unit = base_unit(cells[7].decode("ascii", "replace"))
        if unit is None:
            self._wrong(8, "nem12.unit-unknown")
            return
        minutes = cells[8].strip()
        if minutes not in [b"%d" % choice for choice in INTERVAL_MINUTES]:
            self._wrong(9, "nem12.interval-length", choices=INTERVAL_MINUTES)
            return
        self.stream = Stream(names[0], names[2], names[1], unit[0], unit[1], int(minutes) * 60)

    def _take_day(self, cells: list[bytes]) -> None:
        if not self.in_stream:
            self._wrong(1, "nem12.record-out-of-place")
        if self.stream is None:
            return
        self.is_day_refused = True
        count = self.stream.interval_count
        if len(cells) < count + 3:
            self._wrong(0, "nem12.wrong-count", expected=count)
            return
        starts_at_s = _market_midnight(cells[1].strip())
        if starts_at_s is None:
            self._wrong(2, "nem12.wrong-date")
            return
        if any(cell.strip() for cell in cells[count + 7 :]):
            self._refuse_day(cells, count + 8, "nem12.too-many-fields")
            return
        values = cells[2 : count + 2]
        tail = [cell.strip() for cell in cells[count + 2 : count + 7]] + [b""] * 5
        quality_code, reason = tail[0], tail[1]
        if quality_code == VARIABLE:
            self.variable = _VariableDay(self.line_number, starts_at_s, values, count)
            self.is_day_refused = False
            return
        quality = parse_quality(quality_code, reason)
        if isinstance(quality, str):
            self._refuse_day(cells, count + 3, quality)
            return
        self.is_day_refused = False
        self._keep_day(self.line_number, starts_at_s, values, [(count, quality)])

    def _refuse_day(self, cells: list[bytes], column: int, code: str) -> None:
        """Note the error; where the quality stands elsewhere, the number of values is what is wrong."""
        assert self.stream is not None
        count = self.stream.interval_count
        found = next((index for index, cell in enumerate(cells) if cell.strip()[:1].isalpha()), count + 2)
        if found != count + 2:
            self._wrong(0, "nem12.wrong-count", expected=count, found=found - 2)
        else:
            self._wrong(column, code)

    def _take_qualities(self, cells: list[bytes]) -> None:
        variable = self.variable
        if variable is None:
            if not self.in_stream or (self.stream is not None and not self.is_day_refused):
                self._wrong(1, "nem12.record-out-of-place")
            return
        bounds = [cell.strip() for cell in cells[1:3]]
        if len(cells) < 4 or not all(bound.isdigit() and len(bound) < 5 for bound in bounds):
            variable.refuse(self, 2, "nem12.wrong-range")
            return
        start, end = int(bounds[0]), int(bounds[1])
        if start != variable.covered_count + 1 or not start <= end <= variable.interval_count:
            variable.refuse(self, 2, "nem12.wrong-range", expected_start=variable.covered_count + 1)
            return
        reason = cells[4].strip() if len(cells) > 4 else b""
        quality = parse_quality(cells[3].strip(), reason)
        if isinstance(quality, str):
            variable.refuse(self, 4, quality)
            return
        variable.spans.append((end - start + 1, quality))
        variable.covered_count = end

    def _close_variable(self) -> None:
        variable, self.variable = self.variable, None
        if variable is None or variable.is_refused:
            return
        if variable.covered_count != variable.interval_count:
            self.errors.add(
                variable.line_number, 0, "nem12.qualities-missing", covered_count=variable.covered_count
            )
            return
        self._keep_day(variable.line_number, variable.starts_at_s, variable.values, variable.spans)

    def _keep_day(
        self, line_number: int, starts_at_s: int, values: list[bytes], spans: list[tuple[int, Quality]]
    ) -> None:
        assert self.stream is not None
        longest = max(map(len, values))
        if longest > CELL_BYTES_AT_MOST or b"\0" in b"".join(values):
            self.errors.add(line_number, 0, "formats.not-a-number")
            return
        self.days.add(self.stream, Day(line_number, starts_at_s, spans), values, self.errors)


@dataclass(slots=True)
class _VariableDay:
    """A day marked V, waiting for its 400 records."""

    line_number: int
    starts_at_s: int
    values: list[bytes]
    interval_count: int
    covered_count: int = 0
    is_refused: bool = False
    spans: list[tuple[int, Quality]] = field(default_factory=list)

    def refuse(self, reader: _Reader, column: int, code: str, **params: object) -> None:
        """Leave the day out; only its first wrong record is an error."""
        if not self.is_refused:
            reader.errors.add(reader.line_number, column, code, **params)
        self.is_refused = True


def _market_midnight(text: bytes) -> int | None:
    if len(text) != 8 or not text.isdigit():
        return None
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
        return to_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC) - MARKET_OFFSET)
    except (ValueError, OverflowError):
        return None
