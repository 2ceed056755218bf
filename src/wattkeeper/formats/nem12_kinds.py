"""NEM12 lines of a chunk, and which quality and note the intervals of each have."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.formats.api import ErrorList, Int64s
from wattkeeper.formats.blocks import Key, table_of
from wattkeeper.formats.decimals import Bytes
from wattkeeper.formats.nem12_quality import TAIL_COUNT, VARIABLE, Kind, dates_of, parse_tail

Indexes = NDArray[np.unsignedinteger]  # as narrow as they may be

DAY_S = 86_400
REFUSED, IN_RANGES = -1, -2


class Stream(NamedTuple):
    """Whose values a 200 record announces. `exponent`: the unit's power of ten to thousandths of the base."""

    usage_point: str
    meter_serial: str
    channel: str
    unit: str
    interval_s: int
    exponent: int

    @property
    def key(self) -> Key:
        """Return what tells the stream's block from others."""
        return self.usage_point, self.meter_serial, self.channel, self.unit, self.interval_s

    @property
    def interval_count(self) -> int:
        """Return how many intervals a day has: market time knows no daylight saving."""
        return DAY_S // self.interval_s


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines of a chunk that are 300 records under 200 records of like length.

    `first_comma`, `comma_count`: which of `commas` are the line's own; `ends_at`: where the line ends.
    """

    text: bytes
    buffer: Bytes
    commas: Int64s
    number: Int64s
    first_comma: Int64s
    comma_count: Int64s
    ends_at: Int64s
    header: Int64s

    def where(self, is_kept: NDArray[np.bool_]) -> "Lines":
        """Return some of the lines."""
        columns = (self.number, self.first_comma, self.comma_count, self.ends_at, self.header)
        return Lines(self.text, self.buffer, self.commas, *[column[is_kept] for column in columns])

    def cell(self, row: int, index: int) -> bytes:
        """Return one cell of a line."""
        at = int(self.first_comma[row]) + index
        return self.text[int(self.commas[at - 1]) + 1 : int(self.commas[at])]


@dataclass(slots=True)
class Details:
    """What stands between a 300 record and the next: (line, cells) of 400 records, and 500 records."""

    ranges: list[tuple[int, list[str]]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)


HeaderNote = tuple[str, str, str, str]
_NOTE_NAMES = ("aemo.config", "aemo.register", "aemo.stream", "aemo.next")


class KindTable:
    """Gives each day a kind: an index into `kinds`, or REFUSED, or IN_RANGES where its intervals differ.

    `streams`, `interval_counts`, `exponents`: of each 200 record, by its index.
    """

    def __init__(self, errors: ErrorList) -> None:
        self.kinds: list[Kind] = []
        self.is_missing = array("b")  # of each kind
        self.streams, self.interval_counts, self.exponents = array("q"), array("q"), array("q")
        self._note_of = array("q")
        self._notes: dict[HeaderNote, int] = {}
        self._notes_told: list[dict[str, str]] = []
        self._errors = errors
        self._index: dict[Kind, int] = {}
        self._tails: dict[tuple[int, bytes], int | str] = {}

    def add_header(self, stream_index: int, stream: Stream, note: HeaderNote) -> int:
        """Take a 200 record: its stream, and what its intervals' notes begin with; return its index."""
        self.streams.append(stream_index)
        self.interval_counts.append(stream.interval_count)
        self.exponents.append(stream.exponent)
        index = self._notes.setdefault(note, len(self._notes))
        if index == len(self._notes_told):
            self._notes_told.append(dict(zip(_NOTE_NAMES, note, strict=True)))
        self._note_of.append(index)
        return len(self.streams) - 1

    def kinds_of(
        self, lines: Lines, count: int, details: dict[int, Details]
    ) -> tuple[Int64s, dict[int, Indexes]]:
        """Return each day's kind (or REFUSED, IN_RANGES), and of variable days each interval's."""
        kinds = np.empty(len(lines.number), dtype=np.int64)
        ranges: dict[int, Indexes] = {}
        tails_at = (lines.commas[lines.first_comma + count + 1] + 1).tolist()
        notes = np.array(self._note_of)[lines.header].tolist()
        rows = zip(tails_at, lines.ends_at.tolist(), notes, lines.number.tolist(), strict=True)
        for row, (start, end, note, number) in enumerate(rows):
            tail = lines.text[start:end]
            kind = self._tails.get((note, tail))
            if kind is None:
                kind = self._tails[note, tail] = self._parse_tail(tail, note)
            if number in details or kind == IN_RANGES or isinstance(kind, str):
                kind, spread = self._kind_in_full(lines, row, count, kind, details.get(number) or Details())
                if spread is not None:
                    ranges[number] = spread
            kinds[row] = kind
        return kinds, ranges

    def give_up(self) -> tuple[Int64s, tuple[str, ...]]:
        """Return `kinds` and `notes` of all blocks; no further line is taken."""
        self._tails, self._index = {}, {}
        return table_of(self.kinds)

    def _parse_tail(self, tail: bytes, note: int) -> int | str:
        """Return the kind of a day's last fields, IN_RANGES, or the code of what is wrong."""
        cells = tail.decode("utf-8", "replace").split(",")
        if any(cell.strip() for cell in cells[TAIL_COUNT:]):
            return "nem12.too-many-fields"
        if cells[0].strip() == VARIABLE:
            return IN_RANGES
        kind = parse_tail(cells, self._notes_told[note])
        return kind if isinstance(kind, str) else self._index_of(kind)

    def _kind_in_full(
        self, lines: Lines, row: int, count: int, kind: int | str, details: Details
    ) -> tuple[int, Indexes | None]:
        """Return the kind of a day that is wrong, has ranges or reads, or should have."""
        number = int(lines.number[row])
        start = int(lines.commas[lines.first_comma[row] + count + 1]) + 1
        tail = lines.text[start : int(lines.ends_at[row])].decode("utf-8", "replace").split(",")
        if isinstance(kind, str):
            self._refuse_day(lines, row, count, kind)
            return REFUSED, None
        more = self._notes_told[self._note_of[int(lines.header[row])]]
        if details.reads:
            more = {**more, "aemo.reads": ";".join(details.reads)}
        if kind == IN_RANGES:
            spread = self._spread(number, count, details.ranges, {**more, **dates_of(tail)})
            return (REFUSED if spread is None else IN_RANGES), spread
        for line, _cells in details.ranges:
            self._errors.add(line, 1, "nem12.record-out-of-place")
        found = parse_tail(tail, more)
        return kind if isinstance(found, str) else self._index_of(found), None

    def _refuse_day(self, lines: Lines, row: int, count: int, code: str) -> None:
        """Note the error; where the quality stands elsewhere, the number of values is what is wrong."""
        total = int(lines.comma_count[row])
        cells = [lines.cell(row, index).strip() for index in range(1, total)]
        last = lines.text[int(lines.commas[lines.first_comma[row] + total - 1]) + 1 : int(lines.ends_at[row])]
        found = next(
            (at for at, cell in enumerate([*cells, last.strip()], 1) if cell[:1].isalpha()), count + 2
        )
        number = int(lines.number[row])
        if found != count + 2:
            self._errors.add(number, 0, "nem12.wrong-count", expected=count, found=found - 2)
        else:
            self._errors.add(number, count + (8 if code == "nem12.too-many-fields" else 3), code)

    def _spread(
        self, number: int, count: int, ranges: Sequence[tuple[int, list[str]]], more: dict[str, str]
    ) -> Indexes | None:
        """Return the kind of each interval of a variable day, None after noting what is wrong."""
        kinds = np.empty(count, dtype=np.uint32)
        covered_count = 0
        for line, cells in ranges:
            bounds = [cell.strip() for cell in cells[1:3]]
            is_fine = len(cells) > 3 and all(b.isascii() and b.isdigit() and len(b) < 5 for b in bounds)
            start, end = (int(bounds[0]), int(bounds[1])) if is_fine else (0, 0)
            if start != covered_count + 1 or not start <= end <= count:
                self._errors.add(line, 2, "nem12.wrong-range", expected_start=covered_count + 1)
                return None
            kind = parse_tail(cells[3:6], more)
            if isinstance(kind, str):
                self._errors.add(line, 4, kind)
                return None
            kinds[covered_count:end] = self._index_of(kind)
            covered_count = end
        if covered_count != count:
            self._errors.add(number, 0, "nem12.qualities-missing", covered_count=covered_count)
            return None
        return kinds.astype(np.min_scalar_type(kinds.max()))

    def _index_of(self, kind: Kind) -> int:
        index = self._index.setdefault(kind, len(self.kinds))
        if index == len(self.kinds):
            self.kinds.append(kind)
            self.is_missing.append(kind.quality.provenance is Provenance.MISSING)
        return index
