"""Do the tests of commands, counters and the spool have teeth: small faults in the code, one at a time.

A module's own tests must notice nine of ten. What stays unnoticed is printed; some of it changes nothing.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLED_LEAST_RATIO = 0.9
HEADEND, COMMANDS = "tests/unit/headend", "tests/unit/core/commands"
SPOOL = [f"{HEADEND}/test_spool{name}.py" for name in ("_signs", "", "_tail")]
TESTS = {
    "wattkeeper.core.commands.states": [COMMANDS],
    "wattkeeper.core.commands.read_back": [COMMANDS],
    "wattkeeper.core.commands.authorize": [f"{COMMANDS}/test_authorize.py"],
    "wattkeeper.drivers.dlms_three_phase.counters": ["tests/unit/drivers/dlms_three_phase/test_counters.py"],
    "wattkeeper.headend.dispatch": [f"{HEADEND}/test_dispatch_by_itself.py", f"{HEADEND}/test_dispatch.py"],
    "wattkeeper.headend.segment": [f"{HEADEND}/test_segment.py", *SPOOL],
    "wattkeeper.headend.spool": SPOOL,
}
BLIND_TEST = "def test_blind():\n    import wattkeeper.core.commands.read_back\n"


def killed(module: str, tests: list[str], stride: int = 1) -> float:
    """Return the share of mutants that the tests noticed, tried by a process of its own."""
    program = (
        "import json, sys; from conformance.mutants import try_all;"
        " print(json.dumps(try_all(sys.argv[1], sys.argv[3:], int(sys.argv[2]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, module, str(stride), *tests],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        check=True,
    )
    count, survivors = json.loads(done.stdout)
    print(module, f"{count - len(survivors)} of {count}", *survivors, sep="\n  ")
    return 1 - len(survivors) / count


@pytest.mark.soak
@pytest.mark.parametrize("module", TESTS)
def test_nine_of_ten_faults_are_noticed(module: str) -> None:
    assert killed(module, TESTS[module]) >= KILLED_LEAST_RATIO


@pytest.mark.slow
def test_tests_that_look_at_nothing_let_everything_through(tmp_path: Path) -> None:
    """The planted fault: a test that runs the module and asserts nothing."""
    (tmp_path / "test_blind.py").write_text(BLIND_TEST)
    assert killed("wattkeeper.core.commands.read_back", [str(tmp_path)], stride=3) == 0
