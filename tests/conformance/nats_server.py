"""A throw-away NATS server with JetStream: killed, started again, its store wiped, as a test asks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ports import free_port

PROGRAM = Path(sys.executable).with_name("nats-server")
STARTS_WITHIN_S = 60.0


class NatsServer:
    """One server in a folder of its own, always at the same port."""

    def __init__(
        self, folder: Path, *, settings: str = "", store: Path | None = None, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.folder = folder
        self.store = store or folder / "jetstream"
        self.url = f"nats://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.store}" }}\n{settings}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "NatsServer":
        """Start and wait until it listens."""
        with (self.folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([str(PROGRAM), "-c", str(self._config)], stdout=log, stderr=log)
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not self._listens():
            assert self._process.poll() is None, (self.folder / "nats.log").read_text()[-2000:]
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Let it stand still with its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Take away all that it stored; only while it is dead."""
        shutil.rmtree(self.store, ignore_errors=True)

    def __enter__(self) -> "NatsServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
