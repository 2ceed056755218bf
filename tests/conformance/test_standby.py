"""The primary is killed and its disk gone: a standby is promoted, no confirmed audit record is missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from conformance.postgres import postgres_binaries
from conformance.servers import folder_of, ordinary_user
from ports import free_port

RIG = Path(__file__).with_name("audit_rig.py")
ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_S = 60.0
STALL_S = 1.5
WAITING_COUNT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
NEWEST = "SELECT max(sequence) FROM audit_auditrecord"
SETTINGS = ("fsync=off", "wal_level=replica", "max_wal_senders=4", "hot_standby=on")
SETTINGS += ("dynamic_shared_memory_type=mmap",)  # in the folder: a killed server leaves nothing elsewhere

pytestmark = pytest.mark.slow


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


@dataclass
class Server:
    """One PostgreSQL server of its own."""

    binaries: Path
    user: str | None
    folder: Path
    name: str
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data(self) -> Path:
        return self.folder / self.name

    @property
    def url(self) -> str:
        return f"postgresql://wattkeeper@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.binaries / program, *arguments],
            user=self.user,
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=120,
        )

    def start(self) -> None:
        options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", *SETTINGS]
        flags = [part for option in options for part in ("-c", option)]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.data, "-p", str(self.port), *flags],
                user=self.user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.ask("SELECT 1") == 1, f"{self.name} does not start")

    def ask(self, sql: str) -> Any:
        """Return the first value, or None while the server does not answer."""
        try:
            with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
                row = connection.execute(sql).fetchone()  # type: ignore[arg-type]
        except psycopg.OperationalError:
            return None
        return row[0] if row else None

    def kill(self) -> None:
        """Kill the server, its children too, as a machine that loses its power."""
        if self.process is not None and self.process.poll() is None:
            for child in self.children():
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self.process.kill()
            self.process.wait()

    def children(self) -> list[int]:
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


@contextmanager
def pair(*, is_synchronous: bool) -> Iterator[tuple[Server, Server]]:
    """Start a primary and a standby that streams from it."""
    binaries, user = postgres_binaries(), ordinary_user()
    with folder_of(user) as folder:
        primary, standby = (Server(binaries, user, folder, name) for name in ("primary", "standby"))
        try:
            primary.run("initdb", "-D", str(primary.data), "-U", "wattkeeper", "-A", "trust", "--no-sync")
            primary.start()
            rig(primary.url, "prepare", folder)
            source = f"host=127.0.0.1 port={primary.port} user=wattkeeper application_name=standby"
            standby.run("pg_basebackup", "-D", str(standby.data), "-R", "-c", "fast", "-d", source)
            standby.start()
            with psycopg.connect(primary.url, autocommit=True) as connection:
                names = "standby" if is_synchronous else ""
                connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")  # type: ignore[arg-type]
                connection.execute("SELECT pg_reload_conf()")
            state = "sync" if is_synchronous else "async"
            asked = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
            until(lambda: primary.ask(asked) == state, "the standby does not stream")
            yield primary, standby
        finally:
            primary.kill()
            standby.kill()


def environment(url: str, folder: Path) -> dict[str, str]:
    data = folder / "wattkeeper"
    data.mkdir(exist_ok=True)
    paths = f"{ROOT / 'src'}:{ROOT / 'tests'}"
    return {**os.environ, "PYTHONPATH": paths, "WATTKEEPER_DATABASE": url, "WATTKEEPER_DATA": str(data)}


def rig(url: str, verb: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(RIG), verb],
        env=environment(url, folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


class Writer:
    """Appends audit records in a process of its own and notes which were confirmed."""

    def __init__(self, url: str, folder: Path) -> None:
        self.newest = 0
        self._process = subprocess.Popen(
            [sys.executable, str(RIG), "write"],
            env=environment(url, folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.newest = int(line)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()


@dataclass(frozen=True)
class Failover:
    """What was confirmed, of that while the standby heard nothing, and what the promoted standby has."""

    confirmed: int
    confirmed_in_stall: int
    kept: int
    breaks_at: int | None
    promoted_s: float

    @property
    def lost(self) -> int:
        return max(0, self.confirmed - self.kept)


def fail_over(*, is_synchronous: bool) -> Failover:
    """Write, let the standby hear nothing for a while, kill the primary, take its disk away, promote."""
    with pair(is_synchronous=is_synchronous) as (primary, standby):
        writer = Writer(primary.url, primary.folder)
        try:
            until(lambda: writer.newest > 200, "nothing is confirmed")
            receiver = standby.ask("SELECT pid FROM pg_stat_wal_receiver")
            os.kill(receiver, signal.SIGSTOP)
            if is_synchronous:
                until(lambda: primary.ask(WAITING_COUNT) == 1, "nobody waits for the standby")
                until(lambda: writer.newest == primary.ask(NEWEST), "what was confirmed is not told")
            before = writer.newest
            time.sleep(STALL_S)
            primary.kill()
        finally:
            writer.stop()
        confirmed = writer.newest
        shutil.rmtree(primary.data)
        began_s = time.monotonic()
        os.kill(receiver, signal.SIGKILL)  # with all that it had received and not written
        until(lambda: standby.ask("SELECT pg_is_in_recovery()") is True, "the standby is not back")
        until(lambda: standby.ask("SELECT pg_promote()") is True, "the standby is not promoted")
        until(lambda: standby.ask("SELECT pg_is_in_recovery()") is False, "the standby is not writable")
        promoted_s = round(time.monotonic() - began_s, 2)
        # the standby waits for nobody now, and takes records on
        found = json.loads(rig(standby.url, "check", standby.folder))
        writer = Writer(standby.url, standby.folder)
        try:
            until(lambda: writer.newest > found["newest"], "the promoted standby takes nothing")
        finally:
            writer.stop()
    return Failover(confirmed, confirmed - before, found["newest"], found["break"], promoted_s)


def test_a_synchronous_standby_has_every_confirmed_record() -> None:
    found = fail_over(is_synchronous=True)
    print(found)
    assert found.confirmed > 200
    assert found.confirmed_in_stall == 0
    assert (found.lost, found.breaks_at) == (0, None)


def test_a_standby_nobody_waits_for_is_caught() -> None:
    """The planted fault: the primary confirms what only its own disk holds."""
    found = fail_over(is_synchronous=False)
    print(found)
    assert found.confirmed_in_stall > 0
    assert found.lost > 0
    assert found.breaks_at is None
