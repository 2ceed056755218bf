"""What the readings store can prove of itself: parts, batches, frames, stamps, versions by run.

Each check says how much it examined, what is wrong and where, and what it could not prove.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import verify_queries
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused
from wattkeeper.store.windows import month_span

FAULTS_MAX_COUNT = 1000  # of one check; there is one more that says so
STAMP_AHEAD_MAX_S = 600
_RUNS_COUNT = 1000  # asked for together
OnDone = Callable[[int, int], None]  # told how much is done of how much
Owners = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rising ids of channels or series, and the organisation of each; both of shape (ids,)."""
_OWNED = (
    ("raw_read", "channel_id", "measured_at"),
    ("measurement", "series_id", "starts_at"),
    ("roll_up", "series_id", "starts_at"),
    ("rate_day", "series_id", "starts_at"),
)
_READ_KEY = ("tenant_id", "batch_id", "month")
_ON_SHARDS = "not supported for Distributed"  # as the engine says that a table lies elsewhere


class SqlStore(Protocol):
    """A store that answers questions of ours."""

    def select(self, query: str) -> pa.Table:
        """Return the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong: a code with its sentence, and where it is."""

    code: str
    place: Mapping[str, Any]


@dataclass(slots=True)
class Check:
    """What one check proved: `examined_count` things, with their faults and what stays unproved."""

    name: str
    examined_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    unproved: list[Fault] = field(default_factory=list)

    def fault(self, code: str, **place: Any) -> None:
        """Note a fault; after the thousandth only that there are more."""
        if len(self.faults) < FAULTS_MAX_COUNT:
            self.faults.append(Fault(code, place))
        elif len(self.faults) == FAULTS_MAX_COUNT:
            self.faults.append(Fault("verify.more-faults", {"check": self.name}))

    def cannot(self, code: str, **place: Any) -> None:
        """Note what could not be proved."""
        self.unproved.append(Fault(code, place))


class Written(NamedTuple):
    """What a run says that it wrote: how many values, and their sum (`run_mixes`) where that is known."""

    values_count: int
    values_mix: int | None


_NOTHING = Written(0, None)
Examine = Callable[[Check, OnDone], None]


def store_checks(
    store: SqlStore,
    away: Mapping[str, Set[int]],
    *,
    now_s: int,
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
        ("store.batches", lambda check, _: _check_batches(store, check, away)),
        ("store.frames", lambda check, _: _check_frames(store, check, away)),
        ("store.stamps", lambda check, _: _check_stamps(store, check, now_s)),
        ("store.runs", lambda check, _: _check_runs(store, check, written)),
        ("store.owners", lambda check, on_done: _check_owners(store, check, known_owners, on_done)),
    )


def run_check(name: str, examine: Examine, on_progress: Callable[[str, int, int], None]) -> Check:
    """Return what came of a check; one that an error stops has proved nothing."""
    check = Check(name)
    on_progress(name, 0, 0)
    try:
        examine(check, partial(on_progress, name))
    except WattkeeperError as error:
        check.fault("verify.check-failed", check=name, reason=error.code, detail=str(error.params)[:300])
    return check


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


def _check_batches(store: SqlStore, check: Check, away: Mapping[str, Set[int]]) -> None:
    """Every read that a receipt says was stored is there, and is the same."""
    left_out = away["raw_receipt"] | away["raw_read"]
    receipts = _grouped(_looked_at(check, store.select(verify_queries.RECEIPTS), left_out))
    found = _grouped(_looked_at(check, store.select(verify_queries.BATCHES), left_out))
    check.examined_count = sum(row["reads_count"] for row in receipts.values())
    for key, wanted in sorted(receipts.items()):
        held = found.get(key, {"reads_count": 0, "reads_mix": 0})
        missing = wanted["reads_count"] - held["reads_count"]
        place = _batch_place(key, wanted)
        if missing == 0 and wanted["reads_mix"] == held["reads_mix"]:
            continue
        if missing <= 0:
            check.fault("verify.batch-changed", **place)
        elif missing > _elsewhere(store, key, wanted):
            check.fault("verify.batch-short", missing=missing, of=wanted["reads_count"], **place)
        else:
            check.cannot("verify.batch-redelivered", missing=missing, **place)
    for key in sorted(found.keys() - receipts.keys()):
        check.fault("verify.batch-unknown", found=found[key]["reads_count"], **_batch_place(key, found[key]))


def _elsewhere(store: SqlStore, key: tuple[int, ...], receipt: Mapping[str, Any]) -> int:
    """How many reads of other batches lie where the batch's reads were: re-deliveries replace one another."""
    row = store.select(verify_queries.others(key, receipt)).to_pylist()[0]
    return int(row["others"])


