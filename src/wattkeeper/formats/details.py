"""Details: what a writer's format can say of the notes of a block; the rest is told as a loss.

A detail is a field of a note (notes.py), ``aemo.register`` or ``espi.reading.cost``. Each format says the
details of its own family again; IEC 61968-9 carries all others in the comments of a reading's qualities,
tables in a column.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_aemo, decode_espi, decode_mscons
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kind_columns, kinds_of
from wattkeeper.formats.csv_cells import FORMULA_STARTS
from wattkeeper.formats.detect import Format
from wattkeeper.formats.espi import READING_FIELDS, TYPE_FIELDS
from wattkeeper.formats.mscons import MOMENTS, status_codes
from wattkeeper.formats.nem12_quality import is_reason, parse_quality
from wattkeeper.formats.notes import NOTE_LENGTH_AT_MOST, pack_note, unpack_note
from wattkeeper.formats.quality_words import MARK

CanSay = Callable[[Quality, str, str], bool]

_AEMO_BOTH = ("config", "register", "stream", "next", "quality", "reason", "text", "updated", "loaded")
_NEM12 = frozenset(f"aemo.{name}" for name in (*_AEMO_BOTH, "reads"))
_NEM13 = frozenset(
    f"aemo.{name}"
    for name in (
        *_AEMO_BOTH,
        "direction",
        "previous_read",
        "previous_quality",
        "previous_reason",
        "previous_text",
        "current_read",
        "transactions",
    )
)
_TABLES: tuple[Format, ...] = ("csv", "xlsx")  # a note has a cell of its own there
_BOUNDED: tuple[Format, ...] = (*_TABLES, "iec61968")
_NAME = re.compile(r"[a-z0-9]+(\.\w+)+", re.ASCII)
_NO_NAME = "details"
_CELLS = ("aemo.reads", "aemo.transactions")
_ESPI = frozenset(
    {"espi.quality", "espi.start", "espi.duration"}
    | {f"espi.{name}" for name in TYPE_FIELDS}
    | {f"espi.reading.{name}" for name in READING_FIELDS}
)
_MSCONS_NAME = re.compile(r"mscons\.(loc|pia|at|unit|quality|dtm\w+)", re.ASCII)
_MSCONS_TEXT = re.compile(r"[\w .+:;?-]*", re.ASCII)


def hold_details(form: Format, block: IntervalBlock, losses: LossList) -> IntervalBlock:
    """Return the block with the details that a format can say; the others go to `losses`, told by name."""
    if len(block.notes) == 1:
        return block
    can_say = _CAN_SAY.get(form)
    lost: set[str] = set()
    lost_count = 0
    kinds, place = kinds_of(block)
    counts = np.bincount(place, minlength=len(kinds)).tolist()
    kept_notes = []
    for (quality, note), count in zip(kinds, counts, strict=True):
        kept, gone = _split(can_say, form, quality, note)
        kept_notes.append(kept)
        if gone:
            lost |= gone
            lost_count += count
    if not lost:
        return block
    tell_details(losses, lost_count, lost)
    kept_kinds = [(quality, note) for (quality, _note), note in zip(kinds, kept_notes, strict=True)]
    index, table, notes = kind_columns(kept_kinds, place)
    return replace(block, kind_index=index, kinds=table, notes=notes)


def _split(can_say: CanSay | None, form: Format, quality: Quality, note: str) -> tuple[str, set[str]]:
    """Return what is kept of a note, and the names of the details that are not."""
    if len(note) > NOTE_LENGTH_AT_MOST and form in _BOUNDED:
        return "", {_NO_NAME}
    if form in _TABLES or not note:
        return note, set()
    fields = unpack_note(note)
    kept = {name: text for name, text in fields.items() if can_say is None or can_say(quality, name, text)}
    gone = {name if _NAME.fullmatch(name) else _NO_NAME for name in fields.keys() - kept.keys()}
    if len(fields) <= note.count("&"):
        gone.add(_NO_NAME)  # a text of another hand that is no field, or one twice
    return (pack_note(kept) if gone else note), gone


def tell_details(losses: LossList, count: int, names: set[str]) -> None:
    """Note that some intervals lose details of these names."""
    losses.add("formats.details-not-held", count, names=", ".join(sorted(names)))


def _say_nem12(quality: Quality, name: str, text: str) -> bool:
    return name in _NEM12 and _say_aemo(quality, name, text)


def _say_nem13(quality: Quality, name: str, text: str) -> bool:
    return name in _NEM13 and _say_aemo(quality, name, text)


def _say_aemo(quality: Quality, name: str, text: str) -> bool:
    """Return whether cells can hold a text as it is: commas, breaks and formulas would say something else."""
    cells = re.split("[,;]", text) if name in _CELLS else [text]
    if name == "aemo.quality":
        return parse_quality(text, "0") == quality == decode_aemo(text)
    if name == "aemo.reason":
        return is_reason(text)
    if name == "aemo.text" and text.startswith(MARK):
        return False  # it would say a quality
    is_number = name in ("aemo.previous_read", "aemo.current_read")
    return all(
        cell == cell.strip()
        and (cell + "x").isprintable()
        and "," not in cell
        and (is_number or not cell.startswith(FORMULA_STARTS))
        for cell in cells
    )


def _say_espi(quality: Quality, name: str, text: str) -> bool:
    if quality.provenance is Provenance.MISSING:
        return False  # it is not in the file
    if name == "espi.quality":
        codes = [code for code in text.split(",") if code.isdecimal()]
        return decode_espi(int(code) for code in codes) == quality and (text == "none") == (not codes)
    return name in _ESPI and text == text.strip() and (text + "x").isprintable()


def _say_mscons(quality: Quality, name: str, text: str) -> bool:
    if not _MSCONS_NAME.fullmatch(name) or not _MSCONS_TEXT.fullmatch(text) or MARK in text:
        return False
    if name == "mscons.at":
        return text in MOMENTS
    came = text.split(";")
    return name != "mscons.quality" or decode_mscons(came[0], status_codes(came[1:])) == quality


_CAN_SAY: dict[Format, CanSay] = {
    "nem12": _say_nem12,
    "nem13": _say_nem13,
    "greenbutton": _say_espi,
    "mscons": _say_mscons,
}
