"""NEM12 interval files (AEMO Meter Data File Format v2.6) to blocks of intervals.

Records: 100 header, 200 stream, 300 a day of values, 400 qualities within a day marked V, 500 read details,
900 end. The k-th value of a day is the energy of the interval that ends k lengths after midnight, market time
UTC+10 all year. Values stay exact integers. Files are read by the chunk: all 300 records of one are arrays,
every other record is looked at by itself.
"""

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.identifiers import bare_nmi, nmi_check_digit
from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.decimals import PADDING
from wattkeeper.formats.lines import LINE_BYTES_AT_MOST, iter_chunks
from wattkeeper.formats.nem12_days import DayCollector
from wattkeeper.formats.nem12_kinds import Details, Lines, Stream
from wattkeeper.formats.units import base_unit

INTERVAL_MINUTES = (1, 5, 10, 15, 30, 60)  # the standard says 5, 15 or 30; files in use have the others too
_NAME_BYTES_AT_MOST = 24
_DAY_BEGINS = int.from_bytes(b"300,", "little")
_TAIL_PADDING = b"\0" * 8


def read_nem12(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the blocks of a NEM12 file and an error for each row left out; never raises on what it reads.

    A row that is wrong leaves out its day; a wrong 200 record its days; a missing header or end is an error,
    without a header nothing is read.
    """
    reader = _Reader()
    for number, chunk in iter_chunks(source, b"\n300,"):
        reader.take_chunk(number, chunk)
        if reader.has_no_header:
            break
    return reader.finish()


class _Reader:
    """Where the file stands: which header holds, and what belongs to the last day."""

    def __init__(self) -> None:
        self.errors = ErrorList()
        self.days = DayCollector(self.errors)
        self.has_header = self.has_no_header = self.has_ended = self.in_stream = False
        self.header = -1  # the stream's index, -1 where its 200 record was wrong
        self.day_number = 0  # the line of the day that 400 and 500 records belong to, 0 for none
        self.is_day_ignored = False
        self.details: dict[int, Details] = {}
        self.line_number = 0

    def take_chunk(self, first_number: int, chunk: bytes) -> None:
        """Take some whole lines."""
        text = PADDING + chunk + _TAIL_PADDING
        buffer = np.frombuffer(text, dtype=np.uint8)
        ends_at = np.flatnonzero(buffer == ord("\n"))
        starts_at = np.concatenate([[len(PADDING)], ends_at[:-1] + 1])
        ends_at = ends_at - ((buffer[ends_at - 1] == ord("\r")) & (ends_at > starts_at))
        words = np.ndarray((len(text) - 3,), "<u4", text, strides=(1,))
        is_long = ends_at - starts_at > LINE_BYTES_AT_MOST
        is_day = (words[starts_at] == _DAY_BEGINS) & ~is_long
        header = np.full(len(starts_at), -1, dtype=np.int64)
        self.details = {}
        others = np.flatnonzero(~is_day)
        spans = (column[others].tolist() for column in (starts_at, ends_at, is_long))
        first = 0
        for place, start, end, is_too_long in zip(others.tolist(), *spans, strict=True):
            if place > first:
                header[first:place] = self._take_days(first_number + first, first_number + place)
            if self.has_no_header:
                return
            self.line_number = first_number + place
            found = self._take(b"" if is_too_long else text[start:end], is_long=is_too_long)
            if found >= 0:
                header[place] = found
            first = place + 1
        if first < len(starts_at) and not self.has_no_header:
            header[first:] = self._take_days(first_number + first, first_number + len(starts_at))
        self._keep_days(text, header, starts_at, ends_at, first_number)

    def finish(self) -> ParsedIntervals:
        """Return all that was read."""
        if not self.has_header and not self.has_no_header:
            self.errors.add(1, 0, "nem12.no-header")
        elif self.has_header and not self.has_ended:
            self.errors.add(self.line_number, 0, "nem12.no-end")
        blocks = self.days.blocks()
        if not blocks and not len(self.errors):
            self.errors.add(self.line_number, 0, "formats.no-intervals")
        return ParsedIntervals(blocks, self.errors.sorted())

    def _keep_days(
        self,
        text: bytes,
        header: NDArray[np.int64],
        starts_at: NDArray[np.int64],
        ends_at: NDArray[np.int64],
        first_number: int,
    ) -> None:
        """Hand the chunk's days over as arrays."""
        places = np.flatnonzero(header >= 0)
        if not len(places):
            return
        buffer = np.frombuffer(text, dtype=np.uint8)
        commas = np.flatnonzero(buffer == ord(","))
        first_comma = np.searchsorted(commas, starts_at[places])
        comma_count = np.searchsorted(commas, ends_at[places]) - first_comma
        number = first_number + places
        lines = Lines(text, buffer, commas, number, first_comma, comma_count, ends_at[places], header[places])
        self.days.add_lines(lines, self.details)

    def _wrong(self, column: int, code: str, **params: object) -> None:
        self.errors.add(self.line_number, column, code, **params)

    def _take_days(self, first: int, last: int) -> int:
        """Take the 300 records of lines first..last-1; return the index of their header or -1."""
        self.line_number, self.day_number = last - 1, 0
        if not self.has_header:
            self.line_number = first
            self._take_header([b"300"])
        elif self.has_ended or not self.in_stream:
            for number in range(first, last):
                code = "nem12.after-end" if self.has_ended else "nem12.record-out-of-place"
                self.errors.add(number, 0 if self.has_ended else 1, code)
        else:
            self.is_day_ignored = self.header < 0
            self.day_number = 0 if self.is_day_ignored else last - 1
            return self.header
        return -1

    def _take(self, line: bytes, *, is_long: bool) -> int:
        """Take a record that does not begin with ``300,``; return its header where it is a day after all."""
        if is_long:
            self._wrong(0, "formats.line-too-long")
            return -1
        if line.startswith(b"200,") and self.has_header and not self.has_ended:
            self._take_stream(line)
            return -1
        if not line.strip(b", "):
            return -1
        cells = line.split(b",")
        record = cells[0].strip()
        if not self.has_header:
            self._take_header(cells)
        elif record == b"300":
            return self._take_days(self.line_number, self.line_number + 1)
        elif self.has_ended:
            self._wrong(0, "nem12.after-end")
        elif record == b"200":
            self._take_stream(line)
        elif record in (b"400", b"500"):
            self._take_detail(record, cells)
        elif record == b"900":
            self.has_ended = True
        else:
            self._wrong(1, "nem12.record-unknown")
        return -1

    def _take_header(self, cells: list[bytes]) -> None:
        if cells[0].strip() != b"100" or len(cells) < 2 or cells[1].strip().upper() != b"NEM12":
            self._wrong(1, "nem12.no-header")
            self.has_no_header = True
        self.has_header = not self.has_no_header

    def _take_detail(self, record: bytes, cells: list[bytes]) -> None:
        if not self.day_number:
            if not self.in_stream or (record == b"400" and not self.is_day_ignored and self.header >= 0):
                self._wrong(1, "nem12.record-out-of-place")
            return
        details = self.details.setdefault(self.day_number, Details())
        texts = [cell.decode("utf-8", "replace") for cell in cells]
        if record == b"400":
            details.ranges.append((self.line_number, texts))
        else:
            details.reads.append(",".join(text.strip() for text in texts[1:]))

    def _take_stream(self, line: bytes) -> None:
        self.in_stream, self.header, self.day_number = True, -1, 0
        self.is_day_ignored = False
        text = line.decode("utf-8", "replace")
        texts = [cell.strip() for cell in text.split(",")] if " " in text else text.split(",")
        if len(texts) < 9:
            self._wrong(0, "nem12.too-few-fields", least=9)
            return
        wrong_column = wrong_name(texts, is_plain=text.isascii() and text.isprintable())
        point = bare_nmi(texts[1])
        unit, interval_s = base_unit(texts[7]), _INTERVALS_S.get(texts[8])
        if wrong_column:
            self._wrong(wrong_column, "nem12.wrong-name")
        elif point is None:
            self._wrong(2, "nem12.check-digit", expected=nmi_check_digit(texts[1][:-1]))
        elif unit is None:
            self._wrong(8, "nem12.unit-unknown")
        elif interval_s is None:
            self._wrong(9, "nem12.interval-length", choices=INTERVAL_MINUTES)
        else:
            stream = Stream(point, texts[6], texts[4], unit[0], interval_s, unit[1])
            note = (texts[2], texts[3], texts[5], texts[9] if len(texts) > 9 else "")
            self.header = self.days.add_header(stream, note)


def wrong_name(texts: list[str], *, is_plain: bool = False) -> int:
    """Return the column of the first name of a 200 or 250 record that is none, 0 where all are names.

    `is_plain`: all of the record is ASCII.
    """
    for column in (2, 5, 7):
        name = texts[column - 1]
        is_text = is_plain or (name.isascii() and (name + "x").isprintable())
        if not is_text or len(name) > _NAME_BYTES_AT_MOST or (column != 7 and not name):
            return column
    return 0


_INTERVALS_S = {str(minutes): 60 * minutes for minutes in INTERVAL_MINUTES}
