"""CSV to blocks of intervals. Everything is declared, nothing guessed.

A plain file has one row an interval; its header names the columns, in any order: ``usage_point``,
``channel``, ``starts_at``, ``interval_s``, ``value``, ``unit``, ``quality``, and where known
``meter_serial``, ``utc_offset`` and ``details``. Any other table is read by a mapping. UTF-8, or what
`encodings` finds; quotes as in RFC 4180.
"""

from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.csv_cells import iter_rows
from wattkeeper.formats.encodings import find_encoding, known_encoding
from wattkeeper.formats.mapping import PLAIN, Mapping, check_marks
from wattkeeper.formats.tables import TableReader


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a plain file is written. `zone`: IANA name for times without an offset; None refuses such times.

    `encoding`: one of `ENCODINGS`; empty leaves it to the bytes.
    """

    delimiter: str = ","
    decimal_mark: str = "."
    zone: str | None = None
    encoding: str = ""

    def __post_init__(self) -> None:
        """Refuse marks that nobody uses.

        :raises FormatError: ``formats.delimiter-unknown``, ``...decimal-mark-unknown``,
            ``...encoding-unknown``
        """
        check_marks(self.delimiter, self.decimal_mark)
        object.__setattr__(self, "encoding", known_encoding(self.encoding))

    def to_mapping(self) -> Mapping:
        """Return the mapping of a plain file written so."""
        return replace(
            PLAIN,
            delimiter=self.delimiter,
            decimal_mark=self.decimal_mark,
            zone=self.zone,
            encoding=self.encoding,
        )


def written_so(how: Mapping | None, **given: str | None) -> CsvOptions | Mapping:
    """Return how a table is written: as a mapping says, or a plain file; what is given stands in its place.

    :raises FormatError: as `CsvOptions` and `Mapping` do
    """
    said: dict[str, Any] = {name: text for name, text in given.items() if text}
    return replace(how, **said) if how else CsvOptions(**said)


def read_csv(source: BinaryIO | bytes, how: CsvOptions | Mapping) -> ParsedIntervals:
    """Return the blocks of a CSV file and an error for each row left out; never raises on what it reads.

    :raises FormatError: ``formats.zone-unknown``
    """
    mapping = how.to_mapping() if isinstance(how, CsvOptions) else how
    errors = ErrorList()
    reader = TableReader(mapping, errors)
    encoding = find_encoding(source, mapping.encoding)
    for rows in iter_rows(source, mapping.delimiter, encoding, errors):
        reader.take(rows)
    return reader.finish()
