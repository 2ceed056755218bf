"""Blocks of intervals to a NEM12 file: whole days of market time, what is not there marked N."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_aemo, encode_aemo
from wattkeeper.formats.api import Int64s, IntervalBlock, LossList
from wattkeeper.formats.blocks import Key, key_of, kinds_of, newest_end, note_folding, to_texts
from wattkeeper.formats.details import tell_details
from wattkeeper.formats.nem12 import INTERVAL_MINUTES
from wattkeeper.formats.nem12_days import MARKET_OFFSET
from wattkeeper.formats.nem12_kinds import DAY_S
from wattkeeper.formats.nem12_quality import FREE_TEXT, parse_tail
from wattkeeper.formats.notes import unpack_note
from wattkeeper.formats.quality_words import words_of
from wattkeeper.formats.units import written_unit

_OFFSET_S = int(MARKET_OFFSET.total_seconds())
_UNITS = ("Wh", "varh", "VAh", "W", "var", "VA", "V", "A", "pf", "")
_SPELLING = {"kvarh": "kVArh", "kvar": "kVAr", "none": ""}
_SERIAL_LENGTH_AT_MOST = 24  # the standard says 12; meters in use have longer ones
_NMI = re.compile(r"[A-Za-z0-9]{10}", re.ASCII)
_LATER = re.compile(r"([A-Za-z0-9]{10})-([02-9A-Z])", re.ASCII)
_SUFFIX = re.compile(r"[A-Za-z0-9]{2}", re.ASCII)
_SERIAL = re.compile(r"[^=+\-@,](?:[^,]*[^ ,])?", re.ASCII)
_SUFFIXES = {
    ("import", "Wh"): "E1",
    ("export", "Wh"): "B1",
    ("import", "varh"): "Q1",
    ("export", "varh"): "K1",
}
_PARTIES = "WATTKEEPER,UNKNOWN"  # who sends and who receives: both are required, and blocks name neither
_REASON_UNKNOWN = "24"  # substituted or replaced data
NULL = "N"


class _Tail(NamedTuple):
    """What stands behind the values of a day or range, and what the 200 record before it says."""

    code: str
    reason: str
    text: str
    updated: str
    loaded: str
    reads: str
    header: tuple[str, str, str, str]


_HEADER_NAMES = ("aemo.config", "aemo.register", "aemo.stream", "aemo.next")
_ABSENT = _Tail(NULL, "", "", "", "", "", ("", "", "", ""))


def write_nem12(blocks: Sequence[IntervalBlock], losses: LossList, *, created: str = "") -> Iterator[bytes]:
    """Yield the lines of a file; `created` is YYYYMMDDhhmm in market time, the end of the data unless given.

    What NEM12 can't hold goes to `losses`: units, lengths, names that are no NMI or suffix, instants off its
    grid, negative and suspect values (these are kept back), details that differ within a day.
    """
    yield head_record("NEM12", blocks, created)
    days_of: dict[Key, set[int]] = {}
    for block in map(at_its_nmi, blocks):
        if can_hold(block, losses) and _has_length(block, losses):
            written = days_of.setdefault((*key_of(block)[:2], suffix_of(block), *key_of(block)[3:]), set())
            yield from _write_block(block, written, losses)
    yield b"900\r\n"


def head_record(kind: str, blocks: Sequence[IntervalBlock], created: str) -> bytes:
    """Return the 100 record of a file."""
    created = created or f"{newest_end(blocks) + MARKET_OFFSET:%Y%m%d%H%M}"
    return f"100,{kind},{created},{_PARTIES}\r\n".encode()


def at_its_nmi(block: IntervalBlock) -> IntervalBlock:
    """Return a block of a usage point ``NMI-2``, as an import names a later channel, as one of its NMI."""
    match = _LATER.fullmatch(block.usage_point)
    suffix = _SUFFIXES.get((block.channel, block.unit), block.channel)
    if match is None or suffix not in _SUFFIXES.values():
        return block
    serial = block.meter_serial.removesuffix(f"-{match[2]}")
    return replace(block, usage_point=match[1], meter_serial=serial, channel=f"{suffix[0]}{match[2]}")


def suffix_of(block: IntervalBlock) -> str:
    """Return the NMISuffix of a channel: its own name, or what AEMO calls one of our standard channels."""
    return _SUFFIXES.get((block.channel, block.unit), block.channel)


def can_hold(block: IntervalBlock, losses: LossList) -> bool:
    """Return whether a file of AEMO's can hold such a block; note why not."""
    count = len(block.starts_at_s)
    if block.unit not in _UNITS:
        losses.add("formats.unit-not-held", count, unit=block.unit)
        return False
    if not _NMI.fullmatch(block.usage_point):
        losses.add("nem12.not-a-nmi", count, usage_point=block.usage_point, channel=block.channel)
        return False
    if not _SUFFIX.fullmatch(suffix_of(block)):
        losses.add("nem12.not-a-suffix", count, usage_point=block.usage_point, channel=block.channel)
        return False
    serial = block.meter_serial
    is_plain = serial.isascii() and serial.isprintable() and len(serial) <= _SERIAL_LENGTH_AT_MOST
    if serial and not (is_plain and _SERIAL.fullmatch(serial)):
        losses.add("formats.name-not-held", count, name=serial)
        return False
    return True


