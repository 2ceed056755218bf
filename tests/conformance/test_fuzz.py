"""Decoders under a fuzzer that learns what reaches further: nothing but their own errors leaves them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="needs atheris"),
]

ROOT = Path(__file__).resolve().parents[2]
RUNS_COUNT = int(os.environ.get("WATTKEEPER_FUZZ_RUNS", "200000"))
FRAMES = ("dlt645", "modbus-rtu", "modbus-tcp", "pulse-line", "mqtt", "batch", "parcel")
DLMS = ("dlms", "dlms-hdlc", "dlms-wrapper", "dlms-apdu", "dlms-axdr")
FORMATS = ("nem12", "nem13", "greenbutton", "iec61968", "mscons", "csv")


class Fuzzed(NamedTuple):
    """How a run ended, how many inputs it took, and what it said."""

    code: int
    runs_count: int
    said: str


def fuzz(name: str, runs_count: int, folder: Path) -> Fuzzed:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz_rig.py")), name, str(runs_count), str(folder)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    counts = re.findall(r"(?:number_of_executed_units:|^Done) +(\d+)", said, re.MULTILINE)
    return Fuzzed(done.returncode, int(counts[-1]) if counts else 0, re.sub(r"(?m)^(INFO|#).*\n", "", said))


@pytest.mark.parametrize("name", [*FRAMES, *DLMS, *FORMATS])
def test_only_its_own_errors_leave_a_decoder(name: str, tmp_path: Path) -> None:
    found = fuzz(name, RUNS_COUNT, tmp_path)
    assert found.code == 0, found.said
    assert found.runs_count >= RUNS_COUNT


def test_a_fault_behind_four_bytes_is_found(tmp_path: Path) -> None:
    found = fuzz("planted", 1_000_000, tmp_path)
    assert found.code != 0
    assert "IndexError: planted" in found.said
    assert 0 < found.runs_count < 1_000_000


def test_a_slow_input_is_found(tmp_path: Path) -> None:
    found = fuzz("planted-slow", 100_000, tmp_path)
    assert found.code != 0
    assert "TooSlow" in found.said
