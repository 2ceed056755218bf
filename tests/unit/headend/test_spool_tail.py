"""A spool whose newest bytes were torn or flipped: nothing wrong is accepted, nothing acknowledged lost."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend import segment
from wattkeeper.headend.errors import SpoolFailed
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


@dataclass(frozen=True)
class Rotted:
    """What a spool returned of a file that rotted; `is_refused`: it could not be read to its end."""

    found: tuple[bytes, ...]
    set_aside_count: int
    is_refused: bool


def flipped_anywhere(folder: Path, seed: int) -> Rotted:
    """Fold the log into the file, flip bytes anywhere in it, and read what is still returned."""
    spool = Spool(folder)
    spool.append(ACKNOWLEDGED)
    spool.close()
    (path,) = folder.glob("segment-*.sqlite")
    content, dice = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(8):
        content[dice.randrange(4096, len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)
    found: list[bytes] = []
    try:
        spool = Spool(folder)
        while batches := spool.peek(3):
            found += [batch.content for batch in batches]
            spool.delete(batches)
    except WattkeeperError:
        return Rotted(tuple(found), 0, is_refused=True)
    set_aside_count = spool.quarantined_count
    spool.close()
    return Rotted(tuple(found), set_aside_count, is_refused=False)


def rot(folder: Path, seeds_count: int) -> tuple[list[Rotted], int]:
    """Return what became of so many files, and how many batches were returned that nobody appended."""
    rotted = [flipped_anywhere(folder / str(seed), seed) for seed in range(seeds_count)]
    return rotted, sum(len(set(each.found) - set(ACKNOWLEDGED)) for each in rotted)


def test_nothing_wrong_is_accepted_from_files_that_rotted_and_most_is_still_read(tmp_path: Path) -> None:
    rotted, wrong_count = rot(tmp_path, 40)
    figures = {
        "read": sum(bool(each.found) for each in rotted),
        "batches": sum(len(each.found) for each in rotted),
        "set aside": sum(each.set_aside_count for each in rotted),
        "refused": sum(each.is_refused for each in rotted),
    }
    print(figures)
    assert wrong_count == 0
    assert figures["read"] > 20, figures


def test_a_spool_without_checksums_would_be_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: every row counts as whole."""

    class NoChecksum:
        @staticmethod
        def iscsi(_content: bytes) -> int:
            return 0

    monkeypatch.setattr(segment, "crc32", NoChecksum)
    assert rot(tmp_path, 10)[1] > 0


def test_a_spool_that_refuses_every_file_would_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: nothing is ever returned, so nothing wrong is."""

    def refuse(*_arguments: object) -> list[bytes]:
        raise SpoolFailed("headend.spool-failed", is_permanent=True)

    monkeypatch.setattr(segment.Segment, "peek", refuse)
    rotted, wrong_count = rot(tmp_path, 10)
    assert (wrong_count, sum(bool(each.found) for each in rotted)) == (0, 0)
