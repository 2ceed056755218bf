"""How the columns of a table (CSV or Excel) say intervals: declared once, saved, never guessed silently.

JSON of a mapping, all but `time` and `values` may be left out::

    {"name": "EDM export", "encoding": "cp1252", "delimiter": ";", "decimal_mark": ",", "header_line": 1,
     "zone": "Europe/Berlin", "label": "end", "time": ["Datum", "Zeit"], "time_format": "DD.MM.YYYY hh:mm",
     "interval_s": 900, "usage_point": {"column": "Zaehlpunkt"}, "meter_serial": {"constant": "M-1"},
     "values": [{"column": "Bezug", "channel": "import", "unit": "kWh", "quality": {"column": "Status"}}],
     "qualities": {"W": "raw", "E": "est"}, "blank": "missing"}

A table with a day a row names the columns of its intervals in order, ``"column": ["00:15", "00:30", ...]``,
or the number of the first and their count, ``"column": 3, "count": 96``; its `time` is the day.
"""

import json
from collections.abc import Mapping as Fields
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from wattkeeper.core.kernel.quality_codes import parse_quality_name
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.csv_times import check_time_format
from wattkeeper.formats.day_columns import DAY_S, interval_count_of, starts_in_day
from wattkeeper.formats.encodings import known_encoding
from wattkeeper.formats.number_marks import THOUSANDS_MARKS

