"""The proof, whole, and the faults it must see. One run lives two days in about three minutes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent / "wattkeeper"


def run_check(*options: str) -> tuple[int, dict[str, Any]]:
    """Run the check as a user would; return its exit code and its JSON object."""
    done = subprocess.run(
        [BIN, "demo", "--check", "--json", *options], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_not_a_watt_hour_is_lost() -> None:
    code, report = run_check()
    assert report["failed"] == []
    assert code == 0
    assert report["energy_error_wh"] == 0
    assert report["bill_error_max"] == 0
    assert report["backfill_intervals"] == report["gap_intervals"] > 0


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        ("drop-backfill", "intervals_missing"),
        ("ignore-rollover", "energy_error_wh"),
        ("trust-ack", "disconnect"),
    ],
)
def test_a_planted_fault_is_seen(plant: str, seen: str) -> None:
    code, report = run_check("--plant", plant)
    assert code == 1
    assert seen in report["failed"]
