"""A mapping as people say it: what each column is; and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.mapping import NOWHERE, Blank, Label, Mapping, Place, ValueColumn
from wattkeeper.formats.table_head import TableColumn

SINGLE_ROLES = (
    *("time", "clock", "offset", "usage_point", "meter_serial"),
    *("channel", "unit", "quality", "interval_s", "details"),
)
ROLES = ("", "value", "interval", *SINGLE_ROLES)


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """What one column is; `channel` and `unit` of a column of values where no column says them.

    Columns that are an ``interval`` of the row's day belong to the last channel that one of them names.
    """

    name: str | int
    role: str = ""
    channel: str = ""
    unit: str = "kWh"


@dataclass(frozen=True, slots=True)
class TableRules:
    """What holds for the whole table; the constants stand in where no column has that role."""

    delimiter: str = ","
    decimal_mark: str = "."
    header_line: int = 1
    zone: str | None = None
    label: Label = "start"
    time_format: str = "iso"
    interval_s: str = "900"
    usage_point: str = ""
    meter_serial: str = ""
    blank: Blank = "missing"
    qualities: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    thousands_mark: str = ""


def compose(roles: Sequence[ColumnRole], rules: TableRules) -> Mapping:
    """
    Return the mapping that says the same.

    :raises FormatError: ``mapping.wrong`` with the field: a role that is missing or taken twice
    """
    at: dict[str, str | int] = {}
    for column in roles:
        if column.role in at and column.role in SINGLE_ROLES:
            raise FormatError("mapping.wrong", field=column.role)
        at[column.role] = column.name
    if "time" not in at:
        raise FormatError("mapping.wrong", field="time")
    quality = Place(at["quality"]) if "quality" in at else Place(constant="raw")
    values = tuple(
        ValueColumn(
            first.name,
            Place(at["channel"]) if "channel" in at else Place(constant=_channel(first)),
            Place(at["unit"]) if "unit" in at else Place(constant=first.unit),
            quality,
            tuple(column.name for column in behind),
        )
        for first, *behind in _together(roles)
    )
    return Mapping(
        time=(at["time"], at["clock"]) if "clock" in at else (at["time"],),
        values=values,
        delimiter=rules.delimiter,
        decimal_mark=rules.decimal_mark,
        header_line=rules.header_line,
        zone=rules.zone or None,
        label=rules.label,
        time_format=rules.time_format,
        interval_s=_place(at, "interval_s", rules.interval_s),
        usage_point=_place(at, "usage_point", rules.usage_point),
        meter_serial=_place(at, "meter_serial", rules.meter_serial),
        offset=_place(at, "offset", ""),
        details=_place(at, "details", ""),
        qualities=dict(rules.qualities),
        blank=rules.blank,
        encoding=rules.encoding,
        thousands_mark=rules.thousands_mark,
    )


def decompose(mapping: Mapping, columns: Sequence[TableColumn]) -> tuple[list[ColumnRole], TableRules]:
    """Return what each column of a table is by a mapping, and its rules; other columns are nothing.

    Value columns with qualities of their own are said by the first one's.
    """
    roles = {_key(column): role for role, column in _single_places(mapping)}
    values = {_key(name): value for value in mapping.values for name in value.columns}
    found = []
    for number, column in enumerate(columns, 1):
        keys = (_key(column.name), _key(column.title), number)
        value = next((values[key] for key in keys if key in values), None)
        said = "interval" if value and value.behind else "value"
        role = said if value else next((roles[key] for key in keys if key in roles), "")
        channel, unit = (value.channel.constant, value.unit.constant) if value else ("", "")
        if value and _key(value.column) not in keys:
            channel = ""
        found.append(ColumnRole(column.name, role, channel, unit or "kWh"))
    rules = TableRules(
        delimiter=mapping.delimiter,
        decimal_mark=mapping.decimal_mark,
        header_line=mapping.header_line,
        zone=mapping.zone,
        label=mapping.label,
        time_format=mapping.time_format,
        interval_s=mapping.interval_s.constant,
        usage_point=mapping.usage_point.constant,
        meter_serial=mapping.meter_serial.constant,
        blank=mapping.blank,
        qualities=tuple(mapping.qualities.items()),
        encoding=mapping.encoding,
        thousands_mark=mapping.thousands_mark,
    )
    return found, rules


def _together(roles: Sequence[ColumnRole]) -> list[list[ColumnRole]]:
    """Return the columns of values, those together that are the intervals of a day."""
    found: list[list[ColumnRole]] = []
    for column in roles:
        if column.role == "interval" and found and found[-1][0].role == "interval" and not column.channel:
            found[-1].append(column)
        elif column.role in ("value", "interval"):
            found.append([column])
    return found


def _channel(first: ColumnRole) -> str:
    return first.channel or ("import" if first.role == "interval" else str(first.name))


def parse_qualities(text: str) -> tuple[tuple[str, str], ...]:
    """
    Return the words of a file and ours, written ``word = ours`` a line.

    :raises FormatError: ``mapping.wrong`` for a line without ``=``
    """
    found = []
    for line in text.splitlines():
        if not line.strip():
            continue
        word, sign, ours = line.partition("=")
        if not sign:
            raise FormatError("mapping.wrong", field="qualities")
        found.append((word.strip(), ours.strip()))
    return tuple(found)


LABELS: tuple[str, ...] = get_args(Label)
BLANKS: tuple[str, ...] = get_args(Blank)


def _single_places(mapping: Mapping) -> list[tuple[str, str | int]]:
    """Return (role, column) of each role that a column has, but for values."""
    first = mapping.values[0]
    places = {
        "offset": mapping.offset,
        "usage_point": mapping.usage_point,
        "meter_serial": mapping.meter_serial,
        "interval_s": mapping.interval_s,
        "details": mapping.details,
        "channel": first.channel,
        "unit": first.unit,
        "quality": first.quality,
    }
    named = [(role, place.column) for role, place in places.items() if place.column is not None]
    return [*zip(("time", "clock"), mapping.time, strict=False), *named]


def _key(column: str | int) -> str | int:
    """Return what a column is known by: a reader looks its name up without regard to case."""
    return column.lower() if isinstance(column, str) else column


def _place(at: dict[str, str | int], role: str, constant: str) -> Place:
    if role in at:
        return Place(at[role])
    return Place(constant=constant) if constant else NOWHERE