def unit_of(block: IntervalBlock) -> tuple[str, int]:
    """Return the unit as AEMO writes it, and the power of ten of its thousandths."""
    unit, exponent = written_unit(block.unit)
    return _SPELLING.get(unit, unit), exponent


def code_of(quality: Quality, note: dict[str, str]) -> str:
    """Return the QualityMethod: as it came where that still says the same."""
    code = note.get("aemo.quality", "")
    return code if decode_aemo(code) == quality else encode_aemo(quality)


def cells_of(quality: Quality, note: dict[str, str]) -> tuple[str, str, str]:
    """Return QualityMethod, ReasonCode and ReasonDescription.

    The reason is as it came; a substitute must have one, so that of any where it has none. A quality that no
    code says is described, unless there is a description already or the value is kept back.
    """
    code, reason, text = code_of(quality, note), note.get("aemo.reason", ""), note.get("aemo.text", "")
    is_kept_back = code[0] == NULL and quality.provenance is not Provenance.MISSING
    if decode_aemo(code) == quality or is_kept_back or text or reason == FREE_TEXT:
        return code, reason or (_REASON_UNKNOWN if code[0] in "FS" else ""), text
    return code, reason or FREE_TEXT, words_of(quality)


def note_folded(losses: LossList, quality: Quality, note: dict[str, str], count: int) -> None:
    """Note a quality that is read as another one."""
    kind = parse_tail(cells_of(quality, note), {})
    note_folding(losses, quality, None if isinstance(kind, str) else kind.quality, count)


def _has_length(block: IntervalBlock, losses: LossList) -> bool:
    minutes, rest = divmod(block.interval_s, 60)
    if not rest and minutes in INTERVAL_MINUTES:
        return True
    losses.add("formats.interval-not-held", len(block.starts_at_s), interval_s=block.interval_s)
    return False


