"""The archive's questions and statements as text: tables of the schema, columns of the engine, integers."""

from collections.abc import Mapping, Sequence

from wattkeeper.store.mixing import column_sql, mix_sql

KeyRange = tuple[int, int, int]  # tenant_id, first and last of the second key
_ARROW = " SETTINGS output_format_arrow_string_as_string = 0 FORMAT ArrowStream"
_INSTANT = {
    "raw_receipt": "first_at",
    "raw_read": "measured_at",
    "raw_frame": "received_at",
    "measurement": "starts_at",
    "roll_up": "starts_at",
    "rate_day": "starts_at",
}
_KEY = {
    "raw_receipt": "batch_id",
    "raw_read": "channel_id",
    "raw_frame": "batch_id",
    "measurement": "series_id",
    "roll_up": "series_id",
    "rate_day": "series_id",
}


def key_of(table: str) -> str:
    """The column after the organisation that says what a row is about."""
    return _KEY[table]


def months(table: str) -> str:
    """The months a table holds, and how many rows of each."""
    return (
        f"SELECT toInt64(toYYYYMM({_INSTANT[_base(table)]})) AS month, toInt64(count()) AS rows FROM {table}"
        f" GROUP BY month{_ARROW}"
    )


def columns(table: str) -> str:
    """A table's columns and their types, in order."""
    return (
        "SELECT name, type FROM system.columns WHERE database = currentDatabase()"
        f" AND table = '{table}' ORDER BY position FORMAT ArrowStream"
    )


def exists(table: str) -> str:
    """One row if there is such a table."""
    return (
        "SELECT name FROM system.tables WHERE database = currentDatabase()"
        f" AND name = '{table}' FORMAT ArrowStream"
    )


def key_counts(table: str, month: int) -> str:
    """How many rows each key has in a month."""
    key = _KEY[_base(table)]
    return (
        f"SELECT tenant_id, {key} AS key, toInt64(count()) AS rows FROM {table} WHERE {_in(table, month)}"
        f" GROUP BY tenant_id, key ORDER BY tenant_id, key{_ARROW}"
    )


def rows(table: str, kinds: Mapping[str, str], month: int, key_range: KeyRange) -> str:
    """All rows of a range of keys, in one order whatever parts they lie in."""
    names = ", ".join(_plain(name, kind) for name, kind in kinds.items())
    order = ", ".join(f"{table}.{name}" for name in kinds)
    tenant_id, first, last = (int(value) for value in key_range)
    return (
        f"SELECT {names} FROM {table} WHERE {_in(table, month)} AND {table}.tenant_id = {tenant_id}"
        f" AND {table}.{_KEY[table]} BETWEEN {first} AND {last} ORDER BY {order}{_ARROW}"
    )


def totals(table: str, kinds: Mapping[str, str], month: int) -> str:
    """How many rows a month has, and the sum of their numbers."""
    mixed = mix_sql([column_sql(name, kind) for name, kind in kinds.items()])
    return (
        f"SELECT toInt64(count()) AS rows, sum({mixed}) AS mixed FROM {table}"
        f" WHERE {_in(table, month)}{_ARROW}"
    )


def sums(table: str, kinds: Mapping[str, str], month: int) -> str:
    """Exact sums of a month's columns, as text."""
    each = ", ".join(
        f"toString(sum(toInt128(length({name})))) AS {name}"
        if kind == "String"
        else f"toString(sum(toInt128({_number(name, kind)}))) AS {name}"
        for name, kind in kinds.items()
    )
    return f"SELECT {each} FROM {table} WHERE {_in(table, month)} FORMAT ArrowStream"


def runs(month: int) -> str:
    """How many values of a month each run wrote."""
    return (
        "SELECT run_id, toInt64(uniqExact(tenant_id, series_id, starts_at)) AS rows FROM measurement"
        f" WHERE {_in('measurement', month)} GROUP BY run_id ORDER BY run_id{_ARROW}"
    )


def move(table: str, to_table: str, month: int) -> str:
    """Move a month between two tables of one kind, in one step."""
    return f"ALTER TABLE {table} MOVE PARTITION ID '{int(month)}' TO TABLE {to_table}"


def add_missing(table: str, source: str, kinds: Mapping[str, str], month: int) -> str:
    """Insert the rows of a month that the table doesn't hold."""
    names = ", ".join(kinds)
    return (
        f"INSERT INTO {table} ({names}) SELECT {names} FROM {source}"
        f" WHERE ({names}) NOT IN (SELECT {names} FROM {table} WHERE {_in(table, month)})"
    )


def lost(table: str, source: str, names: Sequence[str], month: int, key_range: KeyRange) -> str:
    """The rows of a range of keys, by key, that are in the source and not in the table."""
    columns = ", ".join(names)
    tenant_id, first, last = (int(value) for value in key_range)
    chosen = f"tenant_id = {tenant_id} AND {_KEY[table]} BETWEEN {first} AND {last}"
    return (
        f"SELECT tenant_id, {_KEY[table]} AS key, toInt64(count()) AS rows,"
        f" toInt64(toUnixTimestamp(min({_INSTANT[table]}))) AS first_at_s FROM {source} WHERE {chosen}"
        f" AND ({columns}) NOT IN (SELECT {columns} FROM {table} WHERE {_in(table, month)} AND {chosen})"
        f" GROUP BY tenant_id, key ORDER BY tenant_id, key{_ARROW}"
    )


def _in(table: str, month: int) -> str:
    return f"toYYYYMM({table}.{_INSTANT[_base(table)]}) = {int(month)}"


def _base(table: str) -> str:
    return table.removesuffix("_leaving").removesuffix("_returning").removesuffix("_compared")


def _plain(name: str, kind: str) -> str:
    return f"toUnixTimestamp({name}) AS {name}" if kind.startswith("DateTime") else name


def _number(name: str, kind: str) -> str:
    return f"toUnixTimestamp({name})" if kind.startswith("DateTime") else name
