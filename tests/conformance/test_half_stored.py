"""A copy of tables that are written meanwhile, put into another store: each batch is there whole or not."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from conformance.stores import running_store
from wattkeeper.store import archive, frozen
from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import MONTH_START_S, batch
from wattkeeper.store.half_stored import came_between, forget_half_stored, known_batches
from wattkeeper.store.schema import TABLES
from wattkeeper.store.verify import Check
from wattkeeper.store.verify_raw import check_batches, check_frames

NOW_S = MONTH_START_S + 40 * 86_400
MONTH = 202604
Copy = Callable[[HttpReadingStore, HttpReadingStore, Path], None]
HIGH = 10**18  # batches have ids of nineteen digits


class Written(HttpReadingStore):
    """A store to which batches come between the copies of two tables, and of two slices of one."""

    copied_count = 0

    def execute(self, statement: str) -> None:
        super().execute(statement)
        if "FREEZE" in statement:
            self.come()

    def select(self, query: str) -> pa.Table:
        if "BETWEEN" in query:
            self.come()
        return super().select(query)

    def come(self) -> None:
        self.copied_count += 1
        for kind, made in enumerate((whole, frames_alone, of_two_months)):
            self.insert_raw([made(100 * self.copied_count + kind)])


def whole(batch_id: int) -> RawBatch:
    return _came([(channel, NOW_S - 900 - batch_id, batch_id) for channel in range(1, 11)], batch_id)


def of_two_months(batch_id: int) -> RawBatch:
    return _came([(2, MONTH_START_S - 900 - batch_id, 5), (2, NOW_S - 900 - batch_id, 6)], batch_id)


def frames_alone(batch_id: int) -> RawBatch:
    return _came([], batch_id)


def _came(rows: list[tuple[int, int, int]], batch_id: int) -> RawBatch:
    frame = RawFrame(1, 2, NOW_S, b"frame %d" % batch_id)
    return replace(batch(rows, tenant_id=7, batch_id=batch_id, frames=(frame,)), received_at_s=NOW_S)


def leave(store: HttpReadingStore, table: str, batch_id: int, where: str = "1") -> None:
    """Take a batch out of a table, or some of it."""
    store.execute(
        f"ALTER TABLE {table} DELETE WHERE batch_id = {batch_id} AND {where} SETTINGS mutations_sync = 2"
    )


def by_parts(store: HttpReadingStore, new: HttpReadingStore, folder: Path) -> None:
    with frozen.frozen(store) as tables:
        for table in tables:
            for part in table.parts:
                shutil.copytree(part, folder / table.name / part.name)
    for name in TABLES:
        if (folder / name).exists():
            frozen.attach(new, name, folder / name)


def by_months(store: HttpReadingStore, new: HttpReadingStore, folder: Path) -> None:
    for name in TABLES:
        for month in archive.months_of(store, name):
            archive.write_month(store, name, month, folder / "rows.parquet")
            for rows in archive.read_rows(folder / "rows.parquet"):
                new.insert_table(name, rows)


@contextmanager
def made_store(folder: Path) -> Iterator[HttpReadingStore]:
    with running_store(folder) as store:
        store.make_tables()
        yield store


def faults(store: HttpReadingStore) -> set[tuple[str, int]]:
    """What `verify` says of which batch."""
    nothing: dict[str, set[int]] = {table: set() for table in TABLES}
    checks = [Check("store.batches"), Check("store.frames")]
    for check, examine in zip(checks, (check_batches, check_frames), strict=True):
        examine(store, check, nothing)
    assert all(check.examined_count >= 1 for check in checks)
    return {(fault.code, fault.place.get("batch_id", 0)) for check in checks for fault in check.faults}


def held(store: HttpReadingStore, table: str) -> list[int]:
    return sorted(store.select(f"SELECT DISTINCT batch_id FROM {table} FORMAT ArrowStream")[0].to_pylist())


LOST = {("verify.frames-unknown", 5), ("verify.batch-short", 6)}


@pytest.mark.parametrize("copy", [by_parts, by_months])
def test_a_batch_that_came_while_the_tables_were_copied_is_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: Copy
) -> None:
    monkeypatch.setattr(archive, "ROWS_MAX_COUNT", 20)
    with made_store(tmp_path / "home") as running, made_store(tmp_path / "new") as new:
        store = Written.__new__(Written)
        store._transport = running._transport
        store.insert_raw([whole(1), frames_alone(2), of_two_months(3), replace(whole(1), batch_id=4)])
        leave(store, "raw_read", 1)  # merged: what stood in the first stands under the fourth
        store.insert_raw([whole(5), whole(6)])
        for table, batch_id in (("raw_read", 5), ("raw_receipt", 5), ("raw_read", 6)):
            leave(store, table, batch_id)  # of an insert after its first step; and lost
        before = known_batches(store)
        copy(store, new, tmp_path)
        came, _ = came_between(store, before)
        assert {100, 101, 102} <= set(came)
        half_there = {code for code, batch_id in faults(new) - LOST}
        assert {"verify.batch-short", "verify.frames-missing"} <= half_there
        forget_half_stored(new, came, set())
        assert faults(new) == LOST, "what was lost before is told of still"
        assert {1, 2, 3, 4, 6} <= set(held(new, "raw_receipt"))


def test_what_is_half_there_of_a_batch_goes_from_all_tables(tmp_path: Path) -> None:
    with made_store(tmp_path) as store:
        store.insert_raw([whole(1), whole(2)])
        leave(store, "raw_read", 2, "channel_id > 5")
        forget_half_stored(store, [1], set())
        assert faults(store) == {("verify.batch-short", 2)}, "it was known"
        forget_half_stored(store, [2], {MONTH})
        assert faults(store) == {("verify.batch-short", 2)}, "it may be in the archive"
        forget_half_stored(store, [1, 2], {MONTH - 2})
        assert {table: held(store, table) for table in ("raw_read", "raw_frame", "raw_receipt")} == {
            "raw_read": [1],
            "raw_frame": [1],
            "raw_receipt": [1],
        }


def test_what_merges_left_under_another_batch_stays(tmp_path: Path) -> None:
    """Of two reads that are the same a merge leaves one: of a batch that was known, or of one that came."""
    with made_store(tmp_path) as store:
        store.insert_raw([whole(1), replace(whole(1), batch_id=2)])
        leave(store, "raw_read", 2, "channel_id > 5")
        forget_half_stored(store, [2], set())
        assert held(store, "raw_read") == [1, 2], "all that came is there"
        leave(store, "raw_read", 1)
        forget_half_stored(store, [2], set())
        assert held(store, "raw_read") == [2], "the first delivered it too"


@pytest.mark.parametrize("batch_id", [2, 3])
def test_what_was_half_there_before_is_healed_by_the_spool_or_the_meter(
    tmp_path: Path, batch_id: int
) -> None:
    """Its receipt was stored just before all was copied, its reads just after: they are delivered again.

    By the spool, which the backup holds as it was then, or anew from the meter's memory where a head-end
    elsewhere has forgotten them meanwhile.
    """
    with made_store(tmp_path) as store:
        store.insert_raw([whole(1), whole(2)])
        leave(store, "raw_read", 2)
        forget_half_stored(store, [], set())
        assert faults(store) == {("verify.batch-short", 2)}, "nothing is hidden until then"
        store.insert_raw([replace(whole(2), batch_id=batch_id)])
        assert faults(store) == set()


def test_many_batches_go_at_once(tmp_path: Path) -> None:
    with made_store(tmp_path) as store:
        came = range(HIGH, HIGH + 14_000)
        store.insert_raw([whole(1)])
        store.insert_raw([frames_alone(batch_id) for batch_id in came])
        store.execute("ALTER TABLE raw_receipt DELETE WHERE batch_id > 1 SETTINGS mutations_sync = 2")
        assert ("verify.more-faults", 0) in faults(store), "verify asks for as many"
        forget_half_stored(store, came, set())
        assert held(store, "raw_frame") == [1]


class Counted(HttpReadingStore):
    """A store that notes how many rows the largest answer had."""

    rows_max_count = 0

    def select(self, query: str) -> pa.Table:
        found = super().select(query)
        self.rows_max_count = max(self.rows_max_count, found.num_rows)
        return found


def test_what_came_is_found_by_months_of_receipts(tmp_path: Path) -> None:
    """Never are all receipts of years in memory; one that is told of twice did not come between."""
    with made_store(tmp_path) as running:
        store = Counted.__new__(Counted)
        store._transport = running._transport
        assert came_between(store, known_batches(store)) == ([], None)
        for month in range(6):
            store.insert_raw([_at(10 * month + i, NOW_S - month * 31 * 86_400) for i in range(4)])
        before = known_batches(store)
        assert before.tolist() == [10 * month + i for month in range(6) for i in range(4)]
        late = replace(of_two_months(71), received_at_s=NOW_S - 500)
        store.insert_raw([_at(0, NOW_S), of_two_months(72), late])
        assert came_between(store, before) == ([71, 72], NOW_S - 500)
        assert store.rows_max_count < len(before) / 2


def _at(batch_id: int, measured_at_s: int) -> RawBatch:
    return _came([(1, measured_at_s, batch_id)], batch_id)
