"""Rows of a table to blocks of intervals, as a mapping says; an error for each row left out."""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, parse_quality_name
from wattkeeper.formats.api import (
    LENGTH_S_AT_MOST,
    ErrorList,
    Int64s,
    IntervalBlock,
    ParsedIntervals,
    is_name,
    is_time,
)
from wattkeeper.formats.blocks import Key, table_of
from wattkeeper.formats.csv_cells import restore
from wattkeeper.formats.csv_times import (
    AMBIGUOUS,
    NEVER_S,
    NOT_IN_PATTERN,
    InstantParser,
    TimeWrong,
    bare_day,
)
from wattkeeper.formats.decimals import CODES, FINE, steps_of, to_signed
from wattkeeper.formats.mapping import OPTIONAL_COLUMNS, Mapping, Place, ValueColumn
from wattkeeper.formats.notes import NOTE_LENGTH_AT_MOST
from wattkeeper.formats.number_marks import grouped, without_groups
from wattkeeper.formats.table_rows import Bools, Held, Part, is_in_order
from wattkeeper.formats.units import base_unit

_SCIENTIFIC = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?[eE][+-]?\d{1,2}", re.ASCII)
_MISSING = Quality(Provenance.MISSING)
NO_RESULT = "\0"  # in place of a workbook's formula without a result: no field takes it
DIGITS_LOST = "\0\0"  # in place of a workbook's number of more digits than it keeps
MERGED = "\0\0\0"  # in place of a workbook's number that stands in the cells of several rows
_CELL_CODES = {NO_RESULT: "xlsx.no-result", DIGITS_LOST: "xlsx.digits-lost", MERGED: "xlsx.merged"}
_NOT_IN_DAY = "csv.not-in-day"

Cells = Sequence[str]
Rows = Iterable[tuple[int, Cells]]
_Text = TypeVar("_Text", bound=Hashable)
_Result = TypeVar("_Result")


class _CellWrong(NamedTuple):
    """Which field of a row is wrong, and how."""

    field_name: str
    code: str


class _Found(NamedTuple):
    """What the names of a row say: the block it belongs to, and its unit's power of ten."""

    key: Key
    exponent: int


