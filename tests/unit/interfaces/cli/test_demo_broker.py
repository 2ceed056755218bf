"""The demo's broker goes when the demo goes, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wattkeeper.interfaces.cli.demo.street import find_mosquitto

pytestmark = pytest.mark.skipif(
    find_mosquitto() is None, reason="no mosquitto on this machine: apt-get install -y mosquitto"
)
DEMO = """
import sys, time
from pathlib import Path
from wattkeeper.interfaces.cli.demo.street import Street
street = Street(Path(sys.argv[1]), None)
street._start_broker()
print(street._processes[0].pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_a_killed_demo_leaves_no_broker(tmp_path: Path) -> None:
    demo = subprocess.Popen([sys.executable, "-c", DEMO, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    broker_pid = int(demo.stdout.readline())
    try:
        assert is_running(broker_pid)
        demo.kill()
        demo.communicate(timeout=120)
        deadline_s = time.monotonic() + 120
        while is_running(broker_pid) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        assert not is_running(broker_pid)
    finally:
        if is_running(broker_pid):
            os.kill(broker_pid, signal.SIGKILL)
