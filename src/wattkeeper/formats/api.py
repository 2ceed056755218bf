"""What every reader of a file gives: blocks of intervals, and an error for each row that is not in them."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
ERRORS_AT_MOST = 1000
NAME_LENGTH_AT_MOST = 64
EARLIEST_S, LATEST_S = -2_203_891_200, 13_569_465_600  # 1900-03-01 and 2400-01-01: every format can say these
LENGTH_S_AT_MOST = 3660 * 86_400


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
    """Intervals of one channel of one meter, in time order, each once; arrays of shape (n,).

    `value_milli` counts thousandths of `unit`, a base unit (``Wh``, ``varh``, ``V`` ...): milliwatt-hours
    where the unit is ``Wh``. `starts_at_s` in UTC seconds. An `interval_s` of 0 is a register: each value is
    what it shows at that instant. `kind_index` says which row of `kinds` an interval has, shape (kinds, 4):
    `provenance`, `flags` and `method` as in `core.kernel.quality`, and which of the notes. A MISSING
    interval's value is 0 and means nothing; a note (notes.py) is what the file says beyond that, the first is
    always the empty one. A reader gives names that `is_name` takes, and times within `is_time`.

    20 bytes an interval: what few kinds say of many is held once.
    """

    usage_point: str
    meter_serial: str
    channel: str
    unit: str
    interval_s: int
    starts_at_s: Int64s
    value_milli: Int64s
    kind_index: Int32s
    kinds: Int64s
    notes: tuple[str, ...] = ("",)
    modulus_milli: int = 0  # where a register begins at 0 again; 0: the file does not say
    step_milli: int = 0  # the smallest step that a register shows; 0: the file does not say

    @property
    def provenance(self) -> Int64s:
        """Return the provenance of each interval."""
        return self._told(0)

    @property
    def flags(self) -> Int64s:
        """Return the flags of each interval."""
        return self._told(1)

    @property
    def method(self) -> Int64s:
        """Return by which method each interval was estimated."""
        return self._told(2)

    @property
    def note_index(self) -> Int64s:
        """Return which note each interval has."""
        return self._told(3)

    def _told(self, part: int) -> Int64s:
        told: Int64s = self.kinds[self.kind_index, part]
        return told

    def where(self, is_kept: NDArray[np.bool_]) -> "IntervalBlock":
        """Return some of the intervals."""
        columns = {
            name: getattr(self, name)[is_kept] for name in ("starts_at_s", "value_milli", "kind_index")
        }
        return replace(self, **columns)

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


@dataclass(frozen=True, slots=True)
class Loss:
    """What a format can't hold of what it was to hold; a count of intervals is among the parameters."""

    code: str
    params: dict[str, object]


def is_name(text: str) -> bool:
    """Whether a text can be a name in every format: printable, stripped, not too long; it may be empty.

    One with a sign in place of bytes that were none is no name: unlike ones would be one.
    """
    is_printable = (text + "x").isprintable() and "\ufffd" not in text
    return len(text) <= NAME_LENGTH_AT_MOST and text == text.strip() and is_printable


def is_time(starts_at_s: Int64s, interval_s: Int64s | int) -> NDArray[np.bool_]:
    """Return which intervals every format can say, shape (n,)."""
    is_within = (starts_at_s >= EARLIEST_S) & (starts_at_s + interval_s <= LATEST_S)
    return is_within & (np.asarray(interval_s) <= LENGTH_S_AT_MOST)


class LossList:
    """Losses of a writer; like ones are counted together."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[tuple[str, object], ...]], int] = {}

    def add(self, code: str, count: int, **params: object) -> None:
        """Note that `count` intervals lose something."""
        key = (code, tuple(params.items()))
        self._counts[key] = self._counts.get(key, 0) + count

    def all(self) -> list[Loss]:
        """Return the losses in the order they were first met."""
        return [
            Loss(code, {**dict(params), "interval_count": count})
            for (code, params), count in self._counts.items()
        ]


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
