"""The questions of `verify` as text. Every parameter is an integer or a table of the schema."""

from collections.abc import Mapping, Sequence
from typing import Any

from wattkeeper.core.kernel.quality import Flag
from wattkeeper.store.queries import integers
from wattkeeper.store.rate_days import FIGURES, SUMS
from wattkeeper.store.receipts import EARLIER_FRAME_MIX, FRAME_MIX, READ_MIX
from wattkeeper.store.run_mixes import MIX_MODULUS, ROLL_UP_MIX, ROLLED, VALUE_MIX

_ARROW = " FORMAT ArrowStream"
_READ = "tenant_id, channel_id, measured_at, source, value, flags"
_MONTH = "toInt64(toYYYYMM({}))"
_EXTENT = (
    "toInt64(toUnixTimestamp(min(measured_at))) AS first_at_s,"
    " toInt64(toUnixTimestamp(max(measured_at))) AS last_at_s,"
    " min(channel_id) AS first_channel_id, max(channel_id) AS last_channel_id"
)
_NO_FRAMES = "emptyArrayInt32()"
ALL_COUNTS = (
    "SELECT (SELECT toInt64(count()) FROM raw_read) AS reads,"
    f" (SELECT toInt64(count()) FROM measurement) AS measured{_ARROW}"
)
_SPAN = (
    "min(series_id) AS first_series_id, max(series_id) AS last_series_id,"
    " toInt64(toUnixTimestamp(min(starts_at))) AS first_at_s,"
    " toInt64(toUnixTimestamp(max(starts_at))) AS last_at_s"
)


def receipts(batch_ids: Sequence[int] | None) -> str:
    """What the receipts of each batch and month say of its reads; of some batches, or of all."""
    return (
        f"SELECT tenant_id, batch_id, {_MONTH.format('first_at')} AS month,"
        " toInt64(sum(raw_receipt.reads_count)) AS reads_count, sum(raw_receipt.reads_mix) AS reads_mix,"
        " toInt64(toUnixTimestamp(min(raw_receipt.first_at))) AS first_at_s,"
        " toInt64(toUnixTimestamp(max(raw_receipt.last_at))) AS last_at_s,"
        " min(raw_receipt.first_channel_id) AS first_channel_id,"
        " max(raw_receipt.last_channel_id) AS last_channel_id"
        " FROM (SELECT DISTINCT tenant_id, batch_id, first_at, last_at, first_channel_id, last_channel_id,"
        f" reads_count, reads_mix FROM raw_receipt WHERE reads_count > 0 AND {_of(batch_ids)}) AS raw_receipt"
        f" GROUP BY tenant_id, batch_id, month{_ARROW}"
    )


def batches(batch_ids: Sequence[int] | None) -> str:
    """What is held of each batch and month; of some batches, or of all."""
    return (
        f"SELECT tenant_id, batch_id, {_MONTH.format('measured_at')} AS month,"
        f" toInt64(count()) AS reads_count, sum({READ_MIX}) AS reads_mix, {_EXTENT}"
        f" FROM (SELECT DISTINCT {_READ}, batch_id FROM raw_read WHERE {_of(batch_ids)})"
        f" GROUP BY tenant_id, batch_id, month{_ARROW}"
    )


