"""Determinants in the store: rows of a run, the newest of each series, day, calendar and rate is current."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store.api import Ids
from wattkeeper.store.bulk import PLAIN, is_asked
from wattkeeper.store.columns import column_of
from wattkeeper.store.native import Columns
from wattkeeper.store.queries import among, between

FIGURES = ("expected_count", "held_count", "estimated_count", "loose_count")
SUMS = ("energy_milliwh", "estimated_milliwh")
KEY = ("series_id", "starts_at_s", "calendar_id", "rate_index")


def rate_day_columns(tenant_id: int, run_id: int, rows: RateDayRows) -> dict[str, NDArray[Any]]:
    """Return the rows of a run as columns of ``rate_day``."""
    count = len(rows)
    return {
        "tenant_id": np.full(count, tenant_id, np.int64),
        "series_id": rows.series_id,
        "starts_at": rows.starts_at_s.astype(np.uint32),
        "calendar_id": rows.calendar_id,
        "rate_index": rows.rate_index.astype(np.int8),
        "run_id": np.full(count, run_id, np.int64),
        **{name: getattr(rows, name).astype(np.int32) for name in FIGURES},
        **{name: getattr(rows, name) for name in SUMS},
    }


def rate_day_query(tenant_id: int, series_ids: Ids, from_s: int, to_s: int) -> str:
    """Stored rows of days that start in the span, in order of their key and run."""
    return (
        "SELECT series_id, toUnixTimestamp(starts_at) AS starts_at_s, calendar_id, rate_index,"
        f" {', '.join((*FIGURES, *SUMS))} FROM rate_day WHERE tenant_id = {int(tenant_id)}"
        f" AND {among('series_id', series_ids)} AND {between('starts_at', from_s, to_s)}"
        " ORDER BY series_id, starts_at, calendar_id, rate_index, run_id" + PLAIN
    )


def newest_rate_days(blocks: Sequence[Columns], series_ids: Ids) -> RateDayRows:
    """Return the current rows of the series from answers to `rate_day_query`."""
    columns: dict[str, Int64s] = {name: column_of(blocks, name) for name in RateDayRows.__slots__}
    is_kept = is_asked(columns["series_id"], series_ids)
    is_same = columns["rate_index"][1:] == columns["rate_index"][:-1]
    for name in KEY[:-1]:
        if is_same.any():
            is_same &= columns[name][1:] == columns[name][:-1]
    is_kept[:-1] &= ~is_same
    if is_kept.all():
        return RateDayRows(**columns)
    return RateDayRows(**{name: column[is_kept] for name, column in columns.items()})
