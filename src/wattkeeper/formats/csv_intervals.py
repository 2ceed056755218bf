"""CSV to blocks of intervals. Everything is declared, nothing guessed.

A plain file has one row an interval; its header names the columns, in any order: ``usage_point``,
``channel``, ``starts_at``, ``interval_s``, ``value``, ``unit``, ``quality``, and where known
``meter_serial``, ``utc_offset`` and ``details``. Any other table is read by a mapping. UTF-8, quotes as in
RFC 4180.
"""

from dataclasses import dataclass, replace
from typing import BinaryIO

from wattkeeper.formats.api import ErrorList, ParsedIntervals
from wattkeeper.formats.csv_cells import iter_rows
from wattkeeper.formats.mapping import PLAIN, Mapping, check_marks
from wattkeeper.formats.tables import TableReader


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a plain file is written. `zone`: IANA name for times without an offset; None refuses such times."""

    delimiter: str = ","
    decimal_mark: str = "."
    zone: str | None = None

    def __post_init__(self) -> None:
        """Refuse marks that can't be told apart.

        :raises FormatError: ``formats.delimiter-unknown``, ``formats.decimal-mark-unknown``
        """
        check_marks(self.delimiter, self.decimal_mark)

    def to_mapping(self) -> Mapping:
        """Return the mapping of a plain file written so."""
        return replace(PLAIN, delimiter=self.delimiter, decimal_mark=self.decimal_mark, zone=self.zone)


def read_csv(source: BinaryIO | bytes, how: CsvOptions | Mapping) -> ParsedIntervals:
    """Return the blocks of a CSV file and an error for each row left out; never raises on what it reads.

    :raises FormatError: ``formats.zone-unknown``
    """
    mapping = how.to_mapping() if isinstance(how, CsvOptions) else how
    errors = ErrorList()
    reader = TableReader(mapping, errors)
    for rows in iter_rows(source, mapping.delimiter, errors):
        reader.take(rows)
    return reader.finish()