def frames(batch_ids: Sequence[int] | None) -> str:
    """The frames of each batch: wanted by its receipts, named by its reads, and held; of some, or of all."""
    own = _of(batch_ids)
    return (
        "SELECT tenant_id, batch_id, toInt64(max(wanted)) AS wanted_count,"
        " toInt64(max(found)) AS found_count,"
        " max(wanted_sum) AS wanted_mix, max(found_sum) AS found_mix, max(earlier_sum) AS earlier_mix,"
        " max(received) AS month,"
        " arraySort(arrayFilter(x -> NOT has(groupUniqArrayArray(held), x), groupUniqArrayArray(named)))"
        " AS lost"
        " FROM (SELECT tenant_id, batch_id, frames_count AS wanted, toInt64(0) AS found,"
        " frames_mix AS wanted_sum, toUInt64(0) AS found_sum, toUInt64(0) AS earlier_sum,"
        f" {_MONTH.format('received_at')} AS received, {_NO_FRAMES} AS named, {_NO_FRAMES} AS held"
        f" FROM raw_receipt WHERE frames_count > 0 AND {own}"
        " UNION ALL SELECT tenant_id, batch_id, toInt64(0), toInt64(0), toUInt64(0), toUInt64(0),"
        f" toUInt64(0), toInt64(0), groupUniqArray(frame_index), {_NO_FRAMES}"
        f" FROM raw_read WHERE frame_index >= 0 AND {own}"
        " GROUP BY tenant_id, batch_id"
        " UNION ALL SELECT tenant_id, batch_id, toInt64(0), toInt64(count()), toUInt64(0),"
        f" sum({FRAME_MIX}), sum({EARLIER_FRAME_MIX}), toInt64(0), {_NO_FRAMES}, groupUniqArray(frame_index)"
        " FROM (SELECT DISTINCT tenant_id, batch_id, frame_index, link_id, device_id, received_at, content"
        f" FROM raw_frame WHERE {own}) GROUP BY tenant_id, batch_id) GROUP BY tenant_id, batch_id"
        f" HAVING wanted_count > 0 OR found_count > 0 OR notEmpty(lost){_ARROW}"
    )


def runs(first_id: int, last_id: int) -> str:
    """The values of each run of a span."""
    return (
        "SELECT run_id, toInt64(count()) AS rows_count,"
        f" sum({VALUE_MIX}) % {MIX_MODULUS} AS rows_mix, {_SPAN}"
        f" FROM measurement WHERE {_between(first_id, last_id)} GROUP BY run_id ORDER BY run_id{_ARROW}"
    )


def roll_up_runs(first_id: int, last_id: int) -> str:
    """The days and months of each run of a span, and how many of them there are, each once."""
    return (
        "SELECT run_id, toInt64(count()) AS rows_count,"
        " toInt64(uniqExact(tenant_id, grain, series_id, starts_at)) AS distinct_count,"
        f" sum({ROLL_UP_MIX}) % {MIX_MODULUS} AS rows_mix, {_SPAN}"
        f" FROM roll_up WHERE {_between(first_id, last_id)} GROUP BY run_id ORDER BY run_id{_ARROW}"
    )


def rate_day_runs(first_id: int, last_id: int) -> str:
    """The rates of days of each run of a span, and how many of them there are, each once."""
    return (
        "SELECT run_id, toInt64(count()) AS rows_count,"
        " toInt64(uniqExact(tenant_id, series_id, starts_at, calendar_id, rate_index)) AS distinct_count"
        f" FROM rate_day WHERE {_between(first_id, last_id)} GROUP BY run_id ORDER BY run_id{_ARROW}"
    )


def distinct_values(run_ids: Sequence[int]) -> str:
    """How many values of some runs there are, each once: a question that takes memory for each of them."""
    return (
        "SELECT run_id, toInt64(uniqExact(tenant_id, series_id, starts_at)) AS distinct_count"
        f" FROM measurement WHERE run_id IN {integers(run_ids)} GROUP BY run_id{_ARROW}"
    )


def values_of(run_id: int, part: int, parts_count: int) -> str:
    """The values of a run, one part of several, as the sums over them are made of them."""
    return (
        "SELECT tenant_id, series_id, toInt64(toUnixTimestamp(starts_at)) AS starts_at_s, value_milliwh,"
        " toInt64(provenance) AS provenance, toInt64(flags) AS flags, toInt64(method) AS method"
        f" FROM measurement WHERE run_id = {int(run_id)}"
        f" AND cityHash64(series_id, starts_at) % {int(parts_count)} = {int(part)}{_ARROW}"
    )


def roll_ups_of(run_id: int, part: int, parts_count: int) -> str:
    """The roll-ups of a run, one part of several, as the sums over them are made of them."""
    columns = ", ".join(f"toInt64({name}) AS {name}" for name in ROLLED if name != "starts_at_s")
    return (
        f"SELECT {columns}, toInt64(toUnixTimestamp(starts_at)) AS starts_at_s"
        f" FROM roll_up WHERE roll_up.run_id = {int(run_id)}"
        f" AND cityHash64(series_id, starts_at) % {int(parts_count)} = {int(part)}{_ARROW}"
    )


