"""A readings store to work with: the one that runs, or one started for the time of a command."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.installation import check_installation
from wattkeeper.interfaces.workers.child_log import turn_over, why_it_ended
from wattkeeper.interfaces.workers.store_address import has_told, told_in
from wattkeeper.store.transport import StoreUnreachable

STARTS_WITHIN_S = 60.0
_DIES_WITHIN_S = 1.0
_STOPS_WITHIN_S = 60.0


@contextmanager
def store_of(folder: Path) -> Iterator[None]:
    """
    See to it that the data folder's store answers during the block.

    :raises WattkeeperError: ``installation.*`` if something is gone, else why the store did not start;
        ``store.ended`` if it ended while the block was at work
    """
    if os.environ.get("WATTKEEPER_READINGS") or _answers(folder):
        yield
        return
    check_installation(folder)  # before a store is begun where the readings are gone
    address, log = folder / "run" / "store.json", folder / "log" / "store.log"
    for place in (address, log):
        place.parent.mkdir(parents=True, exist_ok=True)
    before = told_in(address)
    turn_over(log)
    with log.open("ab") as sink:
        begins_bytes = sink.tell()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "wattkeeper.interfaces.workers", "store", str(os.getpid())],
            env={**os.environ, "WATTKEEPER_DATA": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        _wait(process, lambda: has_told(address, process.pid, before), log, begins_bytes)
        yield
    except StoreUnreachable as error:
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(_DIES_WITHIN_S)  # it may be dying: what it held is closed before that
            raise WattkeeperError("store.ended", is_permanent=False, status=status, log=str(log)) from error
        raise
    finally:
        process.terminate()
        try:
            process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()  # what was acknowledged is on the disk
            process.wait()


def _answers(folder: Path) -> bool:
    from wattkeeper.bootstrap.engines import open_store

    try:
        open_store(folder).counts(0)
    except StoreUnreachable:
        return False
    return True


def _wait(
    process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path, begins_bytes: int
) -> None:
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise why_it_ended("store", log, begins_bytes)
        time.sleep(0.05)
