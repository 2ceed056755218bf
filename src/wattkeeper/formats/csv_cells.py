"""Lines of a CSV file as cells, and cells as text that no spreadsheet takes for a formula."""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from wattkeeper.formats.api import ErrorList, FormatError
from wattkeeper.formats.encodings import Encoding
from wattkeeper.formats.lines import LINE_BYTES_AT_MOST, iter_chunks

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # OWASP's list
_ESCAPED_STARTS = (*FORMULA_STARTS, "'", *"0123456789")


def iter_rows(
    source: BinaryIO | bytes, delimiter: str, encoding: Encoding, errors: ErrorList
) -> Iterator[list[tuple[int, list[str]]]]:
    """Yield lists of (line number, cells), blank lines left out.

    A quoted cell ends with its line: no name or number holds a line break.
    """
    for first, chunk in iter_chunks(source):
        lines = chunk.split(b"\n")[:-1]
        if b'"' in chunk:
            yield list(_quoted(lines, first, delimiter, encoding, errors))
        else:
            yield list(_bare(lines, first, delimiter, encoding, errors))


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
    lines: list[bytes], first: int, delimiter: str, encoding: Encoding, errors: ErrorList
) -> Iterator[tuple[int, list[str]]]:
    cell = rf'(?:"(?:[^"\r]|"")*"|[^"\r{re.escape(delimiter)}]*)'
    well_formed = re.compile(f"{cell}(?:{re.escape(delimiter)}{cell})*")
    for number, line in enumerate(lines, first):
        text = _text(number, line, encoding, errors)
        if not text:
            continue
        if '"' not in text:
            yield number, text.split(delimiter)
        elif not well_formed.fullmatch(text):
            errors.add(number, 0, "csv.wrong-quotes")  # so has what follows a line break in a cell
        else:
            yield number, next(csv.reader([text], delimiter=delimiter))


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
