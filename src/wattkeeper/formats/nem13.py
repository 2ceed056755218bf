"""NEM13 accumulation files (AEMO Meter Data File Format v2.6): what a register advanced between two reads.

Records: 100 header, 250 an advance with the reads before and after, 550 how they were read, 900 end. Each 250
record becomes one interval from the previous read to the current one, as long as that took; the reads
themselves are in its note, and `register_blocks` gives them as blocks of a register, `advance_blocks` takes
them to intervals again. A register that counts one rate alone is named as displays name it, RegisterID 1.8.2
for the second; its NMISuffix is the number of its meter and its own: 12 is ``E1 T2`` among our channels.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, pairwise
from typing import BinaryIO, NamedTuple

import numpy as np

from wattkeeper.core.kernel.identifiers import bare_nmi, nmi_check_digit
from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, encode_aemo
from wattkeeper.formats.api import (
    ErrorList,
    IntervalBlock,
    LossList,
    ParsedIntervals,
    RowError,
    is_time,
)
from wattkeeper.formats.blocks import Key, kinds_of, make_block, to_texts
from wattkeeper.formats.channels import is_export, split_rate
from wattkeeper.formats.decimals import CODES, FINE, to_signed
from wattkeeper.formats.lines import iter_lines
from wattkeeper.formats.nem12 import wrong_name
from wattkeeper.formats.nem12_days import MARKET_OFFSET
from wattkeeper.formats.nem12_quality import Kind, parse_quality, parse_tail
from wattkeeper.formats.nem12_write import (
    NULL,
    at_its_nmi,
    can_hold,
    cells_of,
    head_record,
    note_folded,
    suffix_of,
    unit_of,
)
from wattkeeper.formats.notes import pack_note, unpack_note
from wattkeeper.formats.units import base_unit, written_unit

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
_RATE_REGISTER = "1.8."  # OBIS C.D.E, without the E that is the rate
_RATE_SUFFIX = re.compile(r"([0-9A-Z])([1-4])", re.ASCII)


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
    ``nem13.advance-differs``. A register has the digits and the step that its reads are written with. Where
    an advance begins with another read than the one before it ends with, a second block has the one that is
    told later: which of two tellings of one instant stands is not for a file to say.
    """
    reads: dict[Key, dict[int, dict[int, Quality]]] = {}  # at each instant what the register showed
    modulus: dict[Key, int] = {}
    step: dict[Key, int] = {}
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
            parts = (note.get(f"aemo.previous_{name}", "") for name in ("quality", "reason", "text"))
            before = parse_tail([*parts], {})
            into_grid = " export" if note.get("aemo.direction") == "I" else ""
            own = (block.usage_point, block.meter_serial, block.channel + into_grid, block.unit, 0)
            first = before.quality if isinstance(before, Kind) else Quality(Provenance.MEASURED)
            shown = reads.setdefault(own, {})
            shown.setdefault(start, {}).setdefault(int(values[0]), first)
            shown.setdefault(start + block.interval_s, {})[int(values[1])] = quality
            modulus[own] = max(modulus.get(own, 0), digits_milli)
            decimals_count = max(len(text.partition(".")[2]) for text in texts)
            step[own] = min(step.get(own, digits_milli), 10 ** max(exponent - decimals_count, 0))
    registers = []
    for where, shown in reads.items():
        for nth in range(max(map(len, shown.values()))):
            held = {at_s: list(told.items())[nth] for at_s, told in shown.items() if len(told) > nth}
            block = make_block(
                where,
                list(held),
                [value for value, _quality in held.values()],
                [(quality, "") for _value, quality in held.values()],
                range(len(held)),
            )
            registers.append(replace(block, modulus_milli=modulus[where], step_milli=step[where]))
    return registers, errors


class Advance(NamedTuple):
    """What a register advanced between two reads: instants, what it showed, the energy, both qualities."""

    from_s: int
    to_s: int
    before_milli: int
    after_milli: int
    quantity_milli: int
    previous: Quality
    current: Kind


