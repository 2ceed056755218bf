"""Questions about roll-ups as text, and their answers as columns. Every parameter is an integer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.instants import Span
from wattkeeper.core.readings.rollups import DAY, FIGURES, MONTH, RollUpRows
from wattkeeper.store.api import Ids
from wattkeeper.store.bulk import PLAIN
from wattkeeper.store.columns import column_of
from wattkeeper.store.native import Columns
from wattkeeper.store.queries import among, between, integers

_STORED = ("expected_count", *FIGURES)
_NEWEST = ", ".join(f"argMax(roll_up.{name}, roll_up.run_id) AS {name}" for name in _STORED)
_SUMS = ", ".join(f"sum(toInt64({name})) AS {name}" for name in _STORED)


def read(
    tenant_id: int,
    series_ids: Ids,
    days: Sequence[Span],
    months_s: Sequence[int],
    until: int | None,
) -> str:
    """Current days that start in the spans, and months that start at some instants, in order of their key."""
    known = "" if until is None else f" AND roll_up.run_id <= {int(until)}"
    return (
        f"SELECT grain, series_id, toUnixTimestamp(starts_at) AS starts_at_s, {_NEWEST},"
        " max(roll_up.run_id) AS run_id"
        f" FROM roll_up WHERE tenant_id = {int(tenant_id)} AND {among('series_id', series_ids)}"
        f" AND ((grain = {DAY} AND {_within(days)})"
        f" OR (grain = {MONTH} AND toUnixTimestamp(roll_up.starts_at) IN {integers(months_s)})){known}"
        " GROUP BY grain, series_id, starts_at ORDER BY grain, series_id, starts_at"
        f"{PLAIN.replace(' SETTINGS ', ' SETTINGS optimize_aggregation_in_order = 1, ', 1)}"
    )


def sum_days(tenant_id: int, series_ids: Ids, bounds_s: Sequence[int], without: Sequence[Span]) -> str:
    """Sums of current days between consecutive bounds, those of spans left out."""
    bounds = "[" + ", ".join(str(int(bound)) for bound in bounds_s) + "]"
    current = (
        f"SELECT series_id, starts_at, {', '.join(_STORED)}, run_id FROM roll_up"
        f" WHERE tenant_id = {int(tenant_id)} AND grain = {DAY} AND series_id IN {integers(series_ids)}"
        f" AND {between('starts_at', bounds_s[0], bounds_s[-1])} AND NOT {_within(without)}"
        " ORDER BY series_id, starts_at, run_id DESC LIMIT 1 BY series_id, starts_at"
    )
    return (
        f"SELECT toInt64({MONTH}) AS grain, series_id,"
        f" toInt64(roundDown(toInt64(toUnixTimestamp(starts_at)), {bounds})) AS starts_at_s,"
        f" {_SUMS}, max(roll_up.run_id) AS run_id"
        f" FROM ({current}) AS roll_up GROUP BY series_id, starts_at_s"
        " ORDER BY series_id, starts_at_s FORMAT Native"
    )


def only(rows: RollUpRows, series_ids: Ids) -> RollUpRows:
    """Return the rows of the series: a range of ids may have held others."""
    return rows.take(np.isin(rows.series_id, np.asarray(series_ids, dtype=np.int64)))


def rows_of(blocks: Sequence[Columns]) -> RollUpRows:
    """Return the answers' rows, one after the other."""
    return RollUpRows(*(column_of(blocks, name) for name in RollUpRows.__slots__))


def roll_up_columns(tenant_id: int, run_id: int, rows: RollUpRows) -> dict[str, NDArray[Any]]:
    """Return the rows of a run as columns of ``roll_up``."""
    return {
        "tenant_id": np.full(len(rows), tenant_id, np.int64),
        "grain": rows.grain.astype(np.int8),
        "series_id": rows.series_id,
        "starts_at": rows.starts_at_s.astype(np.uint32),
        "run_id": np.full(len(rows), run_id, np.int64),
        "energy_milliwh": rows.energy_milliwh,
        **{name: getattr(rows, name).astype(np.int32) for name in _STORED if name != "energy_milliwh"},
    }


def _within(spans: Sequence[Span]) -> str:
    return "(" + (" OR ".join(f"({between('starts_at', *span)})" for span in spans) or "0") + ")"
