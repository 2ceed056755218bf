"""The store's questions as text. Every parameter is an integer and rendered as one: no text gets in."""

from collections.abc import Sequence

from wattkeeper.store.api import Ids

_READ_COLUMNS = (
    "channel_id, toInt64(toUnixTimestamp(measured_at)) AS measured_at_s, value, toInt64(flags) AS flags,"
    " toInt64(source) AS source, batch_id, toInt64(frame_index) AS frame_index"
)
_INSTANTS = 2**32
SPARSE_MAX = 2  # so many times as many ids in a range as were asked for are read along
MONTHS = "SELECT toYYYYMM(measured_at) AS month FROM raw_read GROUP BY month FORMAT Native"


def held_months(tenant_id: int) -> str:
    """Months of a tenant's reads and values."""
    where = f"WHERE tenant_id = {int(tenant_id)}"
    return (
        f"SELECT month FROM (SELECT toYYYYMM(measured_at) AS month FROM raw_read {where} GROUP BY month"
        f" UNION ALL SELECT toYYYYMM(starts_at) AS month FROM measurement {where} GROUP BY month)"
        " GROUP BY month ORDER BY month FORMAT ArrowStream"
    )


def integers(values: Ids) -> str:
    """Return the list as ``(1, 2, 3)``; an empty one matches nothing."""
    return "(" + (", ".join(str(int(value)) for value in values) or "NULL") + ")"


def among(column: str, ids: Ids) -> str:
    """Return the condition that a column is one of the rising ids, or near them: a range where it may be."""
    if not len(ids):
        return "0"
    least, most = int(ids[0]), int(ids[-1])
    if least == most:
        return f"{column} = {least}"
    inside = f"{column} BETWEEN {least} AND {most}"
    if most - least < SPARSE_MAX * len(ids):
        return inside
    return f"{inside} AND {column} IN {integers(ids)}"


def between(column: str, from_s: int, to_s: int) -> str:
    """Instants of the half-open span, as the numbers they are: functions of constants take time to plan."""
    first, end = (min(max(int(at_s), 0), 2**32 - 1) for at_s in (from_s, to_s))
    return f"{column} >= {first} AND {column} < {end}"


def nearest_reads(
    tenant_id: int,
    channel_ids: Ids,
    window: tuple[int, int],
    *,
    newest_first: bool,
    sources: Sequence[int] | None = None,
) -> str:
    """Per channel the newest (or oldest) read of the half-open window; of any source where none is named.

    Channels that were not asked for may be among them.
    """
    order = "DESC" if newest_first else "ASC"
    of_sources = "" if sources is None else f" AND raw_read.source IN {integers(sources)}"
    return (
        f"SELECT {_READ_COLUMNS} FROM raw_read WHERE tenant_id = {int(tenant_id)}"
        f" AND {among('channel_id', channel_ids)}{of_sources}"
        f" AND {between('measured_at', *window)}"
        f" ORDER BY channel_id, measured_at {order}, raw_read.source DESC, value, raw_read.flags, batch_id"
        " LIMIT 1 BY channel_id FORMAT Native"
    )


def newest_of_month(month: int) -> str:
    """Per channel the newest read of a month (yyyymm), for all tenants."""
    return (
        "SELECT tenant_id, channel_id, newest.1 AS measured_at_s, newest.2 AS value, newest.3 AS flags,"
        " newest.4 AS source FROM (SELECT tenant_id, channel_id,"
        " argMax((toInt64(toUnixTimestamp(measured_at)), value, toInt64(flags), toInt64(source)),"
        " (measured_at, source, bitNot(value), bitNot(flags))) AS newest FROM raw_read"
        f" WHERE toYYYYMM(measured_at) = {int(month)} GROUP BY tenant_id, channel_id)"
        " SETTINGS optimize_aggregation_in_order = 1 FORMAT Native"
    )


def stamps_held(tenant_id: int, channel_ids: Ids, from_s: int, to_s: int, sources: Sequence[int]) -> str:
    """Distinct instants held per channel."""
    return (
        "SELECT DISTINCT channel_id, toInt64(toUnixTimestamp(measured_at)) AS measured_at_s FROM raw_read"
        f" WHERE tenant_id = {int(tenant_id)} AND channel_id IN {integers(channel_ids)}"
        f" AND raw_read.source IN {integers(sources)}"
        f" AND {between('measured_at', from_s, to_s)}"
        " ORDER BY channel_id, measured_at_s FORMAT Native"
    )


