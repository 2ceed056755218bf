"""The first rows of a table, CSV, gzip or Excel, and what a person may say of its columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from wattkeeper.formats.archives import WORKBOOK, open_archive, unpacked
from wattkeeper.formats.csv_cells import cells_of
from wattkeeper.formats.detect import detect_format
from wattkeeper.formats.mapping_detect import (
    LINES_LOOKED_AT,
    Detection,
    detect_mapping,
    detect_table,
    encoding_of,
    likely_delimiter,
    lines_of,
)
from wattkeeper.formats.xlsx import iter_texts


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column: how a mapping names it (its own name, or its number from 1), and its first cells."""

    name: str | int
    title: str
    samples: tuple[str, ...]


def is_table(content: bytes) -> bool:
    """Whether a file is one whose columns somebody must explain: CSV or a workbook.

    :raises FormatError: ``archive.*``
    """
    content = unpacked(content)
    found = detect_format(content)
    return found == "csv" or (found == "archive" and WORKBOOK in open_archive(content).namelist())


def read_head(content: bytes, delimiter: str = ",", encoding: str = "") -> list[list[str]]:
    """
    Return the first rows of a CSV file or workbook as cells; blank lines are empty rows.

    `encoding` of a CSV file; an empty one is found out, or is the first that may be where that is unsure.

    :raises FormatError: ``archive.*``, ``xlsx.*``
    """
    content = unpacked(content)
    if detect_format(content) == "archive":
        rows: list[list[str]] = []
        for line, cells in takewhile(lambda row: row[0] <= LINES_LOOKED_AT, iter_texts(content)):
            rows += [[] for _blank in range(line - 1 - len(rows))]
            rows.append(cells)
        return rows
    return cells_of(lines_of(content, encoding or _likely_encoding(content)), delimiter)


def encoding_told(content: bytes, named: str = "") -> str:
    """Return the encoding that a CSV file is read in, nothing where none is certain or matters."""
    content = unpacked(content)
    is_plain = detect_format(content) != "csv" or content.isascii()
    return "" if is_plain else encoding_of(content, named).name


def guess_delimiter(content: bytes) -> str:
    """Return the mark between the columns of a CSV file, most likely."""
    content = unpacked(content)
    return likely_delimiter(lines_of(content, _likely_encoding(content)))


def detect_content(content: bytes) -> Detection:
    """
    Return a guess at the mapping of a CSV file or workbook.

    :raises FormatError: ``mapping.not-found`` where no column of times or of values can be made out,
        ``archive.*``, ``xlsx.*``
    """
    content = unpacked(content)
    if detect_format(content) == "archive":
        return detect_table(read_head(content))
    return detect_mapping(content)


def columns_of(
    rows: Sequence[Sequence[str]], header_line: int, *, samples_count: int = 3
) -> list[TableColumn]:
    """Return the columns under a header (`header_line` from 1; 0: there is none)."""
    header = rows[header_line - 1] if 0 < header_line <= len(rows) else []
    below = [row for row in rows[header_line:] if any(row)]
    width = max((len(row) for row in (header, *below)), default=0)
    titles = [header[at].strip() if at < len(header) else "" for at in range(width)]
    often = Counter(map(str.lower, titles))
    return [
        TableColumn(
            title if title and often[title.lower()] == 1 else at + 1,
            title or str(at + 1),
            tuple(row[at] for row in below[:samples_count] if at < len(row)),
        )
        for at, title in enumerate(titles)
    ]


def _likely_encoding(content: bytes) -> str:
    found = encoding_of(content)
    return found.name or found.candidates[0]