class TableReader:
    """Turns rows into blocks. Feed `take` with lists of rows, the header among them; then `finish`."""

    def __init__(self, mapping: Mapping, errors: ErrorList) -> None:
        """Begin.

        :raises FormatError: ``formats.zone-unknown``
        """
        self._mapping = mapping
        self._errors = errors
        has_clock = not mapping.has_days or mapping.time_format == "iso"
        self._instants = InstantParser(mapping.zone, mapping.time_format + ("" if has_clock else " hh:mm:ss"))
        self._columns: list[_Column] = []
        self._cell_count = 0
        self._is_ready = self._is_refused = False
        self._held = Held()
        self._told: set[tuple[int, int, str]] = set()  # of the rows at hand
        if mapping.header_line == 0:
            self._begin({}, 0)

    def take(self, rows: Rows) -> None:
        """Take some rows in order, (line, cells) each."""
        self._told.clear()
        ready = []
        for line, cells in rows:
            if self._is_refused:
                return
            if not self._is_ready:
                self._take_header(line, cells)
            else:
                ready.append((line, cells))
        for column in self._columns if ready else []:
            column.take(ready)

    def finish(self) -> ParsedIntervals:
        """Return all that was read."""
        blocks = self._blocks() if self._held.rows[0] else []
        if not blocks and not len(self._errors):
            self._errors.add(1, 0, "formats.no-intervals" if self._is_ready else "csv.no-header")
        return ParsedIntervals(blocks, self._errors.sorted())

    def _take_header(self, line: int, cells: Cells) -> None:
        if line < self._mapping.header_line:
            return
        names = [cell.strip().lower() for cell in cells]
        places = {name: index for index, name in enumerate(names)}
        often = Counter(names)
        if twice := [name for name in self._names() if often[name.lower()] > 1]:
            self._errors.add(line, 0, "csv.header-twice", names=", ".join(twice))
            self._is_refused = True
            return
        needed = [name for name in self._names() if name.lower() not in places]
        missing = [name for name in needed if self._mapping.name != "plain" or name not in OPTIONAL_COLUMNS]
        known = {name.lower() for name in self._names()}
        is_strict = not self._mapping.has_unknown_columns
        unknown = [name for name in names if name not in known] if is_strict else []
        if missing or unknown or (is_strict and len(places) != len(names)):
            self._errors.add(line, 0, "csv.wrong-header", missing=missing, unknown=unknown)
            self._is_refused = True
            return
        self._begin(places, len(names))

    def _names(self) -> list[str]:
        """Return the column names that the mapping uses."""
        mapping = self._mapping
        places = [
            mapping.interval_s,
            mapping.usage_point,
            mapping.meter_serial,
            mapping.offset,
            mapping.details,
        ]
        for column in mapping.values:
            places += [column.channel, column.unit, column.quality]
        values = [name for column in mapping.values for name in column.columns]
        used = [*mapping.time, *values, *(place.column for place in places)]
        return list(dict.fromkeys(name for name in used if isinstance(name, str)))

    def _begin(self, places: dict[str, int], cell_count: int) -> None:
        self._is_ready = True
        self._cell_count = cell_count
        context = _Context(
            self._mapping, places, cell_count, self._errors, self._instants, self._held, self._told
        )
        self._columns = [_Column(context, column) for column in self._mapping.values]

    def _blocks(self) -> list[IntervalBlock]:
        key, _line, at_s, _later_s, value, kind = self._in_order(self._told_apart(self._held.give_up()))
        keys, kinds = list(self._held.keys), list(self._held.kinds)
        edges = [0, *(np.flatnonzero(key[1:] != key[:-1]) + 1).tolist(), len(key)]
        found = []
        for first, end in pairwise(edges if len(key) else ()):
            used, place = np.unique(kind[first:end], return_inverse=True)
            table, notes = table_of([kinds[index] for index in used.tolist()])
            columns_of = at_s[first:end], value[first:end], place.astype(np.int32)
            step_milli = self._held.steps_milli.get(int(key[first]), 0)
            found.append(
                IntervalBlock(*keys[int(key[first])], *columns_of, table, notes, step_milli=step_milli)
            )
        return found

    def _in_order(self, part: Part) -> Part:
        """Return the rows by key and time, each once: one that comes again is an error."""
        if is_in_order(part):
            return part
        order = np.lexsort((part.line, part.at_s, part.key))
        key, at_s = part.key[order], part.at_s[order]
        is_again = np.concatenate([[False], (key[1:] == key[:-1]) & (at_s[1:] == at_s[:-1])])
        again = part.line[order[is_again]].tolist()
        for number in dict.fromkeys(again) if self._mapping.has_days else again:
            self._errors.add(number, self._columns[0].column_of("time"), "csv.interval-twice")
        order, columns = order[~is_again], list(part)
        del part, key, at_s  # nobody else has them: of one column after the other, not of all, there are two
        return Part(*[columns.pop(0)[order] for _name in Part._fields])

    def _told_apart(self, rows: Part) -> Part:
        """Return the rows with those of a repeated hour at their instants, where the order tells these.

        It does where each wall clock of the hour is there twice and the channel's intervals then follow each
        other without a gap from line to line; other rows of such an hour are errors.
        """
        if not rows.later_s.any():
            return rows
        order = np.lexsort((rows.line, rows.at_s, rows.key))
        rows = Part(*(column[order] for column in rows))
        is_again = (np.diff(rows.key, prepend=-1) == 0) & (np.diff(rows.at_s, prepend=-1) == 0)
        is_pair = is_again & ~np.roll(is_again, 1) & ~np.append(is_again[1:], False)
        is_twice = is_pair | np.append(is_pair[1:], False)
        rows = rows._replace(at_s=rows.at_s + np.where(is_pair, rows.later_s, 0))
        order = np.lexsort((rows.line, rows.key))
        rows, is_twice = Part(*(column[order] for column in rows)), is_twice[order]
        lengths_s = np.array([key[4] for key in self._held.keys], dtype=np.int64)[rows.key]
        is_apart = (np.diff(rows.key, prepend=-1) == 0) & (np.diff(rows.at_s, prepend=-1) != lengths_s)
        is_dubious = rows.later_s != 0
        is_beside = is_dubious | np.roll(is_dubious, 1)
        unclear = rows.key[(is_dubious & ~is_twice) | (is_beside & is_apart)]
        is_wrong = is_dubious & np.isin(rows.key, unclear)
        for line in np.unique(rows.line[is_wrong]).tolist():
            self._errors.add(line, self._columns[0].column_of("time"), AMBIGUOUS)
        return Part(*(column[~is_wrong] for column in rows))


class _Context(NamedTuple):
    mapping: Mapping
    places: dict[str, int]
    cell_count: int
    errors: ErrorList
    instants: InstantParser
    held: Held
    told: set[tuple[int, int, str]]


