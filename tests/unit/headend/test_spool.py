"""The spool: bounded, oldest first, one owner, damage set aside, failed commits never taken for done."""

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.headend import segment as segment_module
from wattkeeper.headend.errors import SpoolBusy, SpoolFailed, SpoolFull
from wattkeeper.headend.segment import Segment
from wattkeeper.headend.spool import Spool


def contents(spool: Spool, limit_count: int = 1000) -> list[bytes]:
    return [batch.content for batch in spool.peek(limit_count)]


def test_oldest_first_until_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a", b"b"])
    spool.append([b"c"])
    assert contents(spool) == [b"a", b"b", b"c"]
    spool.delete(spool.peek(2))
    assert contents(spool) == [b"c"]
    assert (spool.batches_count, spool.content_bytes) == (1, 1)


def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a", b"b"])
    spool.delete(spool.peek(1))
    spool.close()
    spool = Spool(tmp_path)
    spool.append([b"c"])
    assert contents(spool) == [b"b"]
    spool.delete(spool.peek(9))
    assert contents(spool) == [b"c"]
    assert len(list(tmp_path.glob("segment-*.sqlite"))) == 1


def test_a_second_owner_is_told_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(SpoolBusy) as refusal:
        Spool(tmp_path)
    assert refusal.value.code == "headend.spool-busy"
    spool.close()
    Spool(tmp_path).close()


def test_full_is_refused_and_nothing_is_overwritten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=100)
    spool.append([b"x" * 79])
    assert not spool.is_alarmed
    spool.append([b"y"])
    assert spool.is_alarmed
    with pytest.raises(SpoolFull):
        spool.append([b"z" * 21])
    assert contents(spool) == [b"x" * 79, b"y"]
    spool.delete(spool.peek(1))
    spool.append([b"z" * 21])


class Overwriting(Spool):
    """The planted fault: a full spool makes room by forgetting its oldest."""

    def append(self, contents: Sequence[bytes]) -> None:
        try:
            super().append(contents)
        except SpoolFull:
            self.delete(self.peek(1))
            self.append(contents)


def overfill(spool: Spool) -> tuple[int, int]:
    """Offer twice what fits; return how many were refused, and how many of the others are gone."""
    acknowledged, refused_count = [], 0
    for number in range(200):
        content = number.to_bytes(10, "big")
        try:
            spool.append([content])
        except SpoolFull:
            refused_count += 1
        else:
            acknowledged.append(content)
    found = contents(spool)
    return refused_count, len(set(acknowledged) - set(found))


def test_a_full_spool_forgets_nothing_it_acknowledged(tmp_path: Path) -> None:
    assert overfill(Spool(tmp_path, capacity_bytes=1000)) == (100, 0)


def test_overwriting_the_oldest_is_caught(tmp_path: Path) -> None:
    assert overfill(Overwriting(tmp_path, capacity_bytes=1000)) == (0, 100)


def damage(folder: Path, row_id: int) -> None:
    (path,) = folder.glob("segment-*.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE batch SET content = zeroblob(LENGTH(content)) WHERE row_id = ?", (row_id,))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_damaged_row_is_set_aside_and_counted(tmp_path: Path, is_restarted: bool) -> None:
    spool = Spool(tmp_path)
    spool.append([b"aa", b"bb", b"cc"])
    if is_restarted:
        spool.close()
    damage(tmp_path, 2)
    spool = Spool(tmp_path) if is_restarted else spool
    delivered = []
    while batches := spool.peek(10):
        delivered += [batch.content for batch in batches]
        spool.delete(batches)
    assert delivered == [b"aa", b"cc"]
    assert spool.quarantined_count == 1
    (letter,) = spool.dead_letters.letters()
    assert (letter.reason, letter.content_bytes) == ("headend.spool-row-damaged", 2)


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "segment-0000000001.sqlite").write_bytes(b"not a database" * 100)
    spool = Spool(tmp_path)
    spool.append([b"a"])
    assert contents(spool) == [b"a"]
    assert spool.quarantined_count == 1
    assert list(tmp_path.glob("damaged-*"))


