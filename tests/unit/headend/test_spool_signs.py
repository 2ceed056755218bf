"""What a spool shows of itself and leaves behind: its level, its refusals, its files and descriptors."""

import errno
import gc
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from unit.headend.test_spool import FailingConnection, contents, damage
from wattkeeper.headend import segment as segment_module
from wattkeeper.headend import spool as spool_module
from wattkeeper.headend.errors import SpoolBusy, SpoolFailed, SpoolFull
from wattkeeper.headend.segment import Segment
from wattkeeper.headend.spool import PEEK_MAX_BYTES, Spool

MEBI_BYTES = 1024 * 1024
DESCRIPTORS = Path("/proc/self/fd")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


def flags(spool: Spool) -> tuple[bool, bool, int]:
    return spool.is_refusing, spool.is_failing, spool.failures_count


def fail_once(segment: Segment, at_sql: str) -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    segment._connection = FailingConnection(segment._connection, failure, at_sql)  # type: ignore[assignment]


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    gc.collect()
    before_count = len(list(DESCRIPTORS.iterdir()))
    yield
    assert len(list(DESCRIPTORS.iterdir())) <= before_count


# its signs


def test_a_fresh_spool_has_nothing_to_tell(tmp_path: Path) -> None:
    assert flags(Spool(tmp_path)) == (False, False, 0)


def test_a_refusal_shows_until_the_level_falls_and_something_fits_again(tmp_path: Path) -> None:
    """A smaller batch that still fits does not end it: the next larger one would be refused again."""
    spool = Spool(tmp_path, capacity_bytes=10)
    spool.append([b"x" * 8])
    with pytest.raises(SpoolFull) as refusal:
        spool.append([b"y" * 8])
    assert not refusal.value.is_permanent
    assert flags(spool) == (True, False, 0)
    spool.append([b"y"])
    assert flags(spool) == (True, False, 0)
    spool.delete(spool.peek(1))
    spool.append([b"y"])
    assert flags(spool) == (False, False, 0)


@pytest.mark.parametrize(("capacity_bytes", "large_bytes"), [(10, 5), (10, 9), (100, 60)])
def test_a_refusal_shows_until_as_much_would_fit(
    tmp_path: Path, capacity_bytes: int, large_bytes: int
) -> None:
    """Far below its alarm a spool may have no room for a batch larger than a fifth of it."""
    spool = Spool(tmp_path, capacity_bytes=capacity_bytes)
    spool.append([b"x" * (capacity_bytes - large_bytes + 1)])
    for _ in range(2):
        with pytest.raises(SpoolFull):
            spool.append([b"y" * large_bytes])
        spool.append([b"z"])
        assert spool.is_refusing, "it would open anew with each smaller batch"
    spool.delete(spool.peek(3))
    spool.append([b"z"])
    assert not spool.is_refusing


def test_of_what_no_spool_could_hold_the_refusal_shows_until_it_was_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=10)
    spool.append([b"x"])
    with pytest.raises(SpoolFull):
        spool.append([b"y" * 11])
    spool.append([b"z"])
    assert spool.is_refusing
    spool.delete(spool.peek(2))
    spool.append([b"z"])
    assert not spool.is_refusing


def test_a_failure_shows_until_something_is_durable_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    fail_once(*spool._segments.values(), "COMMIT")
    with pytest.raises(SpoolFailed):
        spool.append([b"b"])
    assert flags(spool) == (False, True, 1)
    spool.append([b"c"])
    assert flags(spool) == (False, False, 1)


def test_the_alarm_is_told_once_each_time_the_level_is_passed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, capacity_bytes=10)
    with capture_logs() as told:
        spool.append([b"x" * 8])
        spool.append([b"y"])
        spool.delete(spool.peek(2))
        spool.append([b"x"])
        assert len(told) == 1
        spool.append([b"x" * 8])
    assert [each["event"] for each in told] == ["headend.spool-alarm"] * 2


