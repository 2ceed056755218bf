"""What each run wrote against what it says that it wrote: a part of the runs at a time, as arrays."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.store import verify_queries
from wattkeeper.store.run_mixes import MIX_MODULUS, MIXED, ROLLED, find_changed
from wattkeeper.store.verify import Check, SqlStore, span

UNKNOWN = -1  # the sum of a run that did not keep it
_RUNS_COUNT = 1000  # asked for together
_VALUES_COUNT = 500_000


class Rows(NamedTuple):
    """How many rows a run says that it wrote, and their sum (`run_mixes`) or `UNKNOWN`."""

    rows_count: int
    rows_mix: int


class Told(NamedTuple):
    """Of one table, what runs say that they wrote: rising ids, counts and sums of shape (runs,)."""

    run_id: Int64s
    rows_count: Int64s
    rows_mix: Int64s

    def knows(self, run_id: int) -> bool:
        """Whether a run is among them."""
        at = int(np.searchsorted(self.run_id, run_id))
        return at < len(self.run_id) and int(self.run_id[at]) == run_id

    def of(self, run_id: int) -> Rows:
        """Return what one run says; nothing where it is not among them."""
        if not self.knows(run_id):
            return Rows(0, UNKNOWN)
        at = int(np.searchsorted(self.run_id, run_id))
        return Rows(int(self.rows_count[at]), int(self.rows_mix[at]))

    def are_same(self, run_ids: Int64s, rows_count: Int64s, rows_mix: Int64s) -> NDArray[np.bool_]:
        """Return which of some runs wrote just what they say."""
        is_known = np.isin(run_ids, self.run_id)
        at = np.searchsorted(self.run_id, run_ids[is_known])
        same = (self.rows_count[at] == rows_count[is_known]) & (self.rows_mix[at] == rows_mix[is_known])
        is_known[is_known] = same
        return is_known

    def lacking(self, found_ids: Int64s) -> Iterator[tuple[int, int]]:
        """Yield runs of which nothing was found though they say so, with how much."""
        for at in np.flatnonzero((self.rows_count > 0) & ~np.isin(self.run_id, found_ids)):
            yield int(self.run_id[at]), int(self.rows_count[at])


class Written(NamedTuple):
    """What runs say that they wrote: values, and days and months."""

    values: Told
    roll_ups: Told


class Runs(Protocol):
    """The runs as they tell of themselves."""

    def spans(self) -> Iterable[tuple[int, int]]:
        """Return first and last ids of spans, some runs in each, that hold every id there may be."""
        ...

    def written(self, first_id: int, last_id: int) -> Written:
        """Return what the runs of a span say by now."""
        ...


def check_written(store: SqlStore, check: Check, runs: Runs) -> None:
    """Each run's values are all there, once, and the same, also those that were derived again since.

    What they say is asked before the store and after it, so that it is known of every run whose values were
    found. A run that was cut short may have written more than it says; one at work says so before or after.
    """
    unsummed, unsummed_sums = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)
    for first_id, last_id in runs.spans():
        before = runs.written(first_id, last_id)
        values, roll_ups, rate_days = (
            store.select(query(first_id, last_id))
            for query in (verify_queries.runs, verify_queries.roll_up_runs, verify_queries.rate_day_runs)
        )
        after = runs.written(first_id, last_id)
        unsummed += _check_values(store, check, values, before.values, after.values)
        unsummed_sums += _check_roll_ups(store, check, roll_ups, before.roll_ups, after.roll_ups)
        _check_keys(check, "rate_day", rate_days, after.values)
    for code, (runs_count, of_count) in (
        ("verify.runs-unsummed", unsummed.tolist()),
        ("verify.sums-unsummed", unsummed_sums.tolist()),
    ):
        if runs_count:
            check.cannot(code, runs=runs_count, of=of_count)


def _check_values(
    store: SqlStore, check: Check, held: pa.Table, before: Told, after: Told
) -> tuple[int, int]:
    """Check the values of some runs; return of how many their sum is not known, of how many."""
    run_ids, rows_count = _column(held, "run_id"), _column(held, "rows_count")
    check.examined_count += int(rows_count.sum())
    doubted = held.filter(pa.array(~before.are_same(run_ids, rows_count, _column(held, "rows_mix"))))
    unsummed = 0
    for row, distinct in _with_distinct(store, doubted):
        run_id, rows = row["run_id"], row["rows_count"]
        told = before.of(run_id)
        if not after.knows(run_id):
            check.fault("verify.run-unknown", run_id=run_id, found=distinct)
        elif rows != distinct:
            (place,) = store.select(verify_queries.doubled(run_id)).to_pylist()
            check.fault("verify.run-twice", run_id=run_id, doubled=rows - distinct, **_where(place))
        elif distinct < told.rows_count:
            check.fault("verify.run-short", run_id=run_id, found=distinct, of=told.rows_count, **span(row))
        elif told != after.of(run_id):
            continue
        elif distinct > told.rows_count or told.rows_mix == UNKNOWN:
            unsummed += 1
        else:
            place = _changed_row(store, row, told, verify_queries.values_of, MIXED) or row
            check.fault("verify.run-changed", run_id=run_id, **_where(place))
    for run_id, wrote_count in before.lacking(run_ids):
        check.fault("verify.run-short", run_id=run_id, found=0, of=wrote_count)
    return unsummed, len(run_ids)


def _check_roll_ups(
    store: SqlStore, check: Check, held: pa.Table, before: Told, after: Told
) -> tuple[int, int]:
    """Each run's days and months are all there, once and the same; as `_check_values`."""
    run_ids, rows_count = _column(held, "run_id"), _column(held, "rows_count")
    _check_keys(check, "roll_up", held, after)
    is_sound = before.are_same(run_ids, rows_count, _column(held, "rows_mix"))
    is_sound |= (rows_count > _column(held, "distinct_count")) | ~np.isin(run_ids, after.run_id)  # told of
    unsummed = 0
    for row in _rows(held.filter(pa.array(~is_sound))):
        run_id, rows = row["run_id"], row["rows_count"]
        place, told = {"table": "roll_up", "run_id": run_id}, before.of(run_id)
        if rows < told.rows_count:
            check.fault("verify.sums-short", found=rows, of=told.rows_count, **place)
        elif told != after.of(run_id):
            continue
        elif rows > told.rows_count or told.rows_mix == UNKNOWN:
            unsummed += 1
        else:
            where = _changed_row(store, row, told, verify_queries.roll_ups_of, ROLLED) or row
            check.fault("verify.sums-changed", **place, **_where(where))
    for run_id, wrote_count in before.lacking(run_ids):
        check.fault("verify.sums-short", table="roll_up", run_id=run_id, found=0, of=wrote_count)
    return unsummed, len(run_ids)


