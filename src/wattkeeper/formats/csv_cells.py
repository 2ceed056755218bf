"""Lines of a CSV file as cells, and cells as text that no spreadsheet takes for a formula."""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from wattkeeper.formats.api import ErrorList, FormatError
from wattkeeper.formats.encodings import Encoding
from wattkeeper.formats.lines import LINE_BYTES_AT_MOST, iter_chunks

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # OWASP's list
LINES_OF_A_ROW = 20
_ESCAPED_STARTS = (*FORMULA_STARTS, "'", *"0123456789")


def iter_rows(
    source: BinaryIO | bytes, delimiter: str, encoding: Encoding, errors: ErrorList
) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield lists of (line number, cells), blank lines left out.

    A quoted cell may go on over `LINES_OF_A_ROW`: a heading or a remark may, no name or number does.
    """
    held: list[bytes] = []  # lines of a row that may go on in the next chunk
    end = 1
    for first, chunk in iter_chunks(source):
        lines = [*held, *chunk.split(b"\n")[:-1]]
        begin, end = first - len(held), first - len(held) + len(lines)
        if b'"' in chunk or held:
            rows, held = _quoted(lines, begin, delimiter, encoding, errors, has_more=True)
            yield rows
        else:
            yield list(_bare(lines, begin, delimiter, encoding, errors))
    if held:
        yield _quoted(held, end - len(held), delimiter, encoding, errors, has_more=False)[0]


def join_lines(lines: Sequence[str]) -> list[str]:
    """Return lines to look at, those that a quoted cell goes on over as one, and blank ones for the rest."""
    found = list(lines)
    for at, line in enumerate(found):
        if line.count('"') % 2:
            for end in range(at + 2, min(at + LINES_OF_A_ROW, len(found)) + 1):
                joined = "\n".join(found[at:end])
                if joined.count('"') % 2 == 0:
                    found[at:end] = [joined, *[""] * (end - at - 1)]
                    break
    return found


def cells_of(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of each line to look at, as well as they can be told; nothing is refused."""
    found = []
    for line in lines:
        try:
            found.append(next(csv.reader([line], delimiter=delimiter)))
        except csv.Error:  # a break that no quotes of a cell are around
            found.append(line.replace("\n", " ").split(delimiter))
    return found


def neutralise(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula (CWE-1236): an apostrophe goes before it.

    Before an apostrophe too: other texts become other texts.
    """
    return f"'{text}" if text.startswith((*FORMULA_STARTS, "'")) else text


def restore(text: str) -> str:
    """Return what `neutralise` was given, and digits that somebody's apostrophe keeps from being a number.

    A file of another hand may have a bare ``=q``: that is the same name as ``'=q``, which is how we write it;
    of two rows that call one interval by both, the second is told as `csv.interval-twice`.
    """
    return text[1:] if text[:1] == "'" and text[1:].startswith(_ESCAPED_STARTS) else text


def _bare(
    lines: list[bytes], first: int, delimiter: str, encoding: Encoding, errors: ErrorList
) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, first):
        text = _text(number, line, encoding, errors)
        if text:
            yield number, text.split(delimiter)


def _quoted(
    lines: list[bytes],
    first: int,
    delimiter: str,
    encoding: Encoding,
    errors: ErrorList,
    *,
    has_more: bool,
) -> tuple[list[tuple[int, list[str]]], list[bytes]]:
    """Return rows, and the lines at the end of which one may go on in what is to come."""
    cell = rf'(?:"(?:[^"\r]|"")*"|[^"\r{re.escape(delimiter)}]*)'
    well_formed = re.compile(f"{cell}(?:{re.escape(delimiter)}{cell})*")
    rows: list[tuple[int, list[str]]] = []
    at = 0
    while at < len(lines):
        count = _lines_of_row(lines, at)
        if has_more and not count:
            return rows, lines[at:]
        row = b"\n".join(line.rstrip(b"\r") for line in lines[at : at + count]) if count > 1 else lines[at]
        count = max(count, 1)
        text = _text(first + at, row, encoding, errors)
        if '"' not in text:
            rows += [(first + at, text.split(delimiter))] if text else []
        elif not well_formed.fullmatch(text):
            errors.add(first + at, 0, "csv.wrong-quotes")
            count = 1
        else:
            rows.append((first + at, next(csv.reader([text], delimiter=delimiter))))
        at += count
    return rows, []


def _lines_of_row(lines: list[bytes], at: int) -> int:
    """Return over how many lines a row goes on, by its quotes: 1 where too many, 0 where they come to an end.

    A quote is never a byte of a longer character (encodings.py).
    """
    is_open = False
    for place in range(at, min(at + LINES_OF_A_ROW, len(lines))):
        is_open ^= bool(lines[place].count(b'"') % 2)
        if not is_open:
            return place - at + 1
    return 1 if len(lines) >= at + LINES_OF_A_ROW else 0


def _text(number: int, line: bytes, encoding: Encoding, errors: ErrorList) -> str:
    """Return the text of a line without its end, nothing where it is blank or wrong."""
    if len(line) > LINE_BYTES_AT_MOST:
        errors.add(number, 0, "formats.line-too-long")
        return ""
    try:
        text = encoding.decode(line).rstrip("\r")
    except FormatError as error:
        errors.add(number, 0, error.code, **error.params)
        return ""
    return text if text.strip() else ""
