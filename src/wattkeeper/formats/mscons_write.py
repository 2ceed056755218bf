"""Blocks of intervals to an MSCONS interchange (EDIFACT D:04B, EDI@Energy 2.4c)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

from wattkeeper.core.kernel.identifiers import is_malo_wrong
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import Quality, decode_mscons, encode_mscons
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.blocks import kinds_of, newest_end, to_texts
from wattkeeper.formats.mscons import (
    UNITS,
    USUAL_LOC,
    USUAL_MOMENT,
    USUAL_PIA,
    USUAL_UNITS,
    status_codes,
    status_of_words,
    status_texts,
)
from wattkeeper.formats.notes import unpack_note
from wattkeeper.formats.quality_words import words_of

_PARTY = "9900000000000"


def write_mscons(blocks: Sequence[IntervalBlock], losses: LossList, *, created: str = "") -> Iterator[bytes]:
    """Yield an interchange, one message a block; `created` is YYYYMMDDhhmm in UTC, else the end of the data.

    What MSCONS can't hold goes to `losses`: units, seconds. A quality that its codes do not say is in words
    beside them.
    """
    created = created or f"{newest_end(blocks):%Y%m%d%H%M}"
    day, clock = created[2:8], created[8:12]
    yield f"UNA:+.? 'UNB+UNOC:3+{_PARTY}:500+{_PARTY}:500+{day}:{clock}+{created}++TL'".encode()
    count = 0
    for block in blocks:
        if _can_hold(block, losses):
            count += 1
            segments = list(_segments(block, created, losses))
            body = "".join(f"{segment}'" for segment in segments)
            head = f"UNH+{count}+MSCONS:D:04B:UN:2.4c'"
            yield f"{head}{body}UNT+{len(segments) + 2}+{count}'".encode("latin-1")
    yield f"UNZ+{count}+{created}'\n".encode()


def _can_hold(block: IntervalBlock, losses: LossList) -> bool:
    count = len(block.starts_at_s)
    if block.unit not in USUAL_UNITS:
        losses.add("formats.unit-not-held", count, unit=block.unit)
        return False
    if is_malo_wrong(block.usage_point):
        losses.add("mscons.not-a-location", count, usage_point=block.usage_point)
        return False
    for name in (block.usage_point, block.channel, block.meter_serial):
        try:
            name.encode("latin-1")
        except UnicodeEncodeError:
            losses.add("formats.name-not-held", count, name=name)
            return False
    return True


def _segments(block: IntervalBlock, created: str, losses: LossList) -> Iterator[str]:
    yield f"BGM+7+{created}+9"
    yield f"DTM+137:{created}?+00:303"
    yield "RFF+Z13:13018"
    yield f"NAD+MS+{_PARTY}::293"
    yield f"NAD+MR+{_PARTY}::293"
    yield "UNS+D"
    kinds, place = kinds_of(block)
    notes = [unpack_note(note) for _quality, note in kinds]
    held = [_quality(quality, note) for (quality, _text), note in zip(kinds, notes, strict=True)]
    units = [_unit(block, note) for note in notes]
    texts = [to_texts(block.value_milli, power, block.step_milli) for _code, power in dict.fromkeys(units)]
    columns = dict(zip(dict.fromkeys(units), texts, strict=True))
    is_off = (block.starts_at_s % 60 != 0) | (block.interval_s % 60 != 0)
    if is_off.any():
        losses.add("formats.off-grid", int(is_off.sum()), usage_point=block.usage_point)
    rows = [row for row in range(len(place)) if not is_off[row]]
    for (loc, pia), run in groupby(rows, key=lambda row: _place(notes[place[row]])):
        yield "NAD+DP"
        yield f"LOC+{loc}+{'+'.join(_escape(part) for part in block.usage_point.split('/'))}"
        if block.meter_serial:
            yield f"RFF+MG:{_escape(block.meter_serial)}"
        yield "LIN+1"
        if pia != "absent":
            yield f"PIA+5+{_escape(block.channel)}{'' if pia == 'none' else f':{pia}'}"
        for row in run:
            kind = int(place[row])
            value = "0" if block.provenance[row] == Provenance.MISSING else columns[units[kind]][row]
            yield from _value(block, row, value, units[kind][0], held[kind], notes[kind])


def _value(
    block: IntervalBlock, row: int, value: str, unit: str, codes: tuple[str, ...], note: dict[str, str]
) -> Iterator[str]:
    start_s = int(block.starts_at_s[row])
    yield f"QTY+{codes[0]}:{value}{f':{unit}' if unit else ''}"
    if block.interval_s:
        yield f"DTM+163:{_stamp(start_s)}"
        yield f"DTM+164:{_stamp(start_s + block.interval_s)}"
    else:
        yield f"DTM+{note.get('mscons.at', USUAL_MOMENT)}:{_stamp(start_s)}"
    for name, text in note.items():
        if name.startswith("mscons.dtm"):
            moment, _mark, form = text.partition(":")
            yield f"DTM+{name.removeprefix('mscons.dtm')}:{_escape(moment)}:{form}"
    for status in codes[1:]:
        yield f"STS+{status}"


def _quality(quality: Quality, note: dict[str, str]) -> tuple[str, ...]:
    """Return the qualifier and the STS segments: as they came where they still say the same."""
    text = note.get("mscons.quality", "")
    came = tuple(text.split(";"))
    if text and decode_mscons(came[0], status_codes(came[1:])) == quality:
        return came
    qualifier, *codes = encode_mscons(quality)
    is_said = decode_mscons(qualifier, codes) == quality
    return qualifier, *status_texts(codes), *([] if is_said else [status_of_words(words_of(quality))])


def _unit(block: IntervalBlock, note: dict[str, str]) -> tuple[str, int]:
    """Return the code of the unit and its power of ten to thousandths."""
    code = note.get("mscons.unit", "") or USUAL_UNITS[block.unit]
    code = "" if code == "none" else code
    if UNITS.get(code, ("", 0))[0] != block.unit:
        code = USUAL_UNITS[block.unit]
    return code, UNITS[code][1]


def _place(note: dict[str, str]) -> tuple[str, str]:
    return note.get("mscons.loc", USUAL_LOC), note.get("mscons.pia", USUAL_PIA)


@lru_cache(maxsize=100_000)
def _stamp(at_s: int) -> str:
    return f"{from_seconds(at_s):%Y%m%d%H%M}?+00:303"


def _escape(text: str) -> str:
    for mark in "?:+'":
        text = text.replace(mark, f"?{mark}")
    return text