def test_one_look_takes_about_sixteen_mebibytes_of_however_many(tmp_path: Path) -> None:
    assert PEEK_MAX_BYTES == 16 * MEBI_BYTES
    spool = Spool(tmp_path)
    spool.append([bytes(8 * MEBI_BYTES)] * 4)
    assert len(spool.peek(1000)) == 2
    spool.delete(spool.peek(1000))
    assert len(spool.peek(1000)) == 2


# its files


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a" / "b")
    spool.append([b"a"])
    assert contents(spool) == [b"a"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolFailed) as failure:
        Spool(tmp_path / "file")
    assert failure.value.code == "headend.spool-failed"


def test_nobody_else_may_hold_the_lock(tmp_path: Path) -> None:
    Spool(tmp_path)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) & 0o077 == 0


def test_a_segment_is_gone_as_soon_as_it_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name, too, durably: after a power cut it is not delivered again."""
    synced: list[list[str]] = []
    spool = Spool(tmp_path)
    spool.append([b"a", b"b"])
    spool.close()
    spool = Spool(tmp_path)
    monkeypatch.setattr(spool_module, "fsync_folder", lambda folder: synced.append(files(folder)))
    spool.delete(spool.peek(1))
    assert synced == []
    spool.delete(spool.peek(1))
    assert files(tmp_path) == []
    assert synced == [[]]


def test_a_segment_is_gone_as_soon_as_the_last_of_it_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"poison"])
    spool.close()
    spool = Spool(tmp_path)
    spool.quarantine(*spool.peek(1), "store.out-of-range")
    (name,) = files(tmp_path)
    assert name.endswith(".letter")


def test_a_segment_of_damaged_rows_alone_is_gone_once_they_are_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"aa"])
    spool.close()
    damage(tmp_path, 1)
    spool = Spool(tmp_path)
    assert contents(spool) == []
    (name,) = files(tmp_path)
    assert name.endswith(".letter")


def test_what_was_delivered_leaves_no_file_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    spool.delete(spool.peek(1))
    spool.close()
    Spool(tmp_path).close()
    assert files(tmp_path) == []


def test_three_segments_are_read_in_the_order_they_were_written(tmp_path: Path) -> None:
    for content in (b"a", b"b", b"c"):
        spool = Spool(tmp_path)
        spool.append([content])
        spool.close()
    spool, found = Spool(tmp_path), []
    while batches := spool.peek(9):
        found += [batch.content for batch in batches]
        spool.delete(batches)
    assert found == [b"a", b"b", b"c"]


# what cannot be read


def test_a_file_that_cannot_be_opened_now_is_left_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    spool.close()

    def fail(_segment: Segment) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as planted:
        planted.setattr(segment_module.Segment, "_connect", fail)
        with pytest.raises(SpoolFailed):
            Spool(tmp_path)
    (name,) = files(tmp_path)
    assert not name.startswith("damaged-")


def test_what_cannot_be_read_now_is_read_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    fail_once(*spool._segments.values(), "SELECT")
    with pytest.raises(SpoolFailed):
        spool.peek(9)
    assert contents(spool) == [b"a"]
    assert spool.quarantined_count == 0


def test_a_file_found_damaged_on_reading_is_set_aside_and_the_next_is_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([b"a"])
    spool.close()
    spool = Spool(tmp_path)
    spool.append([b"b"])
    failure = sqlite3.DatabaseError("malformed")
    failure.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    first, _ = spool._segments.values()
    first._connection = FailingConnection(first._connection, failure, "SELECT")  # type: ignore[assignment]
    assert contents(spool) == contents(spool) == [b"b"]
    assert spool.quarantined_count == 1
    assert any(name.startswith("damaged-") for name in files(tmp_path))
    assert spool.batches_count == 1


# its descriptors


def test_a_closed_spool_holds_nothing_open(tmp_path: Path) -> None:
    with no_descriptor_left():
        spool = Spool(tmp_path)
        spool.append([b"a"])
        spool.close()


def test_a_second_owner_that_is_refused_holds_nothing_open(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with no_descriptor_left(), pytest.raises(SpoolBusy):
        Spool(tmp_path)
    spool.close()
