"""What the readings store can prove of itself: parts, batches, frames, stamps, versions by run, owners."""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wattkeeper.store import verify_queries
from wattkeeper.store.run_mixes import MIX_MODULUS, MIXED, ROLLED, find_changed
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused
from wattkeeper.store.verify import Check, Examine, OnDone, SqlStore, span
from wattkeeper.store.verify_raw import check_batches, check_frames, check_stamps

_RUNS_COUNT = 1000  # asked for together
_VALUES_COUNT = 500_000
Owners = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rising ids of channels or series, and the organisation of each; both of shape (ids,)."""
_OWNED = (
    ("raw_read", "channel_id", "measured_at"),
    ("measurement", "series_id", "starts_at"),
    ("roll_up", "series_id", "starts_at"),
    ("rate_day", "series_id", "starts_at"),
)
_ON_SHARDS = "not supported for Distributed"  # as the engine says that a table lies elsewhere


class Rows(NamedTuple):
    """How many rows a run says that it wrote, and their sum (`run_mixes`) where that is known."""

    rows_count: int
    rows_mix: int | None


class Written(NamedTuple):
    """What a run says that it wrote: values, and days and months."""

    values: Rows
    roll_ups: Rows


_NOTHING = Written(Rows(0, None), Rows(0, None))


def store_checks(
    store: SqlStore,
    away: Mapping[str, Set[int]],
    *,
    now_s: Callable[[], int],
    written: Callable[[], Mapping[int, Written]],
    known_owners: Callable[[], Mapping[str, Owners]],
) -> Sequence[tuple[str, Examine]]:
    """
    Return every check of the store itself by name.

    `away`: months by table that are only in the archive. `written`, what each run says that it wrote, is
    asked before the store and after it, so that it knows of every run whose values were found;
    `known_owners`, organisation by channel or series for each column that names one, after it.
    """
    return (
        ("store.parts", lambda check, on_done: _check_parts(store, check, on_done)),
        ("store.batches", lambda check, _: check_batches(store, check, away)),
        ("store.frames", lambda check, _: check_frames(store, check, away)),
        ("store.stamps", lambda check, _: check_stamps(store, check, now_s())),
        ("store.runs", lambda check, _: _check_runs(store, check, written)),
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


def _check_runs(store: SqlStore, check: Check, written: Callable[[], Mapping[int, Written]]) -> None:
    """Each run's values are all there, once, and the same, also those that were derived again since.

    A run that was cut short may have written more than it says; one at work says so before or after.
    """
    runs = written()
    rows_of_runs = store.select(verify_queries.RUNS).to_pylist()
    sums_of_runs = store.select(verify_queries.SUMS_RUNS).to_pylist()
    known = written()
    check.examined_count = sum(row["rows_count"] for row in rows_of_runs)
    doubted = [
        row
        for row in rows_of_runs
        if (row["rows_count"], row["values_mix"]) != runs.get(row["run_id"], _NOTHING).values
    ]
    distinct_of = _distinct_values(store, [row["run_id"] for row in doubted])
    unsummed = 0
    for row in doubted:
        run_id, rows = row["run_id"], row["rows_count"]
        distinct, told = distinct_of[run_id], runs.get(run_id, _NOTHING).values
        if run_id not in known:
            check.fault("verify.run-unknown", run_id=run_id, found=distinct)
        elif rows != distinct:
            (place,) = store.select(verify_queries.doubled(run_id)).to_pylist()
            check.fault("verify.run-twice", run_id=run_id, doubled=rows - distinct, **_where(place))
        elif distinct < told.rows_count:
            check.fault("verify.run-short", run_id=run_id, found=distinct, of=told.rows_count, **span(row))
        elif told != known[run_id].values:
            continue
        elif distinct > told.rows_count or told.rows_mix is None:
            unsummed += 1
        else:
            difference = (told.rows_mix - row["values_mix"]) % MIX_MODULUS
            place = _changed_row(store, row, difference, verify_queries.values_of, MIXED) or row
            check.fault("verify.run-changed", run_id=run_id, **_where(place))
    if unsummed:
        check.cannot("verify.runs-unsummed", runs=unsummed, of=len(rows_of_runs))
    _check_sums(store, check, sums_of_runs, runs, known)
    found = {row["run_id"] for row in rows_of_runs}
    for run_id, wrote in sorted(runs.items()):
        if wrote.values.rows_count and run_id not in found:
            check.fault("verify.run-short", run_id=run_id, found=0, of=wrote.values.rows_count)


def _check_sums(
    store: SqlStore,
    check: Check,
    sums_of_runs: Sequence[Mapping[str, Any]],
    runs: Mapping[int, Written],
    known: Mapping[int, Written],
) -> None:
    """Each run's sums are there once, and its days and months are all there and the same."""
    unsummed, found = 0, set()
    for row in sums_of_runs:
        table, run_id, rows = row["table"], row["run_id"], row["rows_count"]
        place, told = {"table": table, "run_id": run_id}, runs.get(run_id, _NOTHING).roll_ups
        if run_id not in known:
            check.fault("verify.sums-unknown", found=rows, **place)
        elif doubled := rows - row["distinct_count"]:
            check.fault("verify.sums-twice", doubled=doubled, **place)
        if table != "roll_up":
            continue
        found.add(run_id)
        if (rows, row["rows_mix"]) == told or rows > row["distinct_count"] or run_id not in known:
            continue
        if rows < told.rows_count:
            check.fault("verify.sums-short", found=rows, of=told.rows_count, **place)
        elif told != known[run_id].roll_ups:
            continue
        elif rows > told.rows_count or told.rows_mix is None:
            unsummed += 1
        else:
            difference = (told.rows_mix - row["rows_mix"]) % MIX_MODULUS
            where = _changed_row(store, row, difference, verify_queries.roll_ups_of, ROLLED) or row
            check.fault("verify.sums-changed", **place, **_where(where))
    for run_id, wrote in sorted(runs.items()):
        if wrote.roll_ups.rows_count and run_id not in found:
            place = {"table": "roll_up", "run_id": run_id}
            check.fault("verify.sums-short", found=0, of=wrote.roll_ups.rows_count, **place)
    if unsummed:
        check.cannot("verify.sums-unsummed", runs=unsummed, of=len(found))