def begun(folder: Path, *, is_log_kept: bool) -> None:
    """Leave a segment as a process does that is killed before its table is committed."""
    path = folder / "segment-0000000001.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    if is_log_kept:
        path.with_name(path.name + "-wal").write_bytes(bytes(5000))


@pytest.mark.parametrize("is_log_kept", [False, True])
def test_a_file_that_was_only_begun_stops_nobody(tmp_path: Path, is_log_kept: bool) -> None:
    """What is certainly empty is let go; what might not be is set aside, log and all, and counted."""
    begun(tmp_path, is_log_kept=is_log_kept)
    spool = Spool(tmp_path)
    spool.append([b"a"])
    assert contents(spool) == [b"a"]
    assert spool.quarantined_count == is_log_kept
    assert len(list(tmp_path.glob("damaged-*"))) == 2 * is_log_kept


class FailingConnection:
    """A connection that fails once, at its commit (as after an error of fsync) or elsewhere."""

    def __init__(self, real: sqlite3.Connection, failure: sqlite3.Error, at_sql: str = "COMMIT") -> None:
        self._real = real
        self._at_sql = at_sql
        self._failure: sqlite3.Error | None = failure

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def execute(self, sql: str, *arguments: object) -> object:
        if sql.startswith(self._at_sql) and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return self._real.execute(sql, *arguments)


@pytest.mark.parametrize("reason", ["disk I/O error", "database or disk is full"])
def test_a_failed_commit_is_not_acknowledged_and_its_file_not_written_again(
    tmp_path: Path, reason: str
) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    (segment,) = spool._segments.values()
    segment._connection = FailingConnection(segment._connection, sqlite3.OperationalError(reason))  # type: ignore[assignment]
    with pytest.raises(SpoolFailed):
        spool.append([b"b"])
    before = segment.path.with_name(segment.path.name + "-wal").read_bytes()
    spool.append([b"c"])
    assert segment.is_sealed
    assert segment.path.with_name(segment.path.name + "-wal").read_bytes() == before
    delivered = []
    while batches := spool.peek(10):
        delivered += [batch.content for batch in batches]
        spool.delete(batches)
    assert delivered == [b"a", b"c"]
    assert not segment.path.exists()


def test_a_folder_that_cannot_be_made_durable_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "fsync")

    monkeypatch.setattr(segment_module.os, "fsync", fail)
    with pytest.raises(SpoolFailed):
        spool.append([b"a"])
    monkeypatch.undo()
    spool.append([b"a"])
    assert contents(spool) == [b"a"]


def test_the_log_is_folded_in_before_it_grows_without_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=10**9)
    for _ in range(40):
        spool.append([os.urandom(400_000)])
        spool.delete(spool.peek(1))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) < 16 * 1024 * 1024


def test_a_segment_is_in_the_log_mode_it_needs(tmp_path: Path) -> None:
    segment = Segment(tmp_path / "s.sqlite", is_sealed=False)
    assert segment._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert segment._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert segment._connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["append", "deliver", "restart"]), max_size=30),
    log_bytes=st.sampled_from([8 << 20, 100_000]),
)
def test_nothing_is_lost_or_reordered(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], log_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_module, "_LOG_MAX_BYTES", log_bytes)
        live(folder, steps)


def live(folder: Path, steps: list[str]) -> None:
    """Take the steps one after the other, deliver the rest, and look at what was delivered."""
    spool = Spool(folder)
    appended: list[bytes] = []
    delivered: list[bytes] = []
    for step in steps:
        if step == "append":
            appended.append(str(len(appended)).encode())
            spool.append(appended[-1:])
        elif step == "deliver":
            batches = spool.peek(2)
            delivered += [batch.content for batch in batches]
            spool.delete(batches) if batches else None
        else:
            spool.close()
            spool = Spool(folder)
    while batches := spool.peek(3):
        delivered += [batch.content for batch in batches]
        spool.delete(batches)
    spool.close()
    assert list(dict.fromkeys(delivered)) == appended
