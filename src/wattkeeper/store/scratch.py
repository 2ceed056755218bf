"""Folders and files that are not finished: taken away by their maker, or by the next one where that died.

Whoever makes one holds a lock on it (flock), which the system lets go of when the last process that has it
ends. So what can be locked is dead.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

SCRATCH = "scratch"  # the folder of a data folder of which nothing is kept


def hold(path: Path) -> int | None:
    """
    Lock a folder or file; None where it is gone or somebody has it.

    The number returned is that of the lock: to close it lets go, a child that it is passed on to has it too.
    """
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except OSError:  # it is held, it is gone, or nothing can be locked there
        pass
    os.close(lock)
    return None


def take_away_dead(paths: Iterable[Path]) -> None:
    """Remove what nobody holds."""
    for path in paths:
        lock = hold(path)
        if lock is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
        os.close(lock)


def take_away_scratch(data_folder: Path) -> None:
    """Remove what dead commands left in a data folder."""
    take_away_dead((data_folder / SCRATCH).glob("*"))


@contextmanager
def scratch_folder(data_folder: Path, name: str) -> Iterator[tuple[Path, int]]:
    """A folder in the data folder, and its lock; gone after the block."""
    take_away_scratch(data_folder)
    (data_folder / SCRATCH).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder, lock = _make(data_folder / SCRATCH, name)
    try:
        yield folder, lock
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(place: Path, name: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
        lock = hold(folder)
        if lock is not None:  # else another command has just taken it for a dead one's
            return folder, lock