def daily_energy(tenant_id: int, series_ids: Ids, bounds_s: Sequence[int]) -> str:
    """Sums of current values between consecutive bounds."""
    inner = (
        "SELECT series_id, starts_at, argMax(value_milliwh, run_id) AS energy_milliwh FROM measurement"
        f" WHERE {_measured(tenant_id, series_ids, bounds_s[0], bounds_s[-1], None)}"
        " GROUP BY series_id, starts_at"
    )
    bounds = "[" + ", ".join(str(int(bound)) for bound in bounds_s) + "]"
    return (
        f"SELECT series_id, toInt64(roundDown(toInt64(toUnixTimestamp(starts_at)), {bounds})) AS bound_s,"
        f" toString(sum(toInt128(energy_milliwh))) AS energy_milliwh FROM ({inner})"
        " GROUP BY series_id, bound_s FORMAT ArrowStream"
    )


def peaks(tenant_id: int, series_ids: Ids, bounds_s: Sequence[int], provenances: Sequence[int]) -> str:
    """The highest current value between consecutive bounds and the first start of it.

    Value and start are compared as one number: to compare pairs takes the engine ten times as long.
    """
    current = (
        "SELECT series_id, starts_at, value_milliwh, provenance FROM measurement"
        f" WHERE {_measured(tenant_id, series_ids, bounds_s[0], bounds_s[-1], None)}"
        " ORDER BY series_id, starts_at, run_id DESC LIMIT 1 BY series_id, starts_at"
    )
    bounds = "[" + ", ".join(str(int(bound)) for bound in bounds_s) + "]"
    highest = (
        f"SELECT series_id, toInt64(roundDown(toInt64(toUnixTimestamp(starts_at)), {bounds})) AS from_s,"
        f" max(toInt128(value_milliwh) * {_INSTANTS} + {_INSTANTS - 1} - toUnixTimestamp(starts_at)) AS peak,"
        f" bitAnd(peak, {_INSTANTS - 1}) AS rest"
        f" FROM ({current}) WHERE provenance IN {integers(provenances)} GROUP BY series_id, from_s"
    )
    return (
        f"SELECT series_id, from_s, toInt64({_INSTANTS - 1} - rest) AS starts_at_s,"
        f" toInt64(intDiv(peak - rest, {_INSTANTS})) AS value_milliwh FROM ({highest})"
        " ORDER BY series_id, from_s FORMAT Native"
    )


def frames(tenant_id: int, keys: Sequence[tuple[int, int]]) -> str:
    """Frames by (batch_id, frame_index)."""
    named = ", ".join(f"({int(batch_id)}, {int(frame_index)})" for batch_id, frame_index in keys)
    return (
        "SELECT batch_id, toInt64(frame_index) AS frame_index, link_id, device_id,"
        " toInt64(toUnixTimestamp(received_at)) AS received_at_s, content FROM raw_frame"
        f" WHERE tenant_id = {int(tenant_id)} AND (batch_id, raw_frame.frame_index) IN ({named})"
        " LIMIT 1 BY batch_id, frame_index"
        " SETTINGS output_format_arrow_string_as_string = 0 FORMAT ArrowStream"
    )


def counts(tenant_id: int) -> str:
    """How much is held, each once; stored rows of reads apart."""
    where = f"WHERE tenant_id = {int(tenant_id)}"
    return (
        f"SELECT (SELECT toInt64(count()) FROM raw_read {where}) AS raw_rows,"
        " (SELECT toInt64(count()) FROM (SELECT DISTINCT channel_id, measured_at, source, value, flags"
        f" FROM raw_read {where})) AS raw_reads,"
        " (SELECT toInt64(count()) FROM (SELECT DISTINCT series_id, starts_at, run_id"
        f" FROM measurement {where})) AS measurements,"
        f" (SELECT toInt64(count()) FROM (SELECT DISTINCT batch_id, frame_index FROM raw_frame {where}))"
        " AS frames FORMAT ArrowStream"
    )


def _measured(tenant_id: int, series_ids: Ids, from_s: int, to_s: int, as_of_run_id: int | None) -> str:
    until = "" if as_of_run_id is None else f" AND run_id <= {int(as_of_run_id)}"
    return (
        f"tenant_id = {int(tenant_id)} AND series_id IN {integers(series_ids)}"
        f" AND {between('starts_at', from_s, to_s)}{until}"
    )
