"""`wattkeeper serve`: its spawned children, restarted when they die, stopped in reverse order.

The supervisor holds the data folder's lock, prepares the database and makes the first administrator; after
that it only watches. A child that dies is started again with a growing pause; the others go on.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

import structlog

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.workers.child_log import turn_over, why_it_ended
from wattkeeper.interfaces.workers.store_address import has_told, told_in
from wattkeeper.interfaces.workers.tls import Tls, names_of, own_address

ORDER = ("store", "writer", "headend", "worker", "web")
PAUSE_MAX_S = 30.0
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 10.0
# the C library's arenas, else one for each thread: what one of them keeps none of the others uses; and what
# arrays leave is kept for the next ones: to be given fresh pages each time is a tenth of a pipeline's work
MEMORY = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
log = structlog.get_logger()


class Child:
    """One role's process and how often it had to be started again."""

    def __init__(self, role: str, environment: Mapping[str, str], log_path: Path) -> None:
        self.role = role
        self._environment = environment
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._log_begins_bytes = 0
        self._deaths_count = 0
        self._starts_at_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Spawn the process; its log goes to a file of the data folder."""
        with self._log_path.open("ab") as sink:
            self._log_begins_bytes = sink.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "wattkeeper.interfaces.workers", self.role, str(os.getpid())],
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                umask=0o077,
            )

    def watch(self) -> None:
        """Start the process again, after its pause, if it died; see that its log does not grow for ever."""
        if turn_over(self._log_path):
            self._log_begins_bytes = 0
        if self._process is not None and self._process.poll() is not None:
            log.error("child.died", child=self.role, exit_code=self._process.returncode)
            self._process = None
            self._pause()
        if self._process is None and time.monotonic() >= self._starts_at_s:
            try:
                self.start()
            except OSError as error:  # no room for a process or for its log
                log.error("child.not-started", child=self.role, reason=error.strerror)
                self._pause()

    def _pause(self) -> None:
        self._deaths_count += 1
        self._starts_at_s = time.monotonic() + min(PAUSE_MAX_S, 0.5 * 2**self._deaths_count)

    def has_died(self) -> bool:
        """Whether the process ended."""
        return self._process is not None and self._process.poll() is not None

    def why_it_ended(self) -> WattkeeperError:
        """Return why a process that was started ended."""
        return why_it_ended(self.role, self._log_path, self._log_begins_bytes)

    def stop(self) -> None:
        """Ask the process to end, and end it when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Supervisor:
    """Holds the lock and the children of one data folder."""

    def __init__(
        self, folder: Path, *, host: str, port: int, environment: Mapping[str, str], tls: Tls | None = None
    ) -> None:
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://{host}:{port}"
        self._folder = folder
        self._store_address = folder / "run" / "store.json"
        self._host, self._port = host, port
        logs = folder / "log"
        logs.mkdir(parents=True, exist_ok=True)
        (folder / "run").mkdir(exist_ok=True)
        surroundings = {
            **MEMORY,
            **os.environ,
            **environment,
            **(tls.environment() if tls else {}),
            "WATTKEEPER_DATA": str(folder),
            "WATTKEEPER_BIND": f"{host}:{port}",
            "WATTKEEPER_HOSTS": os.environ.get("WATTKEEPER_HOSTS", _to_hosts(names_of(host))),
        }
        self._children = [Child(role, surroundings, logs / f"{role}.log") for role in _roles()]
        self._lock: IO[str] | None = None

    def take_folder(self) -> None:
        """Take the data folder's lock and check that the port is free.

        :raises WattkeeperError: ``serve.folder-locked``, ``serve.port-busy``, ``serve.port-denied`` or
            ``serve.address-unknown``
        """
        self._lock = (self._folder / "run" / "serve.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WattkeeperError("serve.folder-locked", folder=str(self._folder)) from error
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                code = {
                    errno.EADDRINUSE: "serve.port-busy",
                    errno.EACCES: "serve.port-denied",
                }.get(error.errno or 0, "serve.address-unknown")
                raise WattkeeperError(code, host=self._host, port=self._port) from error

    def start(self, roles: tuple[str, ...] = ORDER) -> None:
        """Start the children of `roles`, each once the one before is ready.

        :raises WattkeeperError: what one says that ends instead, else ``serve.child-failed``
        """
        for child in self._children:
            if child.role not in roles:
                continue
            before = told_in(self._store_address)
            child.start()
            self._wait_ready(child, before)
        self._write_pids()

    def _wait_ready(self, child: Child, before: str) -> None:
        checks: dict[str, Callable[[], bool]] = {
            "store": lambda: has_told(self._store_address, child.pid, before),
            "web": self._is_web_ready,
        }
        is_ready = checks.get(child.role, lambda: True)
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not is_ready():
            if child.has_died() or time.monotonic() > deadline_s:
                raise child.why_it_ended()
            time.sleep(0.05)

    def _is_web_ready(self) -> bool:
        address = f"{self.url.partition(':')[0]}://{own_address(self._host)}:{self._port}/healthz"
        trusted = None
        if self._tls is not None:
            trusted = ssl.create_default_context(cafile=self._tls.certificate)
            trusted.check_hostname = False  # our own child, at its own address
        try:
            with urlopen(address, timeout=2, context=trusted) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _write_pids(self) -> None:
        pids = {child.role: child.pid for child in self._children}
        with suppress(OSError):  # a full disk: for people to read, nothing rests on it
            (self._folder / "run" / "pids.json").write_text(json.dumps(pids))

    def watch(self) -> None:
        """Look after the children once; call it again and again."""
        before = [child.pid for child in self._children]
        for child in self._children:
            child.watch()
        if before != [child.pid for child in self._children]:
            self._write_pids()

    def stop(self) -> None:
        """Stop every child, last started first, and release the folder."""
        for child in reversed(self._children):
            child.stop()
        if self._lock is not None:
            self._lock.close()


def _roles() -> list[str]:
    """Return the children of this installation: a writer where head-ends hand over through a carrier."""
    return [role for role in ORDER if role != "writer" or os.environ.get("WATTKEEPER_CARRIER")]


def _to_hosts(names: list[str]) -> str:
    """Return names and addresses as Django compares them with what a browser asks for."""
    return ",".join(f"[{name}]" if ":" in name else name for name in names)


def end_when_told() -> None:
    """End by way of every `finally` at SIGTERM, as at SIGINT: children that are being started are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


def run_until_stopped(supervisor: Supervisor) -> None:
    """Watch the children until SIGTERM or SIGINT."""
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, _frame: stopping.append(signum))
    while not stopping:
        supervisor.watch()
        time.sleep(0.2)
    supervisor.stop()
