"""Throw-away database servers, started by the tests as an ordinary user on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from memory import open_to_all

STARTS_WITHIN_S = 120.0


def ordinary_user() -> str | None:
    """Return the user to run a server as when the tests run as root, None when they do not."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "mysql", "nobody") if name in known)


@contextmanager
def folder_of(user: str | None) -> Iterator[Path]:
    """Make a folder that belongs to `user`, and take it away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wattkeeper-db-", dir=open_to_all()))
    if user is not None:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_copy(file: Path, folder: Path, user: str | None) -> Path:
    """Copy a key file to where `user` may read it and nobody else."""
    copy = folder / file.name
    copy.touch(mode=0o600)
    copy.write_bytes(file.read_bytes())
    if user is not None:
        shutil.chown(copy, user)
    return copy


@contextmanager
def running(
    command: list[str],
    *,
    user: str | None,
    folder: Path,
    is_ready: Callable[[], bool],
    ends_by: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run a server until the block ends; at the signal `ends_by` it waits for none of its clients."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, user=user, cwd=folder, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError((folder / "server.log").read_text()[-2000:])
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(ends_by)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
