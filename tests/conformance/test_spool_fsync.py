"""No acknowledgement precedes a successful fsync: what a power cut would leave holds all of them.

A preloaded shim keeps the copy of each file that only flushed writes reach, and makes fsync fail on demand.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from conformance.spool_rig import Clients, gateway, stored

pytestmark = pytest.mark.slow

LEAST_COUNT = 120
SOURCE = Path(__file__).with_name("fsync_shim.c")


@dataclass(frozen=True)
class Outcome:
    """Records acknowledged before and after the failures, and how many of them a power cut would lose."""

    before_count: int
    after_count: int
    lost_count: int


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "fsync_shim.so"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"],
        check=True,
    )
    return library


def load(port: int, numbers: "count[int]", seconds: float, least_count: int = 0) -> Clients:
    """Let clients send for a while, and until so many have been acknowledged."""
    clients = Clients(numbers)
    clients.start(port)
    clients.wait_for(least_count)
    time.sleep(seconds)
    return clients


def trial(shim: Path, folder: Path, mode: str, *, fails: bool) -> Outcome:
    """Send under the shim, with a spell of failing fsyncs in the middle, and look at what was flushed."""
    spool, shadow, fail = folder / "spool", folder / "shadow", folder / "fail"
    spool.mkdir()
    shadow.mkdir()
    environment = {
        "LD_PRELOAD": str(shim),
        "SHIM_FOLDER": str(spool),
        "SHIM_SHADOW": str(shadow),
        "SHIM_FAIL": str(fail),
    }
    numbers = count()
    with gateway(spool, mode, environment) as (process, port):
        before = load(port, numbers, 0.3, LEAST_COUNT)
        during = None
        if fails:
            fail.touch()
            during = load(port, numbers, 0.3)
            fail.unlink()
        after = load(port, numbers, 0.3, LEAST_COUNT)
        process.kill()
        process.wait()
        everybody = [clients for clients in (before, during, after) if clients is not None]
        for clients in everybody:
            clients.stop()
    acknowledged = set().union(*(clients.acknowledged for clients in everybody))
    flushed = stored(shadow)
    return Outcome(len(before.acknowledged), len(after.acknowledged), len(acknowledged - flushed))


@pytest.mark.parametrize("mode", ["durable", "folding"])
def test_all_that_was_acknowledged_was_flushed(shim: Path, tmp_path: Path, mode: str) -> None:
    outcome = trial(shim, tmp_path, mode, fails=False)
    assert outcome.before_count > 100
    assert outcome.lost_count == 0


@pytest.mark.parametrize("mode", ["durable", "folding"])
def test_after_failing_fsyncs_it_goes_on_and_loses_nothing(shim: Path, tmp_path: Path, mode: str) -> None:
    outcome = trial(shim, tmp_path, mode, fails=True)
    assert outcome.before_count > 100
    assert outcome.after_count > 100
    assert outcome.lost_count == 0


@pytest.mark.parametrize(
    ("mode", "fails"),
    [("no-fsync", False), ("ack-first", False), ("fold-without-fsync", False), ("retry-after-eio", True)],
)
def test_planted_faults_are_seen(shim: Path, tmp_path: Path, mode: str, fails: bool) -> None:
    outcome = trial(shim, tmp_path, mode, fails=fails)
    assert outcome.before_count > 100
    assert outcome.lost_count > 0


def test_the_shim_is_really_between(shim: Path, tmp_path: Path) -> None:
    program = "import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))"
    fail = tmp_path / "fail"
    fail.touch()
    environment = {"SHIM_FOLDER": str(tmp_path), "SHIM_SHADOW": str(tmp_path), "SHIM_FAIL": str(fail)}
    result = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")],
        env={**os.environ, **environment, "LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Input/output error" in result.stderr
