"""Figures of days recomputed from the current values: what roll-ups and registers are held against."""

from collections.abc import Sequence

from wattkeeper.core.kernel.quality import NO_INTERVAL, Provenance
from wattkeeper.core.readings.rollups import COUNTED, DAY, FIGURES, RollUpRows
from wattkeeper.store.native import Columns
from wattkeeper.store.queries import integers
from wattkeeper.store.rollup_queries import rows_of
from wattkeeper.store.verify import SqlStore

_SLICE_COUNT = 2_000
_COUNTS = ", ".join(
    f"toInt64(countIf(provenance = {int(each)})) AS {name}"
    for each, name in zip(COUNTED, FIGURES[1:], strict=True)
)


def day_figures(
    store: SqlStore, tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int]
) -> RollUpRows:
    """
    Return the days between consecutive bounds that hold a value, ordered by series and start.

    `expected_count` is how many stored values there are, MISSING ones included.

    :raises StoreRefused: if a sum does not fit 64 bits
    """
    ids = sorted({int(id_) for id_ in series_ids})
    tables = [
        store.select(_query(tenant_id, ids[start : start + _SLICE_COUNT], bounds_s))
        for start in range(0, len(ids), _SLICE_COUNT)
    ]
    blocks: list[Columns] = [
        {name: table[name].to_numpy() for name in table.column_names} for table in tables
    ]
    return rows_of(blocks)


def _query(tenant_id: int, series_ids: Sequence[int], bounds_s: Sequence[int]) -> str:
    bounds = "[" + ", ".join(str(int(bound)) for bound in bounds_s) + "]"
    current = (
        "SELECT series_id, starts_at, value_milliwh, provenance, flags FROM measurement"
        f" WHERE tenant_id = {int(tenant_id)} AND series_id IN {integers(series_ids)}"
        f" AND toUnixTimestamp(starts_at) >= {int(bounds_s[0])}"
        f" AND toUnixTimestamp(starts_at) < {int(bounds_s[-1])}"
        " ORDER BY series_id, starts_at, run_id DESC LIMIT 1 BY series_id, starts_at"
    )
    return (
        f"SELECT toInt64({DAY}) AS grain, series_id,"
        f" toInt64(roundDown(toInt64(toUnixTimestamp(starts_at)), {bounds})) AS starts_at_s,"
        " toInt64(count()) AS expected_count,"
        f" sumIf(value_milliwh, provenance != {int(Provenance.MISSING)}) AS energy_milliwh,"
        f" {_COUNTS}, toInt64(0) AS run_id FROM ({current}) WHERE flags != {NO_INTERVAL}"
        " GROUP BY series_id, starts_at_s"
        " ORDER BY series_id, starts_at_s FORMAT ArrowStream"
    )
