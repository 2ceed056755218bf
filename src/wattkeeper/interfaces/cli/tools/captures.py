"""Captured bytes as people keep them: raw, hex lines, hex dumps, JSON lines. What it is, is found out here.

- raw bytes: anything that is not printable text
- JSON lines: the bytes are in ``hex`` (or ``frame``, ``bytes``, ``apdu``); lines with ``meta`` are left out
- dumps with offsets: xxd, hexdump -C, Wireshark; a new dump begins where the offset is 0 again
- hex lines: ``6861``, ``68 61``, ``68-61`` or ``0x68, 0x61``, after an optional TX or RX, before a ``#``;
  frames may go on over the ends of lines, also in the middle of an octet; lines marked TX-APDU or RX-APDU
  repeat what others hold
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

JSON_KEYS = ("hex", "frame", "bytes", "apdu")

_COMMENT = re.compile(r"(#|//|;|<--).*")
_REPEATED = re.compile(r"^\s*[TR]X-APDU\b")
_DIRECTION = re.compile(r"^\s*(?:TX|RX|SEND|RECV|SENT|->|<-|>>|<<)\s*[:=]?\s*", re.IGNORECASE)
_SEPARATORS = re.compile(r"0x|[\s,:_|\-\[\]{}\"']", re.IGNORECASE)
_DUMP_LINE = re.compile(r"^\s*(?:0x)?([0-9A-Fa-f]{4,8})(?:(:\s+|\s\s+)(\S.*)|\s*)$")
_DUMP_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2}){1,16}")
_HEX_DIGITS = re.compile(r"[0-9A-Fa-f]*")
_TEXT_CONTROLS = frozenset(b"\t\n\r\f")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one line or dump, or a line that holds none: `problem` is a code, `text` the line."""

    data: bytes
    problem: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Pieces in order; `wrapped`: another reading, where frames reach over the ends of lines."""

    pieces: Sequence[Piece]
    wrapped: Sequence[Piece] | None = None


def read_capture(content: bytes) -> Capture:
    """Return the pieces of a file's content."""
    if not _is_text(content):
        return Capture([Piece(content)])
    lines = content.decode("utf-8-sig").splitlines()
    kept = [line for line in lines if _COMMENT.sub("", line).strip() and not _REPEATED.match(line)]
    if kept and kept[0].lstrip().startswith("{"):
        return Capture([piece for line in kept for piece in _json_piece(line)])
    dump = _read_dump(kept)
    if dump is not None:
        return Capture(dump)
    return Capture([_hex_piece(line) for line in kept], _wrapped(kept) if len(kept) > 1 else None)


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return not any(octet < 0x20 and octet not in _TEXT_CONTROLS for octet in set(content))


def _json_piece(line: str) -> list[Piece]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return [Piece(b"", "decode.not-json", line)]
    if not isinstance(fields, dict):
        return [Piece(b"", "decode.no-hex", line)]
    text = next((fields[key] for key in JSON_KEYS if isinstance(fields.get(key), str)), None)
    if text is None:
        return [] if "meta" in fields else [Piece(b"", "decode.no-hex", line)]
    return [_hex_piece(text)]


def _digits(line: str) -> str:
    return _SEPARATORS.sub("", _DIRECTION.sub("", _COMMENT.sub("", line)))


def _hex_piece(line: str) -> Piece:
    try:
        return Piece(bytes.fromhex(_digits(line)))
    except ValueError:
        return Piece(b"", "decode.not-hex", line)


def _wrapped(lines: Sequence[str]) -> list[Piece]:
    """Return all lines of digits as one piece, and the other lines."""
    is_digits = [_HEX_DIGITS.fullmatch(_digits(line)) is not None for line in lines]
    others = [_hex_piece(line) for line, is_hex in zip(lines, is_digits, strict=True) if not is_hex]
    whole = "".join(_digits(line) for line, is_hex in zip(lines, is_digits, strict=True) if is_hex)
    return [_hex_piece(whole), *others]


def _read_dump(lines: Sequence[str]) -> list[Piece] | None:
    """Return the dumps in `lines`, or None if their offsets do not count the bytes before them."""
    matches = [_DUMP_LINE.match(line) for line in lines]
    if not matches or any(match is None for match in matches):
        return None
    rows = [(int(m[1], 16), m[2] or "", m[3] or "") for m in matches if m is not None]
    dumps: list[bytearray] = []
    for index, (offset, separator, text) in enumerate(rows):
        if offset == 0 and text:
            dumps.append(bytearray())
        if not dumps or offset != len(dumps[-1]):
            return None
        following = rows[index + 1][0] if index + 1 < len(rows) else 0
        dumps[-1] += _dump_bytes(text, ":" in separator, following - offset if following else None)
    return [Piece(bytes(dump)) for dump in dumps]


def _dump_bytes(text: str, is_xxd: bool, count: int | None) -> bytes:
    """Return the bytes of one dump line; `count` as the next offset tells, None on a last line."""
    if count is None:
        text = re.split(r"\||\s{2,}" if is_xxd else r"\||\s{3,}", text)[0]
    octets = bytearray()
    for token in text.split():
        if not _DUMP_TOKEN.fullmatch(token) or (count is not None and len(octets) >= count):
            break
        octets += bytes.fromhex(token)
    return bytes(octets[:count])