DELIMITERS = (",", ";", "\t", "|")
Label = Literal["start", "end"]
Blank = Literal["error", "missing", "skip"]
_LINES_SKIPPED_AT_MOST = 1000
_VALUES_AT_MOST = 200
_COLUMNS_AT_MOST = 1500  # of a day: a minute each, and 25 hours


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text comes from: a column (its name, or its number from 1), or always the same constant."""

    column: str | int | None = None
    constant: str = ""

    def to_plain(self) -> dict[str, object]:
        """Return it as JSON holds it."""
        return {"constant": self.constant} if self.column is None else {"column": self.column}


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """A column of values, and whose they are.

    With others `behind` it, it is the first interval of its row's day, and they are those that follow.
    """

    column: str | int
    channel: Place
    unit: Place
    quality: Place = Place(constant="raw")
    behind: tuple[str | int, ...] = ()

    @property
    def columns(self) -> tuple[str | int, ...]:
        """All columns of values."""
        return (self.column, *self.behind)


@dataclass(frozen=True, slots=True)
class Mapping:
    """How a table says intervals.

    `time`: one column, or a date's and a time's. `time_format`: ``iso`` or a pattern (csv_times.py). `label`:
    whether a time names the start or the end of its interval. `interval_s` 0: registers. `zone`: for times
    without an offset; None refuses them. `offset`: a column with the offset beside local times. `qualities`:
    the file's words for ours. `blank`: what a blank value is. `header_line` 0: no header. `encoding`: of a
    CSV file; empty: as its bytes tell.
    """

    time: tuple[str | int, ...]
    values: tuple[ValueColumn, ...]
    name: str = ""
    delimiter: str = ","
    decimal_mark: str = "."
    header_line: int = 1
    zone: str | None = None
    label: Label = "start"
    time_format: str = "iso"
    interval_s: Place = NOWHERE
    usage_point: Place = NOWHERE
    meter_serial: Place = NOWHERE
    offset: Place = NOWHERE
    details: Place = NOWHERE
    qualities: Fields[str, str] = field(default_factory=dict)
    blank: Blank = "error"
    has_unknown_columns: bool = True
    encoding: str = ""
    thousands_mark: str = ""

    def __post_init__(self) -> None:
        """Refuse what can't be read.

        :raises FormatError: ``mapping.wrong``, ``formats.delimiter-unknown``, ``...decimal-mark-unknown``,
            ``...encoding-unknown``
        """
        check_marks(self.delimiter, self.decimal_mark)
        object.__setattr__(self, "encoding", known_encoding(self.encoding))
        check_time_format(self.time_format)
        if self.thousands_mark not in THOUSANDS_MARKS or self.thousands_mark == self.decimal_mark:
            raise FormatError("mapping.wrong", field="thousands_mark")
        if not 1 <= len(self.time) <= 2 or not 1 <= len(self.values) <= _VALUES_AT_MOST:
            raise FormatError("mapping.wrong", field="time" if self.values else "values")
        if not 0 <= self.header_line <= _LINES_SKIPPED_AT_MOST:
            raise FormatError("mapping.wrong", field="header_line")
        if self.label not in get_args(Label) or self.blank not in get_args(Blank):
            raise FormatError("mapping.wrong", field="label" if self.blank in get_args(Blank) else "blank")
        if any(parse_quality_name(name) is None for name in self.qualities.values()):
            raise FormatError("mapping.wrong", field="qualities")
        if self.has_days:
            self._check_days()

    @property
    def has_days(self) -> bool:
        """Whether a row holds the intervals of a day."""
        return any(column.behind for column in self.values)

    @property
    def day_interval_s(self) -> int:
        """The length of an interval where a row holds those of a day."""
        length = self.interval_s.constant
        return int(length) if length.isascii() and length.isdigit() and len(length) <= 5 else 0

    def starts_of(self, column: ValueColumn) -> list[int]:
        """Return when each column of a day begins, in seconds after local midnight."""
        return starts_in_day(column.columns, self.day_interval_s, is_end=self.label == "end")

    def _check_days(self) -> None:
        """Refuse columns that are no day: too few, out of it, or twice; and rows with a time of their own."""
        if len(self.time) > 1 or "hh" in self.time_format:
            raise FormatError("mapping.wrong", field="time" if len(self.time) > 1 else "time_format")
        length_s = self.day_interval_s
        for column in self.values:
            count = len(column.columns)
            if not length_s or DAY_S % length_s or count not in interval_count_of(length_s):
                raise FormatError("mapping.wrong", field="interval_s")
            starts_s = self.starts_of(column)
            first_s = min(starts_s)
            is_whole = sorted(starts_s) == [first_s + at * length_s for at in range(count)]
            if not is_whole or first_s not in (0, -length_s):
                raise FormatError("mapping.wrong", field="label")

    def to_json(self) -> str:
        """Return the mapping as text that `parse_mapping` reads."""
        plain: dict[str, object] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "values":
                value = [_plain_values(column) for column in value]
            elif value == NOWHERE or (one.name in ("encoding", "thousands_mark") and not value):
                continue
            elif isinstance(value, Place):
                value = value.to_plain()
            plain[one.name] = value
        return json.dumps(plain, ensure_ascii=False, indent=2)


def check_marks(delimiter: str, decimal_mark: str) -> None:
    """Refuse marks that nobody uses. A decimal mark that parts columns too stands in quoted cells.

    :raises FormatError: ``formats.delimiter-unknown``, ``formats.decimal-mark-unknown``
    """
    if delimiter not in DELIMITERS:
        raise FormatError("formats.delimiter-unknown", delimiter=delimiter)
    if decimal_mark not in (".", ","):
        raise FormatError("formats.decimal-mark-unknown", decimal_mark=decimal_mark)


def parse_mapping(text: str) -> Mapping:
    """Return the mapping of a JSON text.

    :raises FormatError: ``mapping.not-json``; ``mapping.wrong`` with the field that is
    """
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError):
        raise FormatError("mapping.not-json") from None
    if not isinstance(plain, dict):
        raise FormatError("mapping.not-json")
    known = {one.name for one in fields(Mapping)}
    for name in plain:
        if name not in known:
            raise FormatError("mapping.wrong", field=name)
    found: dict[str, Any] = {name: _parsed(name, value) for name, value in plain.items()}
    for name in ("time", "values"):
        if name not in found:
            raise FormatError("mapping.wrong", field=name)
    return Mapping(**found)


def _parsed(name: str, value: object) -> object:
    if name == "time":
        return tuple(_column(name, one) for one in (value if isinstance(value, list) else [value]))
    if name == "values":
        if not isinstance(value, list):
            raise FormatError("mapping.wrong", field=name)
        return tuple(_value_column(one) for one in value)
    if name in ("interval_s", "usage_point", "meter_serial", "offset", "details"):
        return _place(name, value)
    if name == "qualities":
        if not isinstance(value, dict) or not all(isinstance(word, str) for word in value.values()):
            raise FormatError("mapping.wrong", field=name)
        return value
    wanted = {"header_line": int, "has_unknown_columns": bool}.get(name, str)
    is_right = isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool)
    if not is_right and not (name == "zone" and value is None):
        raise FormatError("mapping.wrong", field=name)
    return value


def _value_column(plain: object) -> ValueColumn:
    if not isinstance(plain, dict) or not {"column", "channel"} <= plain.keys() <= _VALUE_FIELDS:
        raise FormatError("mapping.wrong", field="values")
    quality = _place("quality", plain["quality"]) if "quality" in plain else Place(constant="raw")
    column, *behind = _columns(plain["column"], plain.get("count", 1))
    return ValueColumn(
        column,
        _place("channel", plain["channel"]),
        _place("unit", plain.get("unit", "kWh")),
        quality,
        tuple(behind),
    )


_VALUE_FIELDS = {"column", "count", "channel", "unit", "quality"}


def _columns(plain: object, count: object) -> list[str | int]:
    """Return the columns of values: one, those named in order, or as many as are counted from a number on."""
    if isinstance(plain, int) and isinstance(count, int) and 1 < count <= _COLUMNS_AT_MOST:
        plain, count = list(range(plain, plain + count)), 1
    named = plain if isinstance(plain, list) else [plain]
    if count != 1 or isinstance(count, bool) or not 1 <= len(named) <= _COLUMNS_AT_MOST:
        raise FormatError("mapping.wrong", field="values")
    return [_column("values", one) for one in named]


def _place(name: str, plain: object) -> Place:
    """Return a place; a bare text or number is a constant."""
    if isinstance(plain, dict) and plain.keys() == {"column"}:
        return Place(column=_column(name, plain["column"]))
    if isinstance(plain, dict) and plain.keys() == {"constant"}:
        plain = plain["constant"]
    if isinstance(plain, bool) or not isinstance(plain, str | int):
        raise FormatError("mapping.wrong", field=name)
    return Place(constant=str(plain))


def _column(name: str, plain: object) -> str | int:
    is_number = isinstance(plain, int) and not isinstance(plain, bool) and plain >= 1
    if not is_number and not (isinstance(plain, str) and plain):
        raise FormatError("mapping.wrong", field=name)
    return plain  # type: ignore[return-value]


def _plain_values(column: ValueColumn) -> dict[str, object]:
    places = {name: getattr(column, name).to_plain() for name in ("channel", "unit", "quality")}
    return {"column": list(column.columns) if column.behind else column.column, **places}


PLAIN = Mapping(
    name="plain",
    time=("starts_at",),
    values=(ValueColumn("value", Place("channel"), Place("unit"), Place("quality")),),
    interval_s=Place("interval_s"),
    usage_point=Place("usage_point"),
    meter_serial=Place("meter_serial"),
    offset=Place("utc_offset"),
    details=Place("details"),
    has_unknown_columns=False,
)
REQUIRED_COLUMNS = frozenset(
    {"usage_point", "channel", "starts_at", "interval_s", "value", "unit", "quality"}
)
OPTIONAL_COLUMNS = frozenset({"meter_serial", "utc_offset", "details"})
