"""NEM13 accumulation files (AEMO Meter Data File Format v2.6): what a register advanced between two reads.

Records: 100 header, 250 an advance with the reads before and after, 550 how they were read, 900 end. Each 250
record becomes one interval from the previous read to the current one, as long as that took; the reads
themselves are in its note, and `register_blocks` gives them as blocks of a register.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import BinaryIO, NamedTuple

from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality
from wattkeeper.formats.api import ErrorList, IntervalBlock, LossList, ParsedIntervals, RowError
from wattkeeper.formats.blocks import Key, kinds_of, make_block, to_texts
from wattkeeper.formats.decimals import CODES, FINE, to_signed
from wattkeeper.formats.lines import iter_lines
from wattkeeper.formats.nem12_days import MARKET_OFFSET
from wattkeeper.formats.nem12_quality import Kind, parse_quality, parse_tail
from wattkeeper.formats.nem12_write import can_hold, cells_of, head_record, note_folded, suffix_of, unit_of
from wattkeeper.formats.notes import pack_note, unpack_note
from wattkeeper.formats.units import base_unit

_FIELDS = {
    "aemo.config": 2,
    "aemo.register": 3,
    "aemo.stream": 5,
    "aemo.direction": 7,
    "aemo.previous_read": 8,
    "aemo.previous_quality": 10,
    "aemo.previous_reason": 11,
    "aemo.previous_text": 12,
    "aemo.current_read": 13,
    "aemo.next": 20,
}
_CELL_COUNT = 21  # the dates of update and load may be left out
_NAME_LENGTH_AT_MOST = 24


class _Wrong(Exception):
    def __init__(self, column: int, code: str, **params: object) -> None:
        self.column, self.code, self.params = column, code, params
        super().__init__(code)


class _Row(NamedTuple):
    key: Key
    start_s: int
    value_milli: int
    kind: Kind
    line: int


def read_nem13(source: BinaryIO | bytes) -> ParsedIntervals:
    """Return the advances of a NEM13 file and an error for each record left out; never raises."""
    errors = ErrorList()
    rows: list[_Row] = []
    has_header = has_ended = False
    number = 1
    for number, line in iter_lines(source):
        if line is None:
            errors.add(number, 0, "formats.line-too-long")
            continue
        cells = [cell.strip() for cell in line.decode("utf-8", "replace").split(",")]
        if not any(cells):
            continue
        if not has_header:
            if cells[0] != "100" or cells[1:2] != ["NEM13"]:
                errors.add(number, 1, "nem13.no-header")
                return ParsedIntervals([], errors.sorted())
            has_header = True
        elif has_ended:
            errors.add(number, 0, "nem12.after-end")
        elif cells[0] == "900":
            has_ended = True
        else:
            _take(number, cells, rows, errors)
    if not has_ended:
        errors.add(number, 0, "nem12.no-end" if has_header else "nem13.no-header")
    blocks = _blocks(rows, errors)
    if not blocks and not len(errors):
        errors.add(number, 0, "formats.no-intervals")
    return ParsedIntervals(blocks, errors.sorted())


def register_blocks(blocks: Sequence[IntervalBlock]) -> tuple[list[IntervalBlock], list[RowError]]:
    """Return the reads before and after each advance as blocks of registers (``interval_s`` 0), and errors.

    The name of one that counts what flows into the grid (AEMO's "I") ends in ``export``.
    An advance that its own reads do not come to is an error, so is one without them: ``nem13.no-reads``,
    ``nem13.advance-differs``. A register has the digits that its reads are written with.
    """
    reads: dict[Key, dict[int, tuple[int, Quality]]] = {}
    modulus: dict[Key, int] = {}
    errors: list[RowError] = []
    for block in blocks:
        exponent = unit_of(block)[1]
        kinds, place = kinds_of(block)
        columns = (block.starts_at_s.tolist(), block.value_milli.tolist(), place.tolist())
        for start, advance, index in zip(*columns, strict=True):
            quality, note = kinds[index][0], unpack_note(kinds[index][1])
            told = {"usage_point": block.usage_point, "channel": block.channel}
            if not _has_reads(note, exponent):
                errors.append(RowError(0, 0, "nem13.no-reads", {**told, "interval_count": 1}))
                continue
            texts = [note[name] for name in ("aemo.previous_read", "aemo.current_read")]
            values, _wrong = to_signed([text.encode() for text in texts], exponent)
            digits_milli = 10 ** (exponent + max(len(text.partition(".")[0]) for text in texts))
            if (int(values[1]) - int(values[0]) - advance) % digits_milli:
                reads_told = {"previous": texts[0], "current": texts[1]}
                errors.append(RowError(0, 0, "nem13.advance-differs", {**told, **reads_told}))
                continue
            before = parse_quality(note["aemo.previous_quality"], note.get("aemo.previous_reason", ""))
            into_grid = " export" if note.get("aemo.direction") == "I" else ""
            own = (block.usage_point, block.meter_serial, block.channel + into_grid, block.unit, 0)
            held = reads.setdefault(own, {})
            first = before if isinstance(before, Quality) else Quality(Provenance.MEASURED)
            held.setdefault(start, (int(values[0]), first))
            held[start + block.interval_s] = int(values[1]), quality
            modulus[own] = max(modulus.get(own, 0), digits_milli)
    registers = [
        replace(
            make_block(
                where,
                list(held),
                [value for value, _quality in held.values()],
                [(quality, "") for _value, quality in held.values()],
                range(len(held)),
            ),
            modulus_milli=modulus[where],
        )
        for where, held in reads.items()
    ]
    return registers, errors


def write_nem13(blocks: Sequence[IntervalBlock], losses: LossList, *, created: str = "") -> Iterator[bytes]:
    """Yield the lines of a file. An interval whose reads before and after are not in its note is a loss."""
    yield head_record("NEM13", blocks, created)
    for block in blocks:
        if not can_hold(block, losses):
            continue
        unit, exponent = unit_of(block)
        kinds, place = kinds_of(block)
        texts = to_texts(block.value_milli, exponent)
        for start, text, index in zip(block.starts_at_s.tolist(), texts, place.tolist(), strict=True):
            quality, note_text = kinds[index]
            note = unpack_note(note_text)
            if not _has_reads(note, exponent):
                losses.add("nem13.no-reads", 1, usage_point=block.usage_point)
                continue
            note_folded(losses, quality, note, 1)
            yield _record(block, start, text, unit, quality, note)
            if note.get("aemo.transactions"):
                yield f"550,{note['aemo.transactions']}\r\n".encode()
    yield b"900\r\n"


def _has_reads(note: dict[str, str], exponent: int) -> bool:
    """Return whether a note has the reads before and after, each a number, the first with its quality."""
    before = parse_quality(note.get("aemo.previous_quality", ""), note.get("aemo.previous_reason", ""))
    texts = [note.get(name, "") for name in ("aemo.previous_read", "aemo.current_read")]
    _values, wrong = to_signed([text.encode() for text in texts], exponent)
    return all(texts) and isinstance(before, Quality) and bool((wrong == FINE).all())


def _take(number: int, cells: list[str], rows: list[_Row], errors: ErrorList) -> None:
    try:
        if cells[0] == "250":
            rows.append(_row(number, cells))
        elif cells[0] != "550":
            raise _Wrong(1, "nem12.record-unknown")
        elif rows and rows[-1].line == number - 1:
            kind = rows[-1].kind
            fields = {**unpack_note(kind.note), "aemo.transactions": ",".join(cells[1:])}
            rows[-1] = rows[-1]._replace(kind=kind._replace(note=pack_note(fields)))
        elif not len(errors):
            raise _Wrong(1, "nem12.record-out-of-place")
    except _Wrong as wrong:
        errors.add(number, wrong.column, wrong.code, **wrong.params)


def _row(number: int, cells: list[str]) -> _Row:
    if len(cells) < _CELL_COUNT:
        raise _Wrong(0, "nem12.too-few-fields", least=_CELL_COUNT)
    for column in (2, 5, 7):
        name = cells[column - 1]
        if (not name and column != 7) or len(name) > _NAME_LENGTH_AT_MOST or not (name + "x").isprintable():
            raise _Wrong(column, "nem12.wrong-name")
    unit = base_unit(cells[19])
    if unit is None:
        raise _Wrong(20, "nem12.unit-unknown")
    start_s, end_s = _instant(cells[9], 10), _instant(cells[14], 15)
    if end_s <= start_s:
        raise _Wrong(15, "nem13.reads-not-in-order")
    values, wrong = to_signed([cells[k].encode() for k in (18, 8, 13)], unit[1])
    for column, verdict in zip((19, 9, 14), wrong.tolist(), strict=True):
        if verdict != FINE:
            raise _Wrong(column, CODES[verdict])
    note = {name: cells[index] for name, index in _FIELDS.items()}
    before = parse_quality(note["aemo.previous_quality"], note["aemo.previous_reason"])
    if isinstance(before, str):
        raise _Wrong(11, before)
    kind = parse_tail([*cells[15:18], *cells[21:23]], note)
    if isinstance(kind, str):
        raise _Wrong(16, kind)
    key = (cells[1], cells[6], cells[4], unit[0], end_s - start_s)
    return _Row(key, start_s, int(values[0]), kind, number)


def _instant(text: str, column: int) -> int:
    """Return the UTC second of YYYYMMDDhhmmss in market time (UTC+10)."""
    parts = [text[:4], *(text[at : at + 2] for at in range(4, 14, 2))]
    try:
        if len(text) != 14 or not (text.isascii() and text.isdigit()):
            raise ValueError
        return to_seconds(datetime(*map(int, parts), tzinfo=UTC) - MARKET_OFFSET)  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        raise _Wrong(column, "nem13.wrong-time") from None


def _blocks(rows: Sequence[_Row], errors: ErrorList) -> list[IntervalBlock]:
    groups: dict[Key, dict[int, _Row]] = {}
    for row in rows:
        held = groups.setdefault(row.key, {})
        first = held.setdefault(row.start_s, row)
        if first is not row:
            errors.add(row.line, 0, "nem13.record-twice", first_line=first.line)
    return [
        make_block(
            key,
            list(held),
            [row.value_milli for row in held.values()],
            [row.kind for row in held.values()],
            range(len(held)),
        )
        for key, held in groups.items()
    ]


def _record(
    block: IntervalBlock, start_s: int, text: str, unit: str, quality: Quality, note: dict[str, str]
) -> bytes:
    cells = [""] * 23
    cells[0], cells[1], cells[4], cells[6] = "250", block.usage_point, suffix_of(block), block.meter_serial
    for name, index in _FIELDS.items():
        cells[index] = note.get(name, "")
    cells[9], cells[14] = _stamp(start_s), _stamp(start_s + block.interval_s)
    cells[15:18] = cells_of(quality, note)
    cells[18], cells[19] = text, unit
    cells[21:23] = note.get("aemo.updated", ""), note.get("aemo.loaded", "")
    return (",".join(cells) + "\r\n").encode()


def _stamp(at_s: int) -> str:
    return (from_seconds(at_s) + MARKET_OFFSET).strftime("%Y%m%d%H%M%S")