def _changed_row(
    store: SqlStore,
    row: Mapping[str, Any],
    difference: int,
    rows_of: Callable[[int, int, int], str],
    names: Sequence[str],
) -> dict[str, int] | None:
    """Return where the row of a run lies that is another, None where not just one of them is."""
    parts_count = -(-row["rows_count"] // _VALUES_COUNT)
    found: list[dict[str, int]] = []
    for part in range(parts_count):
        rows = store.select(rows_of(row["run_id"], part, parts_count))
        changed = find_changed([rows[name].to_numpy() for name in names], difference)
        found += rows.take(changed).to_pylist()
    if len(found) != 1:
        return None
    (only,) = found
    series = dict.fromkeys(("first_series_id", "last_series_id"), only["series_id"])
    return series | dict.fromkeys(("first_at_s", "last_at_s"), only["starts_at_s"])


def _where(row: Mapping[str, Any]) -> dict[str, Any]:
    series = {name: row[name] for name in ("first_series_id", "last_series_id")}
    return series | span(row)


def _distinct_values(store: SqlStore, run_ids: Sequence[int]) -> dict[int, int]:
    """Return how many values of each run there are, each once."""
    slices = [run_ids[start : start + _RUNS_COUNT] for start in range(0, len(run_ids), _RUNS_COUNT)]
    rows = [row for ids in slices for row in store.select(verify_queries.distinct_values(ids)).to_pylist()]
    return {row["run_id"]: row["distinct_count"] for row in rows}


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