def advance_blocks(
    point: str,
    serial: str,
    channel: str,
    unit: str,
    advances: Sequence[Advance],
    *,
    modulus_milli: int = 0,
    step_milli: int = 0,
) -> list[IntervalBlock]:
    """Return advances as `read_nem13` would: intervals of their lengths, with the reads in their notes.

    `modulus_milli` and `step_milli`, where they are known, say with how many digits the reads are written.
    """
    rate = split_rate(channel)[1]
    exponent = written_unit(unit)[1]
    width = len(str(modulus_milli)) - 1 - exponent if modulus_milli else 0
    rows: dict[Key, dict[int, tuple[int, Kind]]] = {}
    for one in advances:
        texts = to_texts(np.array([one.before_milli, one.after_milli]), exponent, step_milli)
        before, after = (_with_zeros(text, width) for text in texts)
        code, reason, words = cells_of(one.previous, {})
        note = {
            **unpack_note(one.current.note),
            **({"aemo.register": _RATE_REGISTER + rate} if rate else {}),
            "aemo.direction": "I" if is_export(channel) else "E",
            "aemo.previous_read": before,
            "aemo.previous_quality": code,
            "aemo.previous_reason": reason,
            "aemo.previous_text": words,
            "aemo.current_read": after,
        }
        held = rows.setdefault((point, serial, channel, unit, one.to_s - one.from_s), {})
        held[one.from_s] = one.quantity_milli, Kind(one.current.quality, pack_note(note))
    return [
        make_block(
            key,
            list(held),
            [value for value, _kind in held.values()],
            [kind for _value, kind in held.values()],
            range(len(held)),
        )
        for key, held in rows.items()
    ]


def _with_zeros(text: str, width: int) -> str:
    whole, point, rest = text.partition(".")
    return whole.zfill(width) + point + rest


def write_nem13(blocks: Sequence[IntervalBlock], losses: LossList, *, created: str = "") -> Iterator[bytes]:
    """Yield the lines of a file; reads of registers become advances, each from the read before it.

    An interval whose reads before and after are not in its note is a loss.
    """
    yield head_record("NEM13", blocks, created)
    for block in map(_at_its_suffix, chain.from_iterable(_with_advances(each, losses) for each in blocks)):
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


def _at_its_suffix(block: IntervalBlock) -> IntervalBlock:
    """Return a block at its NMI; of a rate of imported energy by the suffix that is its own."""
    stream, rate = split_rate(block.channel)
    own = at_its_nmi(replace(block, channel=stream))
    if rate and suffix_of(own)[0] != "E":
        return block
    return replace(own, channel=suffix_of(own)[1:] + rate) if rate else own


def _with_advances(block: IntervalBlock, losses: LossList) -> Iterator[IntervalBlock]:
    """Yield a block of intervals as it is, and one of a register as what it advanced from read to read."""
    if block.interval_s:
        yield block
        return
    told = {"usage_point": block.usage_point}
    kinds, place = kinds_of(block)
    is_back = np.array([encode_aemo(quality)[0] == NULL for quality, _note in kinds], dtype=np.bool_)[place]
    if kept_back_count := int((is_back & (block.provenance != Provenance.MISSING)).sum()):
        losses.add("nem13.read-kept-back", kept_back_count, **told)
    own = [column[~is_back].tolist() for column in (block.starts_at_s, block.value_milli, place)]
    advances = []
    for (from_s, previous, before), (to_s, current, after) in pairwise(zip(*own, strict=True)):
        quantity = current - previous + (block.modulus_milli if current < previous else 0)
        kind = Kind(*kinds[after])
        advances.append(Advance(from_s, to_s, previous, current, quantity, kinds[before][0], kind))
    if len(own[0]) == 1:
        losses.add("nem13.one-read", 1, **told)
    if apart_count := sum(one.quantity_milli < 0 for one in advances):
        losses.add("nem13.reads-apart", apart_count, **told)
    good = [one for one in advances if one.quantity_milli >= 0]
    names = (block.usage_point, block.meter_serial, block.channel, block.unit)
    yield from advance_blocks(*names, good, modulus_milli=block.modulus_milli, step_milli=block.step_milli)


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
    if column := wrong_name(cells):
        raise _Wrong(column, "nem12.wrong-name")
    point = bare_nmi(cells[1])
    if point is None:
        raise _Wrong(2, "nem12.check-digit", expected=nmi_check_digit(cells[1][:-1]))
    unit = base_unit(cells[19])
    if unit is None:
        raise _Wrong(20, "nem12.unit-unknown")
    start_s, end_s = _instant(cells[9], 10), _instant(cells[14], 15)
    if end_s <= start_s:
        raise _Wrong(15, "nem13.reads-not-in-order")
    if not is_time(np.array([start_s]), end_s - start_s).all():
        raise _Wrong(15, "formats.time-out-of-range")
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
    key = (point, cells[6], _channel(cells[4], cells[3]), unit[0], end_s - start_s)
    return _Row(key, start_s, int(values[0]), kind, number)


def _channel(suffix: str, register: str) -> str:
    """Return a suffix as it is, or of the register of a rate the name that we give it."""
    rate = _RATE_SUFFIX.fullmatch(suffix)
    return f"E{rate[1]} T{rate[2]}" if rate and register == _RATE_REGISTER + rate[2] else suffix


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
