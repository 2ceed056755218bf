"""Dumps with offsets: xxd, hexdump, od, tcpdump -X, Wireshark and its followed streams.

A row counts the bytes before it; a dump begins where the offset is 0 again. In a followed stream the two
sides are told apart by their indent and go on counting. IP packets give up what they carry over TCP or UDP.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from wattkeeper.interfaces.cli.tools.packets import payload

_ROW = re.compile(r"^(\s*)(?:0x)?([0-9A-Fa-f]{4,8})(?:(:\s+|\s+)(\S.*)|\s*)$")
_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2}){1,16}")
_WORD = re.compile(r"[0-9A-Fa-f]{4}")
_FRAME_LIKE = re.compile(r"(?:\b[0-9A-Fa-f]{2}[\s:,-]+){4}|[0-9A-Fa-f]{12}")


class _Row(NamedTuple):
    indent: str
    offset: str
    gap: str
    text: str


def read_dump(lines: Sequence[str]) -> list[bytes] | None:
    """Return the dumps in `lines`, or None if their offsets do not count the bytes before them."""
    rows: list[_Row] = []
    for line in lines:
        match = _ROW.match(line)
        if match is not None:
            rows.append(_Row(*(part or "" for part in match.groups())))
        elif _FRAME_LIKE.search(line):
            return None
    if not rows or (len(rows) == 1 and rows[0].gap == " "):
        return None
    for base in (16, 8):
        dumps = _read(rows, base)
        if dumps is not None:
            return _payloads(dumps)
    return None


def _payloads(dumps: list[bytes]) -> list[bytes]:
    carried = [payload(dump) for dump in dumps]
    sound = [octets for octets in carried if octets is not None]
    return [octets for octets in sound if octets] if len(sound) == len(dumps) else dumps


def _read(rows: Sequence[_Row], base: int) -> list[bytes] | None:
    dumps: list[bytearray] = []
    counted: dict[str, int] = {}
    owner = ""
    for row, offset, count in _spans(rows, base):
        is_first = offset == 0 and bool(row.text)
        if (not is_first and counted.get(row.indent) != offset) or not 0 <= (count or 0) <= 64:
            return None
        if not row.text:
            continue
        if is_first or row.indent != owner:
            dumps.append(bytearray())
            owner = row.indent
        octets = _octets(row, count)
        counted[row.indent] = offset + len(octets)
        dumps[-1] += octets
    return [bytes(dump) for dump in dumps] or None


def _spans(rows: Sequence[_Row], base: int) -> Iterator[tuple[_Row, int, int | None]]:
    """Yield each row, its offset (-1: none in this base), and its number of bytes if the next one tells."""
    following: dict[str, int] = {}
    spans: list[tuple[_Row, int, int | None]] = []
    for row in reversed(rows):
        offset = _number(row.offset, base)
        after = following.get(row.indent, 0)
        spans.append((row, offset, after - offset if after > 0 and row.text else None))
        following[row.indent] = offset
    return reversed(spans)


def _number(digits: str, base: int) -> int:
    try:
        return int(digits, base)
    except ValueError:
        return -1


def _octets(row: _Row, count: int | None) -> bytes:
    """Return the bytes of a row; without a `count` text beside them begins after a wide gap."""
    text, is_xxd = row.text, ":" in row.gap
    if count is None:
        text = re.split(r"\||\s{2,}" if is_xxd else r"\||\s{3,}", text)[0]
    octets = bytearray()
    tokens = text.split()
    is_swapped = len(row.offset) == 7 and not is_xxd and all(map(_WORD.fullmatch, tokens))
    for token in tokens:
        if not _TOKEN.fullmatch(token) or (count is not None and len(octets) >= count):
            break
        octets += bytes.fromhex(token)[:: -1 if is_swapped else 1]
    return bytes(octets[:count])
