"""The first rows of a table, CSV or Excel, and what a person may say of its columns."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from wattkeeper.formats.archives import WORKBOOK, open_archive
from wattkeeper.formats.detect import HEAD_BYTES, detect_format
from wattkeeper.formats.mapping_detect import Detection, detect_mapping, detect_table, likely_delimiter
from wattkeeper.formats.xlsx import iter_texts

ROWS_COUNT = 200


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
    found = detect_format(content)
    return found == "csv" or (found == "archive" and WORKBOOK in open_archive(content).namelist())


def read_head(content: bytes, delimiter: str = ",") -> list[list[str]]:
    """
    Return the first rows of a CSV file or workbook as cells; blank lines are empty rows.

    :raises FormatError: ``archive.*``, ``xlsx.*``
    """
    if detect_format(content) == "archive":
        rows: list[list[str]] = []
        for line, cells in takewhile(lambda row: row[0] <= ROWS_COUNT, iter_texts(content)):
            rows += [[] for _blank in range(line - 1 - len(rows))]
            rows.append(cells)
        return rows
    lines = content[:HEAD_BYTES].decode("utf-8-sig", "replace").splitlines()[:ROWS_COUNT]
    return list(csv.reader(lines, delimiter=delimiter))


def guess_delimiter(content: bytes) -> str:
    """Return the mark between the columns of a CSV file, most likely."""
    return likely_delimiter(content[:HEAD_BYTES].decode("utf-8-sig", "replace").splitlines()[:ROWS_COUNT])


def detect_content(content: bytes) -> Detection:
    """
    Return a guess at the mapping of a CSV file or workbook.

    :raises FormatError: ``mapping.not-found`` where no column of times or of values can be made out,
        ``archive.*``, ``xlsx.*``
    """
    if detect_format(content) == "archive":
        return detect_table(read_head(content))
    return detect_mapping(content[:HEAD_BYTES])


def columns_of(
    rows: Sequence[Sequence[str]], header_line: int, *, samples_count: int = 3
) -> list[TableColumn]:
    """Return the columns under a header (`header_line` from 1; 0: there is none)."""
    header = rows[header_line - 1] if 0 < header_line <= len(rows) else []
    below = [row for row in rows[header_line:] if any(row)]
    width = max((len(row) for row in (header, *below)), default=0)
    titles = [header[at].strip() if at < len(header) else "" for at in range(width)]
    often = Counter(titles)
    return [
        TableColumn(
            title if title and often[title] == 1 else at + 1,
            title or str(at + 1),
            tuple(row[at] for row in below[:samples_count] if at < len(row)),
        )
        for at, title in enumerate(titles)
    ]
