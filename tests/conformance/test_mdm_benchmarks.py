"""The benchmarks of meter data at a hundredth of their size: each checks itself against its own truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["mdm_day.py", "--meters", "100", "--slice", "60"], id="a day"),
        pytest.param(["meter_month.py", "--meters", "120", "--pandas", "2"], id="a month"),
    ],
)
def test_a_benchmark_finds_its_truth(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["is_right"]