def _write_block(block: IntervalBlock, written: set[int], losses: LossList) -> Iterator[bytes]:
    unit, exponent = unit_of(block)
    count = DAY_S // block.interval_s
    kinds, place = kinds_of(block)
    tails = [*[_tail(quality, note) for quality, note in kinds], _ABSENT]
    is_held, place = _held(block, kinds, place, losses)
    all_days = (block.starts_at_s + _OFFSET_S) // DAY_S
    is_again = is_held & np.isin(all_days, list(written))
    if is_again.any():
        names = {"usage_point": block.usage_point, "suffix": suffix_of(block)}
        losses.add("nem12.day-written", int(is_again.sum()), **names)
        is_held &= ~is_again
    written.update(np.unique(all_days[is_held]).tolist())
    day, within_s = np.divmod(block.starts_at_s[is_held] + _OFFSET_S, DAY_S)
    days, row = np.unique(day, return_inverse=True)
    values = np.zeros((len(days), count), dtype=np.int64)
    which = np.full((len(days), count), len(kinds), dtype=np.int64)
    values[row, within_s // block.interval_s] = block.value_milli[is_held]
    which[row, within_s // block.interval_s] = place[is_held]
    texts = to_texts(values.ravel(), exponent)
    header = None
    for index, market_day in enumerate(days.tolist()):
        tail_of_day = [tails[k] for k in which[index].tolist()]
        first = next(tail for tail in tail_of_day if tail is not _ABSENT)
        _note_unlike(first, tail_of_day, losses)
        if first.header != header:
            header = first.header
            yield _stream_record(block, unit, header)
        yield from _day(market_day, texts[index * count : (index + 1) * count], tail_of_day)


def _note_unlike(first: _Tail, tails: Sequence[_Tail], losses: LossList) -> None:
    """Note what a day says once for all of its intervals, where they do not agree."""
    if len({id(tail) for tail in tails}) == 1:
        return
    wanted = _of_day(first)
    for tail in tails:
        if tail is not _ABSENT and (found := _of_day(tail)) != wanted:
            tell_details(losses, 1, {name for name in wanted if found[name] != wanted[name]})


def _of_day(tail: _Tail) -> dict[str, str]:
    header = dict(zip(_HEADER_NAMES, tail.header, strict=True))
    return {**header, "aemo.updated": tail.updated, "aemo.loaded": tail.loaded, "aemo.reads": tail.reads}


def _held(
    block: IntervalBlock, kinds: Sequence[tuple[Quality, str]], place: Int64s, losses: LossList
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Int64s]:
    """Return which intervals have a place in the file, and the kinds: what is kept back is null."""
    counts = np.bincount(place, minlength=len(kinds)).tolist()
    for (quality, note), count in zip(kinds, counts, strict=True):
        note_folded(losses, quality, unpack_note(note), count)
    is_off = (block.starts_at_s + _OFFSET_S) % block.interval_s != 0
    is_negative = block.value_milli < 0
    if is_off.any():
        losses.add("formats.off-grid", int(is_off.sum()), usage_point=block.usage_point)
    if is_negative.any():
        losses.add("formats.negative-not-held", int(is_negative.sum()), usage_point=block.usage_point)
    is_null = np.array([encode_aemo(quality) == NULL for quality, _note in kinds], dtype=np.bool_)
    is_kept = ~is_off & ~is_negative
    is_kept &= ~(is_null[place] & (block.value_milli != 0) & (block.provenance == Provenance.MISSING))
    return is_kept, place


def _tail(quality: Quality, note_text: str) -> _Tail:
    note = unpack_note(note_text)
    code, reason, text = cells_of(quality, note)
    config, register, stream, following = (note.get(name, "") for name in _HEADER_NAMES)
    updated, loaded, reads = (note.get(f"aemo.{name}", "") for name in ("updated", "loaded", "reads"))
    return _Tail(code, reason, text, updated, loaded, reads, (config, register, stream, following))


def _stream_record(block: IntervalBlock, unit: str, header: tuple[str, str, str, str]) -> bytes:
    config, register, stream, following = header
    minutes = block.interval_s // 60
    names = f"{block.usage_point},{config},{register},{suffix_of(block)},{stream},{block.meter_serial}"
    return f"200,{names},{unit},{minutes},{following}\r\n".encode()


def _day(market_day: int, texts: Sequence[str], tails: Sequence[_Tail]) -> Iterator[bytes]:
    day = from_seconds(market_day * DAY_S).strftime("%Y%m%d")
    values = ",".join("0" if tail.code == NULL else text for text, tail in zip(texts, tails, strict=True))
    first = next(tail for tail in tails if tail is not _ABSENT)
    runs = [(tail, len(list(run))) for tail, run in groupby(tails, key=lambda tail: tail[:3])]
    if len(runs) == 1:
        yield f"300,{day},{values},{','.join(first[:5])}\r\n".encode()
    else:
        yield f"300,{day},{values},V,,,{first.updated},{first.loaded}\r\n".encode()
        start = 1
        for tail, count in runs:
            yield f"400,{start},{start + count - 1},{','.join(tail)}\r\n".encode()
            start += count
    for read in first.reads.split(";") if first.reads else []:
        yield f"500,{read}\r\n".encode()
