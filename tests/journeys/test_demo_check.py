"""The proof and the faults it must see, on a quarter of the street in a minute; the whole of it as soak."""

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


def assert_holds(code: int, report: dict[str, Any]) -> None:
    """Every promise of the check holds, and it had something to promise."""
    assert report["failed"] == [], json.dumps(report)  # how its commands ended, how late its lines were
    assert code == 0
    assert report["energy_error_wh"] == 0
    assert report["bill_error_max"] == 0
    assert report["backfill_intervals"] == report["gap_intervals"] > 0
    assert report["bills"] > 0


@pytest.mark.soak
def test_not_a_watt_hour_is_lost() -> None:
    assert_holds(*run_check())


@pytest.mark.slow
def test_not_a_watt_hour_of_a_small_street_is_lost() -> None:
    assert_holds(*run_check("--small"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        ("drop-backfill", "backfill_intervals"),
        ("ignore-rollover", "energy_error_wh"),
        ("trust-ack", "disconnect"),
    ],
)
def test_a_planted_fault_is_seen(plant: str, seen: str) -> None:
    code, report = run_check("--small", "--plant", plant)
    assert code == 1
    assert seen in report["failed"]
