"""No child outlives the one who started it, whenever that one is ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ports import free_port

BIN = Path(sys.executable).parent / "wattkeeper"
pytestmark = pytest.mark.slow
GONE_AT_ONCE = """
import os, subprocess, sys
command = [sys.executable, "-m", "wattkeeper.interfaces.workers", "store", str(os.getpid())]
print(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid, flush=True)
os._exit(0)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def environment(folder: Path) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name != "WATTKEEPER_DATABASE"}
    return {**known, "WATTKEEPER_DATA": str(folder)}


def test_who_is_begun_by_one_who_is_dead_by_then_ends_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GONE_AT_ONCE],
        env=environment(tmp_path), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    child_pid = int(done.stdout)
    try:
        wait_until(lambda: not is_running(child_pid))
        assert not (tmp_path / "readings").exists(), "it has not even begun"
    finally:
        if is_running(child_pid):
            os.kill(child_pid, signal.SIGKILL)


def test_an_installation_that_is_ended_while_it_starts_ends_its_children_first(tmp_path: Path) -> None:
    address = tmp_path / "run" / "store.json"
    process = subprocess.Popen(
        [BIN, "serve", "--port", str(free_port())], env=environment(tmp_path), stderr=subprocess.DEVNULL
    )
    try:
        wait_until(address.exists)
        store_pid = json.loads(address.read_text())["pid"]
        process.terminate()
        assert process.wait(120) == 0
        assert not is_running(store_pid)
    finally:
        process.kill()
