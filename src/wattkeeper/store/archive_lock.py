"""Who has the archive: one who moves months, or any number of those who only read what is where."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError


@contextmanager
def archive_lock(folder: Path, *, is_shared: bool = False) -> Iterator[None]:
    """
    Have the archive for the block; a reader (`is_shared`) waits for whoever moves a month.

    :raises WattkeeperError: ``store.archive-busy`` for who would move months while anybody has it
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise WattkeeperError("store.archive-busy", is_permanent=False) from error
    finally:
        os.close(lock)
