"""What the readings store can prove of itself: parts, batches, frames, stamps, versions by run, owners."""

from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wattkeeper.store import verify_queries
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused
from wattkeeper.store.verify import Check, Examine, OnDone, SqlStore, span
from wattkeeper.store.verify_raw import check_batches, check_frames, check_stamps
from wattkeeper.store.verify_written import Runs, check_written

Owners = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rising ids of channels or series, and the organisation of each; both of shape (ids,)."""
_OWNED = (
    ("raw_read", "channel_id", "measured_at"),
    ("measurement", "series_id", "starts_at"),
    ("roll_up", "series_id", "starts_at"),
    ("rate_day", "series_id", "starts_at"),
)
_ON_SHARDS = "not supported for Distributed"  # as the engine says that a table lies elsewhere


def store_checks(
    store: SqlStore,
    away: Mapping[str, Set[int]],
    *,
    now_s: Callable[[], int],
    runs: Runs,
    known_owners: Callable[[], Mapping[str, Owners]],
) -> Sequence[tuple[str, Examine]]:
    """
    Return every check of the store itself by name.

    `away`: months by table that are only in the archive. `known_owners`, organisation by channel
    or series for each column that names one, is asked after the store.
    """
    return (
        ("store.parts", lambda check, on_done: _check_parts(store, check, on_done)),
        ("store.batches", lambda check, _: check_batches(store, check, away)),
        ("store.frames", lambda check, _: check_frames(store, check, away)),
        ("store.stamps", lambda check, _: check_stamps(store, check, now_s())),
        ("store.runs", lambda check, _: check_written(store, check, runs)),
        ("store.owners", lambda check, on_done: _check_owners(store, check, known_owners, on_done)),
    )


def _check_parts(store: SqlStore, check: Check, on_done: OnDone) -> None:
    """The engine's own checksums, part by part."""
    for index, table in enumerate(TABLES):
        on_done(index, len(TABLES))
        try:
            rows = store.select(verify_queries.parts(table)).to_pylist()
        except StoreRefused as error:
            if _ON_SHARDS in str(error.params):
                check.cannot("verify.parts-on-shards", table=table)
                continue
            check.fault("verify.part-damaged", table=table, part="?", reason=str(error.params)[:200])
            continue
        check.examined_count += len(rows)
        for row in rows:
            if not row["is_passed"]:
                reason = row["message"][:200]
                check.fault("verify.part-damaged", table=table, part=row["part_path"], reason=reason)


def _check_owners(
    store: SqlStore, check: Check, known_owners: Callable[[], Mapping[str, Owners]], on_done: OnDone
) -> None:
    """Every row is of a channel or series that the registry knows, and of the organisation that has it."""
    held = []
    for index, (table, column, at) in enumerate(_OWNED):
        on_done(index, len(_OWNED))
        held.append(store.select(verify_queries.owners(table, column, at)))
    known = known_owners()
    for (table, column, _), rows in zip(_OWNED, held, strict=True):
        ids, tenant_ids = known[column]
        key, tenant_id = rows["key"].to_numpy(), rows["tenant_id"].to_numpy()
        check.examined_count += len(key)
        is_known = np.isin(key, ids)
        place = np.searchsorted(ids, key[is_known])
        is_known[is_known] = tenant_ids[place] == tenant_id[is_known]
        for row in rows.filter(pa.array(~is_known)).to_pylist():
            check.fault(
                "verify.owner-unknown",
                table=table,
                column=column,
                key=row["key"],
                tenant_id=row["tenant_id"],
                rows=row["rows_count"],
                **span(row),
            )
