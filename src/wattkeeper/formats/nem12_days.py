"""NEM12 days: many 300 records at a time become a matrix of integers, at the end one block a stream."""

from array import array
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.formats.api import LATEST_S, ErrorList, Int64s, IntervalBlock
from wattkeeper.formats.blocks import Key
from wattkeeper.formats.decimals import BLANK, CODES, FINE, Verdicts, to_integers_at
from wattkeeper.formats.nem12_kinds import (
    DAY_S,
    IN_RANGES,
    REFUSED,
    Details,
    HeaderNote,
    Indexes,
    KindTable,
    Lines,
    Stream,
)

MARKET_OFFSET = timedelta(hours=10)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Days, shape (days,); their values are held apart."""

    ranges: dict[int, Indexes]  # of a variable day, by its line: the kind of each interval
    stream: Int64s
    number: Int64s
    starts_at_s: Int64s
    kind: Int64s


class DayCollector:
    """Gathers days and hands out blocks, one a stream."""

    def __init__(self, errors: ErrorList) -> None:
        self._errors = errors
        self._streams: dict[Key, int] = {}
        self._table = KindTable(errors)
        self._days: dict[bytes, int] = {}
        self._batches: dict[int, list[_Batch]] = {}
        self._values: dict[int, array[int]] = {}  # they grow in place, shape (days x intervals,)

    def add_header(self, stream: Stream, note: HeaderNote) -> int:
        """Take a 200 record and return its index."""
        index = self._streams.setdefault(stream.key, len(self._streams))
        return self._table.add_header(index, stream, note)

    def add_lines(self, lines: Lines, details: dict[int, Details]) -> None:
        """Take 300 records; each has the header whose index it names."""
        count_of = np.array(self._table.interval_counts)[lines.header]
        for count in np.unique(count_of).tolist():
            is_like = count_of == count
            self._add_like(lines if is_like.all() else lines.where(is_like), count, details)

    def blocks(self) -> list[IntervalBlock]:
        """Return the blocks in the order their streams came; a day that comes again is an error.

        What was gathered is given up.
        """
        found = {}
        while self._batches:
            found.update(self._blocks_of(*self._batches.popitem()))
        return [found[index] for index in sorted(found)]

    def _add_like(self, lines: Lines, count: int, details: dict[int, Details]) -> None:
        is_enough = lines.comma_count >= count + 2
        for number in lines.number[~is_enough].tolist():
            self._errors.add(number, 0, "nem12.wrong-count", expected=count)
        lines = lines.where(is_enough)
        starts_at_s = self._midnights(lines)
        kind, ranges = self._table.kinds_of(lines, count, details)
        is_fine = (starts_at_s >= 0) & (kind != REFUSED)
        lines, starts_at_s, kind = lines.where(is_fine), starts_at_s[is_fine], kind[is_fine]
        if not len(kind):
            return
        edges = lines.commas[lines.first_comma[:, None] + np.arange(1, count + 2)]
        values, wrong = to_integers_at(
            lines.buffer, (edges[:, :-1] + 1).ravel(), edges[:, 1:].ravel(), self._powers(lines.header, count)
        )
        values, wrong = values.reshape(-1, count), wrong.reshape(-1, count)
        self._blank_missing(lines.number, kind, ranges, values, wrong)
        is_fine = ~wrong.any(axis=1)
        for row in np.flatnonzero(~is_fine).tolist():
            for index in np.flatnonzero(wrong[row]).tolist():
                is_negative = lines.cell(row, index + 2).strip().startswith(b"-")
                code = "nem12.negative" if is_negative else CODES[int(wrong[row, index])]
                self._errors.add(int(lines.number[row]), index + 3, code)
        stream = np.array(self._table.streams)[lines.header]
        columns = [stream, lines.number, starts_at_s, kind]
        if not is_fine.all():
            columns, values = [column[is_fine] for column in columns], values[is_fine]
        self._batches.setdefault(count, []).append(_Batch(ranges, *columns))
        self._values.setdefault(count, array("q")).frombytes(values.view(np.uint8).data)

    def _powers(self, headers: Int64s, count: int) -> int | Int64s:
        powers = np.array(self._table.exponents)[headers]
        return int(powers[0]) if (powers == powers[0]).all() else np.repeat(powers, count)

    def _midnights(self, lines: Lines) -> Int64s:
        """Return when each day starts, -1 (after noting the error) where that is no date."""
        ends = lines.commas[lines.first_comma + 1]
        words = np.ndarray((len(lines.buffer) - 7,), "<u8", lines.text, strides=(1,))[ends - 8]
        unlike, place = np.unique(words, return_inverse=True)
        found = np.array([self._midnight(word.tobytes()) for word in unlike], dtype=np.int64)[place]
        for row in np.flatnonzero(ends - lines.commas[lines.first_comma] != 9).tolist():
            found[row] = self._midnight(lines.cell(row, 1).strip())
        for row in np.flatnonzero(found < 0).tolist():
            self._errors.add(int(lines.number[row]), 2, "nem12.wrong-date")
        return found

    def _midnight(self, text: bytes) -> int:
        if text not in self._days:
            self._days[text] = market_midnight(text)
        return self._days[text]

    def _blank_missing(
        self, number: Int64s, kind: Int64s, ranges: dict[int, Indexes], values: Int64s, wrong: Verdicts
    ) -> None:
        """Let missing intervals be blank; their value is 0."""
        is_missing = np.array(self._table.is_missing, dtype=np.bool_)
        if not is_missing.any():
            return
        for row in np.flatnonzero((kind == IN_RANGES) | is_missing[np.maximum(kind, 0)]).tolist():
            missing = is_missing[ranges[int(number[row])] if kind[row] == IN_RANGES else kind[row]]
            wrong[row][missing & (wrong[row] == BLANK)] = FINE
            values[row][np.broadcast_to(missing, values[row].shape)] = 0

    def _blocks_of(self, count: int, batches: list[_Batch]) -> dict[int, IntervalBlock]:
        values = np.asarray(self._values.pop(count)).reshape(-1, count)  # nobody else has them
        stream, number, starts_at_s, kind = (
            np.concatenate([getattr(batch, name) for batch in batches])
            for name in ("stream", "number", "starts_at_s", "kind")
        )
        ranges = {line: kinds for batch in batches for line, kinds in batch.ranges.items()}
        order = np.lexsort((number, starts_at_s, stream))
        is_again = (np.diff(stream[order], prepend=-1) == 0) & (np.diff(starts_at_s[order], prepend=-1) == 0)
        first = np.maximum.accumulate(np.where(is_again, 0, np.arange(len(order))))
        again = number[order][is_again].tolist(), number[order[first]][is_again].tolist()
        for line, first_line in zip(*again, strict=True):
            self._errors.add(line, 2, "nem12.day-twice", first_line=first_line)
        order = order[~is_again]
        if not np.array_equal(order, np.arange(len(values))):
            values = values[order]
        return self._cut(
            _Batch(ranges, *[column[order] for column in (stream, number, starts_at_s, kind)]), values
        )

    def _cut(self, days: _Batch, values: Int64s) -> dict[int, IntervalBlock]:
        """Return a block of each stream: parts of arrays that all of them share, and of notes likewise."""
        if not len(days.stream):
            return {}
        count = values.shape[1]
        place = np.repeat(np.maximum(days.kind, 0).astype(np.int32), count)
        for row in np.flatnonzero(days.kind == IN_RANGES).tolist():
            place[row * count : (row + 1) * count] = days.ranges[int(days.number[row])]
        kinds, notes = self._table.give_up()
        steps = np.arange(0, DAY_S, DAY_S // count, dtype=np.int64)
        starts_at_s = (days.starts_at_s[:, None] + steps).ravel()
        values = values.ravel()
        keys = list(self._streams)
        edges = [0, *(np.flatnonzero(np.diff(days.stream)) + 1).tolist(), len(days.stream)]
        found = {}
        for (first, last), index in zip(pairwise(edges), days.stream[edges[:-1]].tolist(), strict=True):
            part = slice(first * count, last * count)
            key: Key = keys[index]
            found[index] = IntervalBlock(*key, starts_at_s[part], values[part], place[part], kinds, notes)
        return found


def market_midnight(text: bytes) -> int:
    """Return the UTC second at which a day of market time (UTC+10) starts, -1 for what is no date."""
    if len(text) != 8 or not text.isdigit():
        return -1
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
        starts_at_s = to_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC) - MARKET_OFFSET)
    except (ValueError, OverflowError):
        return -1
    return starts_at_s if 0 <= starts_at_s < LATEST_S - DAY_S else -1
