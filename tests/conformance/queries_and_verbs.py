"""Queries and verbs on a server: every test of theirs, run again where the registry lies there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ON_SQLITE_ALWAYS = "tests/unit/actions/test_jobs_killed.py"  # whatever is set, its workers have a file


def check_queries_and_verbs(
    url: str, folder: Path, *options: str, marked: str = "not slow and not soak"
) -> None:
    """
    Run the tests of `data` and `actions` with their registry on a server: those that are `marked` so.

    Two servers share out the parameters of tests: `--share 0` and `--share 1`.

    :raises AssertionError: with the end of what they said, if one of them fails
    """
    places = ["tests/unit/data", "tests/unit/actions", f"--ignore={ON_SQLITE_ALWAYS}"]
    own = {"WATTKEEPER_DATABASE": url, "WATTKEEPER_DATA": str(folder), "PYTHONPATH": str(ROOT / "tests")}
    options = ("-p", "conformance.shared_out", "-q", "-m", marked, *options)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *places, *options],
        env=os.environ | own,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
