"""A quality in words, where a format has a place for them beside codes that say less.

NEM12 and NEM13 have a ReasonDescription, ESPI extensions, MSCONS the text of a status reason. Words count
only where the codes beside them say the nearest thing: who changes the codes need not know of the words.
"""

from functools import cache

from wattkeeper.core.kernel.quality_codes import (
    Quality,
    decode_aemo,
    decode_espi,
    decode_mscons,
    encode_aemo,
    encode_espi,
    encode_mscons,
    parse_quality_name,
    quality_name,
)
from wattkeeper.formats.detect import Format

MARK = "wattkeeper quality "


def words_of(quality: Quality) -> str:
    """Return the words: letters, digits, points, underscores and blanks, which no format has to escape."""
    return MARK + quality_name(quality).replace("+", " ")


def heed_words(text: str, coded: Quality, form: Format) -> Quality | None:
    """Return the quality that a text names; None where it names none, or what the codes would not say so."""
    if not text.startswith(MARK):
        return None
    named = parse_quality_name(text.removeprefix(MARK).replace(" ", "+"))
    return named if named is not None and words_of(named) == text and _coded(named, form) == coded else None


@cache
def _coded(quality: Quality, form: Format) -> Quality | None:
    """Return what is left of a quality where only the codes of a format are read."""
    if form == "greenbutton":
        return decode_espi(encode_espi(quality))
    if form == "mscons":
        qualifier, *statuses = encode_mscons(quality)
        return decode_mscons(qualifier, statuses)
    return decode_aemo(encode_aemo(quality))
