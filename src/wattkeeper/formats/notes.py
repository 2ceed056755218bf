"""Notes: what a file says of an interval beyond value and quality, kept so that its format can say it again.

A note is text, ``name=value&name=value`` with percent escapes, names in the order they were given; no note is
the empty text. Names begin with their format (``aemo.reason``); a format ignores the notes of another.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote_plus

NOTE_LENGTH_AT_MOST = 4096
_FIELDS_AT_MOST = 100


def pack_note(fields: Mapping[str, str]) -> str:
    """Return the note of some fields; empty ones are left out."""
    return "&".join(f"{name}={quote_plus(text)}" for name, text in fields.items() if text)


def unpack_note(note: str) -> dict[str, str]:
    """Return the fields of a note; what is no field is left out, and all where there are too many."""
    return dict(parse_qsl(note)) if note and note.count("&") < _FIELDS_AT_MOST else {}
