"""The benchmarks of validation and estimation at a part of their size: each checks its own truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared import shared_path

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["vee_truth.py", "--seeds", "1"], id="faults"),
        pytest.param(["estimation_error.py", "--gaps", "1"], id="estimates"),
        pytest.param(["vee_speed.py", "--meters", "2000"], id="speed"),
    ],
)
def test_a_benchmark_finds_its_truth(command: list[str]) -> None:
    shared_path("data/homes_15min/homes200_kwh.parquet")
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    assert json.loads(done.stdout)["is_right"]