def doubled(run_id: int) -> str:
    """Where the values of a run lie that are there more than once."""
    return (
        "SELECT min(series_id) AS first_series_id, max(series_id) AS last_series_id,"
        " toInt64(toUnixTimestamp(min(starts_at))) AS first_at_s,"
        " toInt64(toUnixTimestamp(max(starts_at))) AS last_at_s"
        f" FROM (SELECT series_id, starts_at FROM measurement WHERE run_id = {int(run_id)}"
        f" GROUP BY tenant_id, series_id, starts_at HAVING count() > 1){_ARROW}"
    )


def parts(table: str) -> str:
    """The engine's verdict on each part of a table."""
    return f"CHECK TABLE {table}{_ARROW} SETTINGS check_query_single_value_result = 0"


def others(key: Sequence[int], receipt: Mapping[str, Any], missing_mix: int) -> str:
    """What other batches hold where a batch's reads were, and the batch itself does not.

    A row each other batch, one of `batch_id` 0 for all together: `reads_count`, each once, `reads_mix`, and
    how many of them are `alike`: by itself what the batch is short of.
    """
    own = f"tenant_id = {int(key[0])} AND batch_id = {int(key[1])}"
    held = (
        f"SELECT DISTINCT {_READ}, {{batch_id}} AS batch_id FROM raw_read WHERE tenant_id = {int(key[0])}"
        f" AND raw_read.batch_id != {int(key[1])}"
        f" AND channel_id BETWEEN {int(receipt['first_channel_id'])} AND {int(receipt['last_channel_id'])}"
        f" AND toUnixTimestamp(measured_at) BETWEEN {int(receipt['first_at_s'])}"
        f" AND {int(receipt['last_at_s'])}"
        f" AND ({_READ}) GLOBAL NOT IN (SELECT {_READ} FROM raw_read WHERE {own})"
    )
    return (
        f"SELECT batch_id, toInt64(count()) AS reads_count, sum({READ_MIX}) AS reads_mix,"
        f" toInt64(countIf({READ_MIX} = {int(missing_mix)})) AS alike"
        f" FROM ({held.format(batch_id='raw_read.batch_id')} UNION ALL {held.format(batch_id='toInt64(0)')})"
        f" GROUP BY batch_id{_ARROW}"
    )


def late_receipts(until_s: int) -> str:
    """Batches that came later than that."""
    return (
        "SELECT DISTINCT tenant_id, batch_id, toInt64(toUnixTimestamp(received_at)) AS at_s FROM raw_receipt"
        f" WHERE toUnixTimestamp(received_at) > {int(until_s)} ORDER BY at_s LIMIT 2000{_ARROW}"
    )


def late_reads(ahead_max_s: int) -> str:
    """Reads stamped later than their batch came, though nothing is known against their clock; each once."""
    return (
        "SELECT tenant_id, channel_id, toInt64(toUnixTimestamp(measured_at)) AS at_s,"
        " toInt64(toUnixTimestamp(received_at)) AS received_at_s FROM raw_read GLOBAL INNER JOIN"
        " (SELECT tenant_id, batch_id, max(received_at) AS received_at FROM raw_receipt"
        " GROUP BY tenant_id, batch_id) AS receipt USING (tenant_id, batch_id)"
        f" WHERE measured_at > received_at + {int(ahead_max_s)}"
        f" AND bitAnd(raw_read.flags, {int(Flag.CLOCK_INVALID)}) = 0 ORDER BY at_s, received_at_s"
        f" LIMIT 1 BY tenant_id, channel_id, at_s LIMIT 2000{_ARROW}"
    )


def late_values(now_s: int) -> str:
    """Values of intervals that have not begun, each once, by however many runs."""
    return (
        "SELECT DISTINCT tenant_id, series_id, toInt64(toUnixTimestamp(starts_at)) AS at_s FROM measurement"
        f" WHERE toUnixTimestamp(starts_at) >= {int(now_s)} ORDER BY at_s LIMIT 2000{_ARROW}"
    )


