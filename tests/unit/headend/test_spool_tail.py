"""A spool whose newest bytes were torn or flipped: nothing wrong is accepted, nothing acknowledged lost."""

import random
import shutil
from pathlib import Path

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend import segment
from wattkeeper.headend.spool import Spool

ACKNOWLEDGED = [bytes((number,)) * (200 + 7 * number) for number in range(40)]
UNDER_WAY = [b"under way %d " % number * 40 for number in range(6)]


def written(folder: Path) -> int:
    """Write what is acknowledged and then what is under way; return where in the log the latter begins."""
    spool = Spool(folder)
    spool.append(ACKNOWLEDGED)
    (log,) = folder.glob("segment-*.sqlite-wal")
    acknowledged_bytes = log.stat().st_size
    spool.append(UNDER_WAY)
    return acknowledged_bytes


def read_all(folder: Path) -> list[bytes]:
    spool, found = Spool(folder), []
    while batches := spool.peek(100):
        found += [batch.content for batch in batches]
        spool.delete(batches)
    spool.close()
    return found


def tear(folder: Path, from_bytes: int, dice: random.Random) -> None:
    """Flip bytes of the log's tail, or cut it off somewhere."""
    (log,) = folder.glob("segment-*.sqlite-wal")
    content = bytearray(log.read_bytes())
    if dice.random() < 0.4:
        del content[dice.randrange(from_bytes, len(content)) :]
    else:
        for _ in range(dice.randrange(1, 20)):
            content[dice.randrange(from_bytes, len(content))] ^= 1 << dice.randrange(8)
    log.write_bytes(content)


@pytest.mark.parametrize("seed", range(40))
def test_a_torn_tail_costs_only_what_was_never_acknowledged(tmp_path: Path, seed: int) -> None:
    from_bytes = written(tmp_path / "live")
    shutil.copytree(tmp_path / "live", tmp_path / "after", ignore=shutil.ignore_patterns("*-shm"))
    tear(tmp_path / "after", from_bytes, random.Random(seed))
    found = read_all(tmp_path / "after")
    assert found[: len(ACKNOWLEDGED)] == ACKNOWLEDGED
    assert set(found[len(ACKNOWLEDGED) :]) <= set(UNDER_WAY)


def flipped_anywhere(folder: Path, seed: int) -> list[bytes]:
    """Fold the log into the file, flip bytes anywhere in it, and read what is still returned."""
    spool = Spool(folder)
    spool.append(ACKNOWLEDGED)
    spool.close()
    (path,) = folder.glob("segment-*.sqlite")
    content, dice = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(8):
        content[dice.randrange(4096, len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    try:
        return read_all(folder)
    except WattkeeperError:
        return []


@pytest.mark.parametrize("seed", range(20))
def test_nothing_wrong_is_accepted_from_a_file_that_rotted(tmp_path: Path, seed: int) -> None:
    assert set(flipped_anywhere(tmp_path, seed)) <= set(ACKNOWLEDGED)


def test_a_spool_without_checksums_would_be_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: every row counts as whole."""

    class NoChecksum:
        @staticmethod
        def iscsi(_content: bytes) -> int:
            return 0

    monkeypatch.setattr(segment, "crc32", NoChecksum)
    wrong = [set(flipped_anywhere(tmp_path / str(seed), seed)) - set(ACKNOWLEDGED) for seed in range(10)]
    assert any(wrong)
