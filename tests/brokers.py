"""A real MQTT broker for tests: `with broker(folder) as port`."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ports import free_port

STARTS_WITHIN_S = 60.0


class Broker:
    """One mosquitto in a folder of its own, always at the same port."""

    def __init__(self, folder: Path, *settings: str) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("no mosquitto on this machine: apt-get install -y mosquitto")
        self.port = free_port()
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "user root", *settings]
        path = folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        self._command = [program, "-c", str(path)]

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Run it, from when it listens until the block ends."""
        process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        try:
            deadline_s = time.monotonic() + STARTS_WITHIN_S
            while not self._listens():
                assert process.poll() is None
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            yield process
        finally:
            process.kill()
            process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def broker(folder: Path, *settings: str) -> Iterator[int]:
    """Run a broker until the block ends and give its port."""
    made = Broker(folder, *settings)
    with made.running():
        yield made.port
