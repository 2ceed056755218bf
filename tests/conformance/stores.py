"""Store processes for tests: started in a folder, found by their address file, ended by id."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattkeeper.store.client import HttpReadingStore

RUN = """
import sys
from pathlib import Path
from wattkeeper.store.process import run_store
run_store(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def spawn(folder: Path) -> subprocess.Popen[bytes]:
    """Start a store process on `folder`."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder / "readings"), str(folder / "run" / "store.json")]
    )


def client(folder: Path, process: subprocess.Popen[bytes]) -> HttpReadingStore:
    """Return a client once the process serves."""
    address = folder / "run" / "store.json"
    deadline_s = time.monotonic() + 60
    while True:
        if address.exists() and (told := json.loads(address.read_text()))["pid"] == process.pid:
            return HttpReadingStore(told["url"], told["secret"])
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@contextmanager
def running_store(folder: Path) -> Iterator[HttpReadingStore]:
    """Serve a store on `folder` for the block."""
    process = spawn(folder)
    try:
        yield client(folder, process)
    finally:
        process.terminate()
        process.wait(60)
