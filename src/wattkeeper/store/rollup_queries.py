"""Questions about roll-ups as text, and their answers as columns. Every parameter is an integer."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from wattkeeper.core.readings.rollups import DAY, FIGURES, MONTH, RollUpRows
from wattkeeper.store.columns import column_of
from wattkeeper.store.queries import integers

Span = tuple[int, int]
_COUNTS = ", ".join(f"toInt64({name}) AS {name}" for name in ("expected_count", *FIGURES))
_INNER = ", ".join(("expected_count", *FIGURES))
_SUMS = ", ".join(f"sum(toInt64({name})) AS {name}" for name in FIGURES)


def read(
    tenant_id: int,
    series_ids: Sequence[int],
    days: Sequence[Span],
    months_s: Sequence[int],
    until: int | None,
) -> str:
    """Current days that start in the spans, and months that start at some instants."""
    asked = (
        f"(roll_up.grain = {DAY} AND {_within(days)})"
        f" OR (roll_up.grain = {MONTH} AND toUnixTimestamp(starts_at) IN {integers(months_s)})"
    )
    return (
        "SELECT toInt64(grain) AS grain, series_id, toInt64(toUnixTimestamp(starts_at)) AS starts_at_s,"
        f" {_COUNTS} FROM ({_current(tenant_id, series_ids, asked, until)})"
        " ORDER BY series_id, grain, starts_at FORMAT ArrowStream"
    )


def sum_days(
    tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int], without: Sequence[Span]
) -> str:
    """Sums of current days between consecutive bounds, those of spans left out."""
    outer = f"grain = {DAY} AND {_within([(bounds_s[0], bounds_s[-1])])} AND NOT {_within(without)}"
    bounds = "[" + ", ".join(str(int(bound)) for bound in bounds_s) + "]"
    return (
        f"SELECT toInt64({MONTH}) AS grain, series_id,"
        f" toInt64(roundDown(toInt64(toUnixTimestamp(starts_at)), {bounds})) AS starts_at_s,"
        f" sum(toInt64(expected_count)) AS expected_count, {_SUMS}"
        f" FROM ({_current(tenant_id, series_ids, outer, None)}) GROUP BY series_id, starts_at_s"
        " FORMAT ArrowStream"
    )


def rows_of(tables: Iterable[pa.Table]) -> RollUpRows:
    """Return the answers' rows, one after the other."""
    known = list(tables)
    return RollUpRows(*(column_of(known, name) for name in RollUpRows.__slots__))


def roll_up_table(tenant_id: int, run_id: int, rows: RollUpRows) -> pa.Table:
    """Return the rows of a run as rows of ``roll_up``."""
    columns = {
        "tenant_id": pa.array(np.full(len(rows), tenant_id, np.int64)),
        "grain": pa.array(rows.grain.astype(np.int8)),
        "series_id": pa.array(rows.series_id),
        "starts_at": pa.array(rows.starts_at_s.astype(np.uint32)),
        "run_id": pa.array(np.full(len(rows), run_id, np.int64)),
        "energy_milliwh": pa.array(rows.energy_milliwh),
    }
    counts = ("expected_count", *FIGURES[1:])
    return pa.table(columns | {name: pa.array(getattr(rows, name).astype(np.int32)) for name in counts})


def _current(tenant_id: int, series_ids: Sequence[int], where: str, until: int | None) -> str:
    known = "" if until is None else f" AND run_id <= {int(until)}"
    return (
        f"SELECT grain, series_id, starts_at, {_INNER} FROM roll_up"
        f" WHERE tenant_id = {int(tenant_id)} AND series_id IN {integers(series_ids)} AND ({where}){known}"
        " ORDER BY grain, series_id, starts_at, run_id DESC LIMIT 1 BY grain, series_id, starts_at"
    )


def _within(spans: Sequence[Span]) -> str:
    each = (
        f"(toUnixTimestamp(starts_at) >= {int(from_s)} AND toUnixTimestamp(starts_at) < {int(to_s)})"
        for from_s, to_s in spans
    )
    return "(" + (" OR ".join(each) or "0") + ")"