class _Column:
    """One column of values over the rows, or a day's columns: arrays of shape (rows x columns,)."""

    def __init__(self, context: _Context, column: ValueColumn) -> None:
        self._context = context
        mapping = context.mapping
        self._fields: dict[str, Place] = {
            "usage_point": mapping.usage_point,
            "meter_serial": mapping.meter_serial,
            "channel": column.channel,
            "unit": column.unit,
            "interval_s": mapping.interval_s,
        }
        self._at = {name: self._index(place.column) for name, place in self._fields.items()}
        self._values_at = [self._index(name) or 0 for name in column.columns]
        self._has_days = mapping.has_days
        self._starts_s = np.array(mapping.starts_of(column) if mapping.has_days else [], dtype=np.int64)
        self._at["quality"] = self._index(column.quality.column)
        self._at["time"] = self._index(mapping.time[0])
        self._at["details"] = self._index(mapping.details.column)
        self._constants = {name: place.constant for name, place in self._fields.items()}
        self._constants |= {"quality": column.quality.constant, "details": ""}
        times = [*(self._index(name) for name in mapping.time), self._index(mapping.offset.column)]
        self._times_at = [at for at in times if at is not None]

    def column_of(self, name: str, number: int = 0) -> int:
        """Return the number of a field's column, of values the `number`-th one's; 0 where it has none."""
        at = self._values_at[number] if name == "value" else self._at.get(name)
        return 0 if at is None else at + 1

    def take(self, rows: Sequence[tuple[int, Cells]]) -> None:
        """Take rows; keep those that are right."""
        rows = self._whole(rows)
        if not rows:
            return
        lines = np.array([line for line, _cells in rows], dtype=np.int64)
        columns = list(zip(*(cells for _line, cells in rows), strict=False))
        wrong: dict[int, _CellWrong] = {}
        names = zip(*[self._texts(columns, name, len(rows)) for name in self._fields], strict=True)
        found, found_at = _looked_up(list(names), self._look_up, wrong)
        qualities, quality_at = _looked_up(self._texts(columns, "quality", len(rows)), self._quality, wrong)
        instants, time_at = _looked_up(self._times(columns), self._at_s, wrong)
        notes, note_at = _looked_up(self._texts(columns, "details", len(rows)), self._note, wrong)
        count = len(self._values_at)
        wrong = {row * count + number: one for row, one in wrong.items() for number in range(count)}
        if not (found and qualities and instants and notes):
            self._report(lines, columns, wrong)
            return
        kind = np.repeat(self._kinds(qualities, quality_at, notes, note_at), count)
        is_missing = np.array([one.provenance is Provenance.MISSING for one in qualities])[quality_at]
        exponents = np.array([one.exponent for one in found], dtype=np.int64)[found_at]
        at_s, later_s = np.array(instants, dtype=np.int64)[time_at].reshape(-1, 2).T
        is_nowhere = (at_s == NEVER_S) | (later_s != 0) if self._has_days else np.zeros(len(at_s), np.bool_)
        texts = self._texts_of_values(columns)
        self._refuse_nowhere(texts, is_nowhere, at_s, wrong)
        exponents = np.repeat(exponents, count)
        values, kind, is_kept = self._values(
            texts, exponents, np.repeat(is_missing, count), is_nowhere, kind, wrong
        )
        lengths_s = np.repeat(np.array([one.key[4] for one in found], dtype=np.int64)[found_at], count)
        if self._context.mapping.label == "end" and not self._has_days:
            at_s = at_s - lengths_s
        for cell in np.flatnonzero(~is_time(at_s, lengths_s) & ~is_nowhere).tolist():
            wrong.setdefault(cell, _CellWrong("time", "formats.time-out-of-range"))
        is_kept[list(wrong)] = False
        left_out = [cell // count for cell, one in wrong.items() if one == _CellWrong("value", _NOT_IN_DAY)]
        is_kept.reshape(-1, count)[left_out] = False  # whose columns are not what they are told to be
        self._report(lines, columns, wrong)
        keys = self._context.held.keys
        key = np.array([keys.setdefault(one.key, len(keys)) for one in found], dtype=np.int64)[found_at]
        part = Part(np.repeat(key, count), np.repeat(lines, count), at_s, later_s, values, kind)
        self._context.held.take(part, is_kept)
        of_register = [row for row in np.flatnonzero(is_kept & (lengths_s == 0)).tolist() if texts[row]]
        steps_milli = steps_of([texts[row].encode() for row in of_register], exponents[of_register])
        self._context.held.learn_steps(part.key[of_register], steps_milli)

    def _texts_of_values(self, columns: Sequence[Sequence[str]]) -> list[str]:
        """Return the values with a decimal point, row by row."""
        cells_of = zip(*(columns[at] for at in self._values_at), strict=True)
        texts = [cell.strip() for cells in cells_of for cell in cells]
        mark, thousands_mark = self._context.mapping.decimal_mark, self._context.mapping.thousands_mark
        if thousands_mark:
            pattern = grouped(thousands_mark, mark)
            texts = [without_groups(text, pattern, thousands_mark) for text in texts]
        if mark != ".":
            texts = [text.replace(".", "x").replace(mark, ".") for text in texts]
        return [_written_out(text) if "e" in text.lower() else text for text in texts]

    def _refuse_nowhere(
        self, texts: Sequence[str], is_nowhere: Bools, at_s: Int64s, wrong: dict[int, _CellWrong]
    ) -> None:
        """Refuse values of times that a clock change leaves out or repeats: they may only be blank."""
        for cell in np.flatnonzero(is_nowhere).tolist():
            if texts[cell]:
                code = _NOT_IN_DAY if at_s[cell] == NEVER_S else "csv.hour-twice"
                wrong.setdefault(cell, _CellWrong("value", code))

    def _report(self, lines: Int64s, columns: Sequence[Sequence[str]], wrong: dict[int, _CellWrong]) -> None:
        """Note errors by their place among rows x columns of values."""
        fields_at = {at for at in (*self._at.values(), *self._times_at) if at is not None}
        for cell, refused in wrong.items():
            row, number = divmod(cell, len(self._values_at))
            used_at = sorted({*fields_at, self._values_at[number]})
            at = next((at for at in used_at if columns[at][row] in _CELL_CODES), None)
            if at is not None:
                self._tell(int(lines[row]), at + 1, _CELL_CODES[columns[at][row]])
                continue
            is_pattern = refused.code == NOT_IN_PATTERN
            params = {"pattern": self._context.mapping.time_format} if is_pattern else {}
            column = self.column_of(refused.field_name, number)
            self._tell(int(lines[row]), column, refused.code, **params)

    def _tell(self, line: int, column: int, code: str, **params: object) -> None:
        """Note an error once, whatever the number of values in its row that it concerns."""
        if (line, column, code) not in self._context.told:
            self._context.told.add((line, column, code))
            self._context.errors.add(line, column, code, **params)

    def _whole(self, rows: Sequence[tuple[int, Cells]]) -> Sequence[tuple[int, Cells]]:
        """Return the rows that have the cells they should."""
        count = self._context.cell_count
        used_at = (*self._at.values(), *self._times_at, *self._values_at)
        least = max(at for at in used_at if at is not None) + 1
        whole = []
        for row in rows:
            if len(row[1]) == count or (not count and len(row[1]) >= least) or _has_blank_tail(row[1], count):
                whole.append(row)
            else:
                self._tell(row[0], 0, "csv.wrong-count", expected=count or least)
        return whole

    def _texts(self, columns: Sequence[Sequence[str]], name: str, count: int) -> Sequence[str]:
        at = self._at[name]
        return [self._constants[name]] * count if at is None else columns[at]

    def _times(self, columns: Sequence[Sequence[str]]) -> Sequence[str]:
        """Return the cells that say when, joined; a date beside a time has no time of its own."""
        first, *rest = [columns[at] for at in self._times_at]
        if self._has_days:
            first = [f"{bare_day(text)} 00:00:00" for text in first]
        if not rest:
            return first
        if len(self._context.mapping.time) == 2:
            first = [bare_day(text) for text in first]
        return [" ".join(map(str.strip, texts)) for texts in zip(first, *rest, strict=True)]

    def _kinds(
        self, qualities: Sequence[Quality], quality_at: Int64s, notes: Sequence[str], note_at: Int64s
    ) -> Int64s:
        """Return the index of each row's quality and note among all kinds."""
        unlike, place = np.unique(quality_at * len(notes) + note_at, return_inverse=True)
        kinds = self._context.held.kinds
        pairs = [(qualities[one // len(notes)], notes[one % len(notes)]) for one in unlike.tolist()]
        return np.array([kinds.setdefault(pair, len(kinds)) for pair in pairs], dtype=np.int64)[place]

    def _values(
        self,
        texts: Sequence[str],
        exponents: Int64s,
        is_missing: Bools,
        is_nowhere: Bools,
        kind: Int64s,
        wrong: dict[int, _CellWrong],
    ) -> tuple[Int64s, Int64s, Bools]:
        """Return the values, the kinds (of blanks as the mapping says), and which rows stay."""
        mapping = self._context.mapping
        is_blank = np.array([not text for text in texts])
        is_kept = ~is_nowhere
        if mapping.blank == "skip":
            is_kept &= ~is_blank | is_missing
        elif mapping.blank == "missing":
            missing = self._context.held.kinds.setdefault((_MISSING, ""), len(self._context.held.kinds))
            kind = np.where(is_blank & ~is_missing, missing, kind)
        for row in np.flatnonzero(is_missing & ~is_blank).tolist():
            wrong.setdefault(row, _CellWrong("value", "csv.missing-has-value"))
        values, verdicts = to_signed([text.encode("ascii", "replace") for text in texts], exponents)
        is_fine = (verdicts == FINE) | (is_blank & (is_missing | is_nowhere | (mapping.blank != "error")))
        for row in np.flatnonzero(~is_fine).tolist():
            wrong.setdefault(row, _CellWrong("value", CODES[int(verdicts[row])]))
        return values, kind, is_kept

    def _look_up(self, names: tuple[str, ...]) -> _Found | _CellWrong:
        texts = dict(zip(self._fields, (restore(name.strip()) for name in names), strict=True))
        for name in ("usage_point", "channel", "meter_serial"):
            text = texts[name]
            if not is_name(text) or (not text and name != "meter_serial"):
                return _CellWrong(name, "csv.wrong-name")
        unit = base_unit(texts["unit"])
        if unit is None or not texts["unit"]:
            return _CellWrong("unit", "formats.unit-unknown")
        length = texts["interval_s"]
        is_whole = length.isascii() and length.isdigit() and len(length) <= 9
        if not is_whole or int(length) > LENGTH_S_AT_MOST:
            return _CellWrong("interval_s", "csv.interval-length")
        key = (texts["usage_point"], texts["meter_serial"], texts["channel"], unit[0], int(length))
        return _Found(key, unit[1])

    def _quality(self, text: str) -> Quality | _CellWrong:
        word = restore(text.strip())
        quality = parse_quality_name(self._context.mapping.qualities.get(word, word))
        return _CellWrong("quality", "csv.quality-unknown") if quality is None else quality

    def _at_s(self, text: str) -> Int64s | tuple[tuple[int, int]] | _CellWrong:
        """Return the instant of each column of values, and how much later the same wall clock comes again.

        Shape (columns, 2).
        """
        instants = self._context.instants
        try:
            if self._has_days:
                return instants.parse_day(text.strip(), self._starts_s, self._context.mapping.day_interval_s)
            return ((instants.parse(text.strip()), 0),)
        except TimeWrong as wrong:
            if wrong.both is None:
                return _CellWrong("time", wrong.code)
            first_s, second_s = wrong.both
            return ((first_s, second_s - first_s),) if not self._has_days else _CellWrong("time", wrong.code)

    def _note(self, text: str) -> str | _CellWrong:
        note = restore(text.strip())
        if len(note) > NOTE_LENGTH_AT_MOST or not (note + "x").isprintable():
            return _CellWrong("details", "csv.wrong-details")
        return note

    def _index(self, column: str | int | None) -> int | None:
        if column is None:
            return None
        return column - 1 if isinstance(column, int) else self._context.places.get(column.lower())


def _has_blank_tail(cells: Cells, count: int) -> bool:
    """Whether a row only has more delimiters behind it than its header."""
    return 0 < count < len(cells) and not any(map(str.strip, cells[count:]))


def _written_out(text: str) -> str:
    """Return a number without its power of ten, ``1.5E-05`` as 0.000015: spreadsheets write small ones so."""
    return format(Decimal(text), "f") if _SCIENTIFIC.fullmatch(text) else text


def _looked_up(
    texts: Sequence[_Text], look_up: Callable[[_Text], _Result | _CellWrong], wrong: dict[int, _CellWrong]
) -> tuple[list[_Result], Int64s]:
    """Return what each unlike text means, and which of these each row has.

    What is wrong goes to `wrong` by its row, unless that row has an error already; it has the first result.
    """
    places = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    at = np.fromiter(map(places.__getitem__, texts), dtype=np.int64, count=len(texts))
    results = [look_up(text) for text in places]
    right = [one for one in results if not isinstance(one, _CellWrong)]
    if len(right) == len(results):
        return right, at
    for row in np.flatnonzero(np.array([isinstance(one, _CellWrong) for one in results])[at]).tolist():
        refused = results[at[row]]
        assert isinstance(refused, _CellWrong)
        wrong.setdefault(row, refused)
    moved = np.cumsum([not isinstance(one, _CellWrong) for one in results]) - 1
    return right, np.maximum(moved, 0)[at]
