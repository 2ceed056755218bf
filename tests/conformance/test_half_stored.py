"""A copy of tables that are written meanwhile, put into another store: each batch is there whole or not."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.stores import running_store
from wattkeeper.store import frozen
from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import MONTH_START_S, batch
from wattkeeper.store.half_stored import forget_half_stored
from wattkeeper.store.schema import TABLES
from wattkeeper.store.verify import Check
from wattkeeper.store.verify_raw import check_batches, check_frames

NOW_S = MONTH_START_S + 40 * 86_400
Forget = Callable[[HttpReadingStore, int], None]


class Written(HttpReadingStore):
    """A store to which batches come between the copies of two tables."""

    def execute(self, statement: str) -> None:
        super().execute(statement)
        if "FREEZE" in statement:
            self.copied_count = getattr(self, "copied_count", 0) + 1
            for kind, made in enumerate((whole, frames_alone, of_two_months)):
                self.insert_raw([made(100 * self.copied_count + kind)])

    def leave(self, tables: Sequence[str], batch_id: int) -> None:
        """Take a batch out of tables."""
        for table in tables:
            super().execute(
                f"ALTER TABLE {table} DELETE WHERE batch_id = {batch_id} SETTINGS mutations_sync = 2"
            )


def whole(batch_id: int) -> RawBatch:
    return _came([(1, NOW_S - 900 - batch_id, batch_id)], batch_id)


def of_two_months(batch_id: int) -> RawBatch:
    return _came([(2, MONTH_START_S - 900 - batch_id, 5), (2, NOW_S - 900 - batch_id, 6)], batch_id)


def frames_alone(batch_id: int) -> RawBatch:
    return _came([], batch_id)


def _came(rows: list[tuple[int, int, int]], batch_id: int) -> RawBatch:
    frame = RawFrame(1, 2, NOW_S, b"frame %d" % batch_id)
    return replace(batch(rows, tenant_id=7, batch_id=batch_id, frames=(frame,)), received_at_s=NOW_S)


@contextmanager
def copied(folder: Path, forget: Forget) -> Iterator[HttpReadingStore]:
    """Copy a store while it is written to; yield the other one."""
    with running_store(folder / "home") as running, running_store(folder / "new") as new:
        store = Written.__new__(Written)
        store._transport = running._transport
        for made in (running, new):
            made.make_tables()
        store.insert_raw([whole(1), frames_alone(2), of_two_months(3)])
        store.insert_raw([replace(whole(1), batch_id=4)])
        store.leave(["raw_read"], 1)  # merged: what stood in the first stands under the fourth
        store.insert_raw([whole(5)])
        store.leave(["raw_read", "raw_receipt"], 5)  # of an insert after its first step
        with frozen.frozen(store) as tables:
            for table in tables:
                place = folder / table.name
                for part in table.parts:
                    shutil.copytree(part, place / part.name)
        for name in TABLES:
            if (folder / name).exists():
                frozen.attach(new, name, folder / name)
        forget(new, NOW_S)
        yield new


def _faults(store: HttpReadingStore) -> set[str]:
    nothing: dict[str, set[int]] = {table: set() for table in TABLES}
    checks = [Check("store.batches"), Check("store.frames")]
    for check, examine in zip(checks, (check_batches, check_frames), strict=True):
        examine(store, check, nothing)
    assert checks[0].examined_count >= 4
    assert checks[1].examined_count >= 4
    return {fault.code for check in checks for fault in check.faults}


HALF = {"verify.batch-short", "verify.frames-missing", "verify.frames-unknown"}


@pytest.mark.parametrize(
    ("forget", "codes"),
    [
        (forget_half_stored, set()),
        (lambda *_: None, HALF),
        (lambda store, at_s: forget_half_stored(store, at_s + 1), HALF),
    ],
    ids=["as it is", "nothing is forgotten", "what came earlier is left alone"],
)
def test_a_batch_that_came_while_the_tables_were_copied_is_there_or_not(
    tmp_path: Path, forget: Forget, codes: set[str]
) -> None:
    with copied(tmp_path, forget) as store:
        assert _faults(store) == codes
        told = store.select("SELECT DISTINCT batch_id FROM raw_receipt FORMAT ArrowStream")
        assert {1, 2, 3, 4} <= set(told["batch_id"].to_pylist()), "what was there before is told of still"