def _check_keys(check: Check, table: str, held: pa.Table, known: Told) -> None:
    """Sums are there once, and of a run that is known."""
    is_sound = np.isin(_column(held, "run_id"), known.run_id)
    is_sound &= _column(held, "rows_count") == _column(held, "distinct_count")
    for row in _rows(held.filter(pa.array(~is_sound))):
        place = {"table": table, "run_id": row["run_id"]}
        if not known.knows(row["run_id"]):
            check.fault("verify.sums-unknown", found=row["rows_count"], **place)
        else:
            check.fault("verify.sums-twice", doubled=row["rows_count"] - row["distinct_count"], **place)


def _changed_row(
    store: SqlStore,
    row: Mapping[str, Any],
    told: Rows,
    rows_of: Callable[[int, int, int], str],
    names: Sequence[str],
) -> dict[str, int] | None:
    """Return where the row of a run lies that is another, None where not just one of them is."""
    difference = (told.rows_mix - row["rows_mix"]) % MIX_MODULUS
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


def _with_distinct(store: SqlStore, held: pa.Table) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield rows of runs, each with how many values of the run there are, each once."""
    for start in range(0, len(held), _RUNS_COUNT):
        rows = held.slice(start, _RUNS_COUNT).to_pylist()
        found = store.select(verify_queries.distinct_values([row["run_id"] for row in rows])).to_pylist()
        distinct_of = {row["run_id"]: row["distinct_count"] for row in found}
        for row in rows:
            yield row, distinct_of[row["run_id"]]


def _rows(held: pa.Table) -> Iterator[dict[str, Any]]:
    for start in range(0, len(held), _RUNS_COUNT):
        yield from held.slice(start, _RUNS_COUNT).to_pylist()


def _column(held: pa.Table, name: str) -> Int64s:
    column: Int64s = held[name].to_numpy().astype(np.int64)
    return column