def _looked_at(check: Check, table: pa.Table, left_out: Set[int]) -> list[dict[str, Any]]:
    """Return the rows of months that are not left out, and note which of the others there are."""
    rows = table.to_pylist()
    for month in sorted(left_out & {row["month"] for row in rows}):
        from_s, to_s = month_span(month)
        check.cannot("verify.archived", **{"from": instant(from_s), "to": instant(to_s)})
    return [row for row in rows if row["month"] not in left_out]


def _grouped(rows: Iterable[dict[str, Any]]) -> dict[tuple[int, ...], dict[str, Any]]:
    return {tuple(row[name] for name in _READ_KEY): row for row in rows}


def _batch_place(key: tuple[int, ...], row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tenant_id": key[0],
        "batch_id": key[1],
        "month": key[2],
        "first_channel_id": row["first_channel_id"],
        "last_channel_id": row["last_channel_id"],
        "from": instant(row["first_at_s"]),
        "to": instant(row["last_at_s"]),
    }


def _check_frames(store: SqlStore, check: Check, away: Mapping[str, Set[int]]) -> None:
    """Every frame that came is there as it came, and every read that names one leads to it.

    A frame lies in the month in which it came. Where the receipt that says so is archived, nobody knows it.
    """
    for row in _looked_at(check, store.select(verify_queries.FRAMES), away["raw_frame"]):
        if away["raw_receipt"] and not row["month"]:
            continue
        check.examined_count += row["wanted_count"]
        place = {"tenant_id": row["tenant_id"], "batch_id": row["batch_id"]}
        if row["found_count"] != row["wanted_count"]:
            check.fault("verify.frames-missing", found=row["found_count"], of=row["wanted_count"], **place)
        elif row["found_mix"] != row["wanted_mix"]:
            check.fault("verify.frames-changed", **place)
        for frame_index in row["lost"]:
            (reads,) = store.select(verify_queries.naming(tuple(place.values()), frame_index)).to_pylist()
            check.fault(
                "verify.frame-named",
                frame_index=frame_index,
                reads=reads.pop("reads_count"),
                first_channel_id=reads["first_channel_id"],
                last_channel_id=reads["last_channel_id"],
                **_span(reads),
                **place,
            )


def _check_stamps(store: SqlStore, check: Check, now_s: int) -> None:
    """No read is later than it came, unless its clock was known to be wrong; no value is of the future."""
    row = store.select(verify_queries.ALL_COUNTS).to_pylist()[0]
    check.examined_count = row["reads"] + row["measured"]
    for late in store.select(verify_queries.late_reads(STAMP_AHEAD_MAX_S)).to_pylist():
        check.fault(
            "verify.stamp-future",
            tenant_id=late["tenant_id"],
            channel_id=late["channel_id"],
            at=instant(late["at_s"]),
            received=instant(late["received_at_s"]),
        )
    for late in store.select(verify_queries.late_values(now_s)).to_pylist():
        check.fault(
            "verify.value-future",
            tenant_id=late["tenant_id"],
            series_id=late["series_id"],
            at=instant(late["at_s"]),
        )


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
        row for row in rows_of_runs if (row["rows_count"], row["values_mix"]) != runs.get(row["run_id"])
    ]
    distinct_of = _distinct_values(store, [row["run_id"] for row in doubted])
    unsummed = 0
    for row in doubted:
        run_id, rows = row["run_id"], row["rows_count"]
        distinct, told = distinct_of[run_id], runs.get(run_id, _NOTHING)
        if run_id not in known:
            check.fault("verify.run-unknown", run_id=run_id, found=distinct)
        elif rows != distinct:
            check.fault("verify.run-twice", run_id=run_id, doubled=rows - distinct, **_span(row))
        elif distinct < told.values_count:
            check.fault("verify.run-short", run_id=run_id, found=distinct, of=told.values_count, **_span(row))
        elif told != known[run_id]:
            continue
        elif distinct > told.values_count or told.values_mix is None:
            unsummed += 1
        else:
            series = {name: row[name] for name in ("first_series_id", "last_series_id")}
            check.fault("verify.run-changed", run_id=run_id, **series, **_span(row))
    if unsummed:
        check.cannot("verify.runs-unsummed", runs=unsummed, of=len(rows_of_runs))
    for row in sums_of_runs:
        place = {"table": row["table"], "run_id": row["run_id"]}
        if row["run_id"] not in known:
            check.fault("verify.sums-unknown", found=row["rows_count"], **place)
        elif doubled := row["rows_count"] - row["distinct_count"]:
            check.fault("verify.sums-twice", doubled=doubled, **place)
    found = {row["run_id"] for row in rows_of_runs}
    for run_id, told in sorted(runs.items()):
        if told.values_count and run_id not in found:
            check.fault("verify.run-short", run_id=run_id, found=0, of=told.values_count)


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
                **_span(row),
            )


def _span(row: Mapping[str, Any]) -> dict[str, str]:
    return {"from": instant(row["first_at_s"]), "to": instant(row["last_at_s"])}


def instant(at_s: int) -> str:
    """Return an instant as text."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()
