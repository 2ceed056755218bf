"""What stands behind the values of a NEM12 day or range: quality, reason and dates, to a quality and a note.

AEMO Meter Data File Format v2.6 (effective 2024-09-29): QualityMethod, ReasonCode.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from wattkeeper.core.kernel.quality_codes import AEMO_METHODS, Quality, decode_aemo, encode_aemo
from wattkeeper.formats.notes import pack_note
from wattkeeper.formats.quality_words import heed_words

VARIABLE = "V"
FREE_TEXT = "0"  # the ReasonCode of a description that is no other reason's
TAIL_COUNT = 5  # quality, reason, its description, when it was updated, when it was loaded
_QUALITY = re.compile(r"[AEFNS](\d\d)?", re.ASCII)
_REASON = re.compile(r"\d{1,3}", re.ASCII)
_REASON_MOST = 109


class Kind(NamedTuple):
    """Quality and note of a run of intervals."""

    quality: Quality
    note: str


def parse_quality(code: str, reason: str) -> Quality | str:
    """Return our quality, or the code of what is wrong.

    S and F carry a method and a reason, E a method.
    """
    match = _QUALITY.fullmatch(code)
    if match is None:
        return "nem12.quality-unknown"
    letter, number = code[0], int(match[1] or 0)
    if number and number not in AEMO_METHODS:
        return "nem12.method-unknown"
    if reason and not is_reason(reason):
        return "nem12.reason-unknown"
    if letter in "EFS" and not number:
        return "nem12.method-missing"
    if letter in "FS" and not reason:
        return "nem12.reason-missing"
    return decode_aemo(code) or "nem12.quality-unknown"


def is_reason(text: str) -> bool:
    """Return whether a text is a ReasonCode."""
    return bool(_REASON.fullmatch(text)) and int(text) <= _REASON_MOST


def parse_tail(cells: Sequence[str], more: dict[str, str]) -> Kind | str:
    """Return quality and note of the fields from QualityMethod on, or the code of what is wrong.

    `more` is what the note holds besides: of the 200 record, or of the day a range belongs to.
    """
    code, reason, text, updated, loaded = [*map(str.strip, cells), "", "", "", "", ""][:TAIL_COUNT]
    quality = parse_quality(code, reason)
    if isinstance(quality, str):
        return quality
    told = heed_words(text, quality, "nem12")
    if told is not None:
        quality, text, reason = told, "", "" if reason == FREE_TEXT else reason
    note = {
        **more,
        "aemo.quality": code if encode_aemo(quality) != code else "",
        "aemo.reason": reason,
        "aemo.text": text,
        **({"aemo.updated": updated} if updated else {}),
        **({"aemo.loaded": loaded} if loaded else {}),
    }
    return Kind(quality, pack_note(note))


def dates_of(cells: Sequence[str]) -> dict[str, str]:
    """Return what a variable day says for all of its ranges."""
    updated, loaded = [*map(str.strip, cells), "", "", "", "", ""][3:TAIL_COUNT]
    return {"aemo.updated": updated, "aemo.loaded": loaded}