def naming(key: Sequence[int], frame_index: int) -> str:
    """Where the reads of a batch lie that name a frame."""
    return (
        f"SELECT toInt64(uniqExact({_READ})) AS reads_count, {_EXTENT} FROM raw_read"
        f" WHERE tenant_id = {int(key[0])} AND batch_id = {int(key[1])}"
        f" AND raw_read.frame_index = {int(frame_index)}{_ARROW}"
    )


def owners(table: str, column: str, at: str) -> str:
    """What of each channel or series a table holds."""
    return (
        f"SELECT tenant_id, {column} AS key, toInt64(count()) AS rows_count,"
        f" toInt64(toUnixTimestamp(min({at}))) AS first_at_s,"
        f" toInt64(toUnixTimestamp(max({at}))) AS last_at_s FROM {table} GROUP BY tenant_id, key{_ARROW}"
    )


def reads_of_source(tenant_id: int, channel_ids: Sequence[int], source: int) -> str:
    """What is held of some channels from a source."""
    return (
        "SELECT DISTINCT channel_id, toInt64(toUnixTimestamp(measured_at)) AS at_s, value,"
        f" toInt64(flags) AS flags FROM raw_read WHERE tenant_id = {int(tenant_id)}"
        f" AND channel_id IN {integers(channel_ids)} AND source = {int(source)}{_ARROW}"
    )


def strays(
    tenant_id: int, series_ids: Sequence[int], ends_s: int, grains: tuple[int, int], months_s: Sequence[int]
) -> str:
    """Current roll-ups that count something and that no question finds: of neither of two grains, days and
    months; days from `ends_s` on, and months that begin when none does."""
    day, month = grains
    counted = (f"{what}_count" for what in ("measured", "estimated", "edited", "derived", "projected"))
    return (
        "SELECT series_id, toInt64(grain) AS grain, toInt64(toUnixTimestamp(starts_at)) AS starts_at_s,"
        " argMax(roll_up.energy_milliwh, roll_up.run_id) AS energy_milliwh"
        f" FROM roll_up WHERE tenant_id = {int(tenant_id)} AND series_id IN {integers(series_ids)}"
        f" AND (grain NOT IN {integers(grains)}"
        f" OR (grain = {int(day)} AND toUnixTimestamp(roll_up.starts_at) >= {int(ends_s)})"
        f" OR (grain = {int(month)} AND toUnixTimestamp(roll_up.starts_at) NOT IN {integers(months_s)}))"
        " GROUP BY series_id, grain, starts_at"
        f" HAVING argMax({' + '.join(counted)}, roll_up.run_id) > 0"
        f" ORDER BY series_id, grain, starts_at_s{_ARROW}"
    )


def rate_days(tenant_id: int, series_ids: Sequence[int], from_s: int, to_s: int) -> str:
    """The current rows of calendars' rates of days that start in the span, by series, day, calendar, rate."""
    figures = ", ".join(f"toInt64(rate_day.{name}) AS {name}" for name in (*FIGURES, *SUMS))
    return (
        "SELECT series_id, toInt64(toUnixTimestamp(starts_at)) AS starts_at_s, calendar_id,"
        f" toInt64(rate_day.rate_index) AS rate_index, run_id, {figures} FROM rate_day"
        f" WHERE tenant_id = {int(tenant_id)} AND series_id IN {integers(series_ids)}"
        f" AND toUnixTimestamp(starts_at) >= {int(from_s)} AND toUnixTimestamp(starts_at) < {int(to_s)}"
        " ORDER BY series_id, starts_at, calendar_id, rate_day.rate_index, run_id DESC"
        f" LIMIT 1 BY series_id, starts_at, calendar_id, rate_day.rate_index{_ARROW}"
    )


def _of(batch_ids: Sequence[int] | None) -> str:
    return "1" if batch_ids is None else f"batch_id IN {integers(batch_ids)}"


def _between(first_id: int, last_id: int) -> str:
    return f"run_id BETWEEN {int(first_id)} AND {int(last_id)}"
