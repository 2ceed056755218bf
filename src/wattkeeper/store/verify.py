"""What the readings store can prove of itself: parts, batches, frames, stamps, versions by run.

Each check says how much it examined, what is wrong and where, and what it could not prove.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import verify_queries
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused
from wattkeeper.store.windows import month_span

FAULTS_MAX_COUNT = 1000  # of one check; there is one more that says so
STAMP_AHEAD_MAX_S = 600
OnDone = Callable[[int, int], None]  # told how much is done of how much
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


Examine = Callable[[Check, OnDone], None]


def store_checks(
    store: SqlStore,
    runs: Mapping[int, int],
    away: Mapping[str, Set[int]],
    *,
    now_s: int,
    known_runs: Callable[[], Set[int]],
) -> Sequence[tuple[str, Examine]]:
    """
    Return every check of the store itself by name.

    `runs`: how many values each run says that it wrote; `away`: months by table that are only in the archive.
    `known_runs` is asked after the store, so that it knows of every run whose values were found.
    """
    return (
        ("store.parts", lambda check, on_done: _check_parts(store, check, on_done)),
        ("store.batches", lambda check, _: _check_batches(store, check, away)),
        ("store.frames", lambda check, _: _check_frames(store, check, away)),
        ("store.stamps", lambda check, _: _check_stamps(store, check, now_s)),
        ("store.runs", lambda check, _: _check_runs(store, check, runs, known_runs)),
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


def _check_runs(
    store: SqlStore, check: Check, runs: Mapping[int, int], known_runs: Callable[[], Set[int]]
) -> None:
    """Each run's values are all there, once. A run that was cut short may have written more than it says."""
    rows_of_runs = store.select(verify_queries.RUNS).to_pylist()
    known = known_runs()
    for row in rows_of_runs:
        run_id, rows, distinct = row["run_id"], row["rows_count"], row["distinct_count"]
        check.examined_count += rows
        if run_id not in known:
            check.fault("verify.run-unknown", run_id=run_id, found=distinct)
        elif rows != distinct:
            check.fault("verify.run-twice", run_id=run_id, doubled=rows - distinct, **_span(row))
        elif distinct < runs.get(run_id, 0):
            check.fault("verify.run-short", run_id=run_id, found=distinct, of=runs[run_id], **_span(row))
    found = {row["run_id"] for row in rows_of_runs}
    for run_id, count in sorted(runs.items()):
        if count and run_id not in found:
            check.fault("verify.run-short", run_id=run_id, found=0, of=count)


def _span(row: Mapping[str, Any]) -> dict[str, str]:
    return {"from": instant(row["first_at_s"]), "to": instant(row["last_at_s"])}


def instant(at_s: int) -> str:
    """Return an instant as text."""
    return datetime.fromtimestamp(at_s, UTC).isoformat()
