"""What every reader of a file gives: blocks of intervals, and an error for each row that is not in them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError

Int64s = NDArray[np.int64]
ERRORS_AT_MOST = 1000


class FormatError(WattkeeperError):
    """Raised when a file as a whole can't be read: ``formats.*``."""


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row was left out. `line` and `column` count from 1; `column` 0 is the row as a whole."""

    line: int
    column: int
    code: str
    params: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class IntervalBlock:
    """Intervals of one channel of one meter, in time order, each once; arrays of shape (n,), int64.

    `value_milli` counts thousandths of `unit`, a base unit (``Wh``, ``varh``, ``V`` ...): milliwatt-hours
    where the unit is ``Wh``. `starts_at_s` in UTC seconds. `provenance`, `flags` and `method` as in
    `core.kernel.quality`; a MISSING interval's value is 0 and means nothing.
    """

    usage_point: str
    meter_serial: str
    channel: str
    unit: str
    interval_s: int
    starts_at_s: Int64s
    value_milli: Int64s
    provenance: Int64s
    flags: Int64s
    method: Int64s

    @property
    def value_milliwh(self) -> Int64s:
        """Return the values of an energy block in milliwatt-hours.

        :raises FormatError: ``formats.not-energy`` where the unit is not Wh
        """
        if self.unit != "Wh":
            raise FormatError("formats.not-energy", unit=self.unit)
        return self.value_milli


@dataclass(frozen=True, slots=True)
class ParsedIntervals:
    """The blocks of a file and the errors of its rows, at most `ERRORS_AT_MOST` and one that says so."""

    blocks: list[IntervalBlock]
    errors: list[RowError]


class ErrorList:
    """Row errors up to the bound; beyond it they are counted."""

    def __init__(self) -> None:
        self._errors: list[RowError] = []
        self._beyond_count = 0

    def add(self, line: int, column: int, code: str, **params: object) -> None:
        """Note an error, or count it where there are too many."""
        if len(self._errors) < ERRORS_AT_MOST:
            self._errors.append(RowError(line, column, code, params))
        else:
            self._beyond_count += 1

    def __len__(self) -> int:
        return len(self._errors)

    def sorted(self) -> list[RowError]:
        """Return the errors in order of line and column."""
        found = sorted(self._errors, key=lambda error: (error.line, error.column))
        if self._beyond_count:
            found.append(RowError(0, 0, "formats.too-many-errors", {"beyond_count": self._beyond_count}))
        return found
