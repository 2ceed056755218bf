"""Captured bytes as people keep them: raw, hex lines, logs, hex dumps, JSON. What it is, is found out here.

- raw bytes: anything that is not printable text
- JSON, one object a line or one list: the bytes are in ``hex`` (or ``frame``, ``bytes``, ``apdu``); keys
  beside them (``guek``, ``gak``) are theirs, those of a line with ``meta`` are for the lines after it
- dumps with offsets: see `dumps`
- hex lines: ``6861``, ``68 61``, ``68-61`` or ``0x68, 0x61``, behind the marks of a log (see `lines`), before
  a ``#``; frames may go on over the ends of lines, also in the middle of an octet; lines marked TX-APDU or
  RX-APDU repeat what the TX and RX lines hold
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wattkeeper.interfaces.cli.tools.dumps import read_dump
from wattkeeper.interfaces.cli.tools.lines import frame_digits, is_digits, without_comment

JSON_KEYS = ("hex", "frame", "bytes", "apdu")
KEY_NAMES = ("guek", "gak", "client_title", "server_title")

_REPEATED = re.compile(r"^\s*[TR]X-APDU\b")
_ORIGINAL = re.compile(r"^\s*[TR]X\b(?!-)")
_JSON = re.compile(r"\s*(?:\[\s*)?\{(?!\s*[0-9])|\s*\[\s*$")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f")
_HEX_RUN = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :,-]?){4}")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one line or dump, or a line that holds none: `problem` is a code, `text` the line."""

    data: bytes
    problem: str = ""
    text: str = ""
    keys: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capture:
    """Pieces in order; `wrapped`: another reading, where frames reach over the ends of lines."""

    pieces: Sequence[Piece]
    wrapped: Sequence[Piece] | None = None


def read_capture(content: bytes) -> Capture:
    """Return the pieces of a file's content."""
    text = _to_text(content)
    if text is None:
        return Capture([Piece(content)])
    lines = [line for line in text.splitlines() if without_comment(line).strip()]
    if lines and _JSON.match(lines[0]):
        return Capture(list(_json_pieces(text, lines)))
    if any(map(_ORIGINAL.match, lines)):
        lines = [line for line in lines if not _REPEATED.match(line)]
    dumps = read_dump(lines)
    if dumps is not None:
        return Capture([Piece(dump) for dump in dumps])
    read = [(line, digits) for line in lines if (digits := frame_digits(_REPEATED.sub("", line))) is not None]
    return Capture([_hex_piece(*each) for each in read], _wrapped(read) if len(read) > 1 else None)


def _to_text(content: bytes) -> str | None:
    """Return the text that `content` is, None if it is raw bytes."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        wide = content.decode("utf-16", "replace")
        return wide if wide.isprintable() or _HEX_RUN.search(wide.encode()) else None
    if any(octet < 0x20 and octet not in _TEXT_CONTROLS for octet in set(content)):
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        ascii_count = sum(octet < 0x80 for octet in content)
        is_text = 2 * ascii_count >= len(content) and _HEX_RUN.search(content) is not None
        return content.decode("gb18030", "replace") if is_text else None


def _json_pieces(text: str, lines: Sequence[str]) -> Iterator[Piece]:
    common: dict[str, bytes] = {}
    for line, item in _json_items(text, lines):
        if item is None:
            yield Piece(b"", "decode.not-json", line)
            continue
        found = [value for key in JSON_KEYS if isinstance(value := item.get(key), str)]
        meta = item.get("meta")
        if found:
            yield _hex_piece(line, frame_digits(found[0]) or "", {**common, **_keys(item)})
        elif "meta" in item:
            common = _keys(meta) if isinstance(meta, dict) else {}
        else:
            yield Piece(b"", "decode.no-hex", line)


def _json_items(text: str, lines: Sequence[str]) -> Iterator[tuple[str, dict[str, object] | None]]:
    """Yield the objects of a list or of lines; None for a line that is no JSON."""
    whole = _from_json(text)
    if isinstance(whole, list):
        for item in whole:
            yield json.dumps(item), item if isinstance(item, dict) else {}
    elif isinstance(whole, dict):
        yield lines[0], whole
    else:
        for line in lines:
            item = _from_json(line)
            yield line, item if isinstance(item, dict) else None if item is _NO_JSON else {}


_NO_JSON = object()


def _from_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _keys(item: Mapping[str, object]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for name in KEY_NAMES:
        digits = item.get(name)
        if isinstance(digits, str) and is_digits(digits) and len(digits) % 2 == 0:
            keys[name] = bytes.fromhex(digits)
    return keys


def _hex_piece(line: str, digits: str, keys: Mapping[str, bytes] | None = None) -> Piece:
    if not is_digits(digits) or len(digits) % 2 or not digits:
        return Piece(b"", "decode.not-hex", line)
    return Piece(bytes.fromhex(digits), keys=keys or {})


def _wrapped(read: Sequence[tuple[str, str]]) -> list[Piece]:
    """Return all lines of digits as one piece, and the other lines."""
    whole = "".join(digits for _, digits in read if is_digits(digits))
    others = [_hex_piece(line, digits) for line, digits in read if not is_digits(digits)]
    return [_hex_piece(whole, whole), *others]
