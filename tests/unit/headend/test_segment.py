"""One file of the spool by itself: when it is sealed, who may hold it, what it leaves."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from unit.headend.test_spool import FailingConnection, begun
from unit.headend.test_spool_signs import MEBI_BYTES, files, no_descriptor_left
from wattkeeper.headend import segment as segment_module
from wattkeeper.headend.errors import SpoolBusy, SpoolFailed
from wattkeeper.headend.segment import Segment, fsync_folder


def opened(folder: Path, *, is_sealed: bool = False) -> Segment:
    return Segment(folder / "segment-0000000001.sqlite", is_sealed=is_sealed)


def found(segment: Segment) -> list[bytes]:
    return [row.content for row in segment.peek(1000, MEBI_BYTES)]


# sealing


def test_its_log_grows_to_eight_mebibytes_and_is_not_folded_in(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    log = tmp_path / f"{segment.path.name}-wal"
    while not segment.is_sealed:
        segment.append([bytes(100_000)])
    assert 8 * MEBI_BYTES <= log.stat().st_size < 8.5 * MEBI_BYTES
    assert segment.rows_count == len(segment.peek(1000, 10 * MEBI_BYTES))


def test_deleting_grows_its_log_too(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    segment.append([bytes(20_000)] * 350)
    assert not segment.is_sealed
    while segment.rows_count and not segment.is_sealed:
        segment.delete(segment.peek(1, 1))
    assert segment.is_sealed
    assert segment.rows_count == len(segment.peek(1000, 10 * MEBI_BYTES)) > 0


def test_a_delete_that_fails_seals_and_what_was_delivered_stays_so(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    segment.append([b"a", b"b"])
    failure = sqlite3.OperationalError("disk I/O error")
    segment._connection = FailingConnection(segment._connection, failure)  # type: ignore[assignment]
    segment.delete(segment.peek(1, 1))
    assert segment.is_sealed
    assert found(segment) == [b"b"]
    assert (segment.rows_count, segment.content_bytes) == (1, 1)


# folding


@pytest.fixture
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "_LOG_MAX_BYTES", MEBI_BYTES // 4)


def test_small_batches_take_little_more_than_their_size(short_log: None, tmp_path: Path) -> None:
    segment, contents = opened(tmp_path), [b"%3d" % number * 60 for number in range(200)]
    for content in contents:
        segment.append([content])
    assert not segment.is_sealed
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < MEBI_BYTES // 2  # unfolded: 6.4 MiB
    segment.close()
    assert found(opened(tmp_path, is_sealed=True)) == contents


def test_a_file_that_many_folds_made_large_is_sealed(short_log: None, tmp_path: Path) -> None:
    segment, count = opened(tmp_path), 0
    while not segment.is_sealed:
        segment.append([bytes(4_000)])
        count += 1
    assert MEBI_BYTES // 4 <= segment.content_bytes < MEBI_BYTES // 2
    assert segment.rows_count == len(found(segment)) == count


def test_what_cannot_be_folded_is_sealed_and_whole(short_log: None, tmp_path: Path) -> None:
    segment, contents = opened(tmp_path), []
    failure = sqlite3.OperationalError("disk I/O error")
    segment._connection = FailingConnection(  # type: ignore[assignment]
        segment._connection, failure, "PRAGMA wal_checkpoint"
    )
    while not segment.is_sealed:
        contents.append(b"%d" % len(contents))
        segment.append(contents[-1:])
    assert found(segment) == contents


def test_a_log_that_another_reads_is_not_folded(short_log: None, tmp_path: Path) -> None:
    segment = opened(tmp_path)
    segment.append([b"a"])
    other = sqlite3.connect(segment.path, isolation_level=None)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM batch").fetchone() == (1,)
    while not segment.is_sealed:
        segment.append([b"b"])
    assert found(segment)[0] == b"a"
    other.close()


# opening


def test_a_file_that_was_only_begun_holds_nothing(tmp_path: Path) -> None:
    begun(tmp_path, is_log_kept=False)
    segment = opened(tmp_path, is_sealed=True)
    assert (segment.rows_count, segment.content_bytes) == (0, 0)


def test_a_file_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    segment.append([b"a"])
    segment.close()
    segment = opened(tmp_path)
    segment.append([b"b"])
    assert found(segment) == [b"a", b"b"]


def test_what_a_process_left_that_ended_while_it_began_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "begun.sqlite").write_bytes(b"half a file" * 100)
    segment = opened(tmp_path)
    segment.append([b"a"])
    assert found(segment) == [b"a"]


def test_large_pages_are_used(tmp_path: Path) -> None:
    assert opened(tmp_path)._connection.execute("PRAGMA page_size").fetchone() == (16_384,)


def test_a_file_system_without_the_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    class WithoutLog(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            return super().execute(sql.replace("=WAL", "=DELETE"), *arguments)

    monkeypatch.setattr(
        segment_module.sqlite3,
        "connect",
        lambda *names, **options: connect(*names, factory=WithoutLog, **options),
    )
    with pytest.raises(SpoolFailed) as failure:
        opened(tmp_path)
    assert not failure.value.is_permanent


# several who use it


def test_another_who_writes_is_told_of_at_once(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    other = sqlite3.connect(segment.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def spent_s() -> float:
        began_s = time.monotonic()
        with pytest.raises(SpoolBusy):
            segment.append([b"a"])
        return time.monotonic() - began_s

    assert any(spent_s() < 4 for _ in range(5))  # SQLite by itself would wait for five seconds each time
    other.close()


def test_threads_may_take_turns(tmp_path: Path) -> None:
    segment = opened(tmp_path)
    thread = threading.Thread(target=segment.append, args=([b"a"],))
    thread.start()
    thread.join()
    assert found(segment) == [b"a"]


# leaving


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_is_removed_leaves_neither_file_nor_descriptor(tmp_path: Path, is_sealed: bool) -> None:
    with no_descriptor_left():
        segment = opened(tmp_path)
        segment.append([b"a"])
        if is_sealed:
            segment.seal()
        segment.remove()
        assert files(tmp_path) == []


def test_what_is_set_aside_is_renamed_and_let_go_of(tmp_path: Path) -> None:
    with no_descriptor_left():
        segment = opened(tmp_path)
        segment.append([b"a"])
        segment.set_aside()
        assert files(tmp_path) == [f"damaged-{segment.path.name}"]


def test_a_folder_is_made_durable_and_nothing_else_is_one(tmp_path: Path) -> None:
    with no_descriptor_left():
        fsync_folder(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolFailed) as failure:
        fsync_folder(tmp_path / "file")
    assert not failure.value.is_permanent
