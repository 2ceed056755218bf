"""The store process: owns the embedded engine's folder, serves it in ClickHouse's HTTP dialect.

The engine answers one query at a time, so callers take turns, the interactive lane before the bulk one. The
address and a secret made at each start are written to a file only the owner may read. A request without the
secret is refused before its body is read. An insert is answered after the engine has synced it to disk.

Inserts are read from a file in memory, not through the engine's streaming inserter: that one reports rows as
written when the write behind it failed (a full disk, too many partitions), and so loses what it acknowledged.
"""

import fcntl
import json
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chdb import ChdbError
from chdb.session import Session

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.schema import TABLES

BODY_MAX_BYTES = 1 << 30
_INSERT = re.compile(r"(?s)\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE)
_PLAIN = re.compile(r"\s*[(A-Za-z][\t\n\r -~]*")  # the engine takes other text for nothing, and says "done"
_CODE = re.compile(r"Code: (\d+)")
_SETTINGS = ("SET max_partitions_per_insert_block = 0",)  # a file may hold many years


class Turns:
    """Lets one caller in at a time; who waits in the bulk lane lets the interactive one pass."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_taken = False
        self._waiting_counts = {False: 0, True: 0}  # by lane: is_bulk

    @property
    def waiting_count(self) -> int:
        """How many wait for their turn."""
        return sum(self._waiting_counts.values())

    @contextmanager
    def turn(self, *, is_bulk: bool) -> Iterator[None]:
        """Hold the engine for the block."""
        self.take(is_bulk=is_bulk)
        try:
            yield
        finally:
            self.give_back()

    def take(self, *, is_bulk: bool) -> None:
        """Wait for the engine and keep it."""
        with self._changed:
            self._waiting_counts[is_bulk] += 1
            while self._is_taken or (is_bulk and self._waiting_counts[False]):
                self._changed.wait()
            self._waiting_counts[is_bulk] -= 1
            self._is_taken = True

    def give_back(self) -> None:
        """Let the next one in."""
        with self._changed:
            self._is_taken = False
            self._changed.notify_all()


class Engine:
    """The embedded engine with its folder locked.

    :raises WattkeeperError: ``store.folder-locked``, ``store.folder-unusable``
    """

    def __init__(self, folder: Path) -> None:
        self._turns = Turns()
        if "?" in str(folder):  # the engine takes what follows for options and opens another folder
            raise WattkeeperError("store.folder-unusable", folder=str(folder), reason="?")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (folder / "owner.lock").open("w")
        except OSError as error:
            raise WattkeeperError(
                "store.folder-unusable", folder=str(folder), reason=str(error.strerror)
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WattkeeperError("store.folder-locked", folder=str(folder)) from error
        try:
            self._session = Session(str(folder / "engine"))
            for statement in (*_SETTINGS, *TABLES.values()):
                self._session.query(statement)
        except (ChdbError, RuntimeError) as error:
            raise WattkeeperError(
                "store.folder-unusable", folder=str(folder), reason=str(error)[:300]
            ) from error

    def ask(self, query: str, body: bytes, *, is_bulk: bool) -> bytes:
        """Return the answer to `query`, or insert `body` where it is an insert.

        :raises ChdbError: what the engine says
        """
        insert = _INSERT.fullmatch(query) if body else None
        with self._turns.turn(is_bulk=is_bulk):
            if insert is None:
                answer: bytes = self._session.query(query, "TabSeparated").bytes()
                return answer
            with _file_in_memory(body) as path:
                self._session.query(f"{insert[1]} FROM INFILE '{path}' FORMAT {insert[2]}")
            return b""

    def close(self) -> None:
        """Close the engine and let go of the folder; the last turn is never given back."""
        self._turns.take(is_bulk=False)
        self._session.close()
        self._lock.close()


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[str]:
    descriptor = os.memfd_create("insert", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{descriptor}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, engine: Engine, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        self.secret = secret

    def handle_error(self, request: object, client_address: object) -> None:
        """Let go of a caller that went away; report anything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 300
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer the liveness question."""
        self._answer(200 if self.path == "/ping" else 404, b"Ok.\n" if self.path == "/ping" else b"")

    def do_POST(self) -> None:
        """Answer a query or an insert."""
        key = self.headers.get("X-ClickHouse-Key", "").encode("utf-8", "replace")
        if not compare_digest(key, self.server.secret.encode()):
            self.close_connection = True
            self._answer(403, b"Code: 516. DB::Exception: default: Authentication failed")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_MAX_BYTES:
            self.close_connection = True
            self._answer(413, b"Code: 307. DB::Exception: the body has no length or is too long")
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            return
        told = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        query, data = (told, body) if told else (body.decode("latin-1"), b"")
        if not _PLAIN.fullmatch(query) or (data and not _INSERT.fullmatch(query)):
            self._answer(400, b"Code: 62. DB::Exception: not a query of this dialect", "62")
            return
        try:
            is_bulk = self.headers.get("X-Wattkeeper-Lane") == "bulk"
            self._answer(200, self.server.engine.ask(query, data, is_bulk=is_bulk))
        except (ChdbError, RuntimeError) as error:
            text = str(error)
            code = _CODE.search(text)
            self._answer(500, text.encode(), code[1] if code else "1000")

    def _answer(self, status: int, content: bytes, exception_code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if exception_code:
            self.send_header("X-ClickHouse-Exception-Code", exception_code)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: queries are nobody's log line."""


def run_store(folder: Path, address_file: Path) -> None:
    """Serve the engine in `folder` until SIGTERM; its address and secret are in `address_file` meanwhile.

    :raises WattkeeperError: ``store.folder-locked``, ``store.folder-unusable``
    """
    engine = Engine(folder)
    server = _Server(engine, secrets.token_urlsafe(32))
    signal.signal(
        signal.SIGTERM, lambda _number, _frame: threading.Thread(target=server.shutdown, daemon=True).start()
    )
    _write_address(address_file, f"http://127.0.0.1:{server.server_address[1]}", server.secret)
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        address_file.unlink(missing_ok=True)
        server.server_close()
        engine.close()


def _write_address(path: Path, url: str, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "secret": secret, "pid": os.getpid()}, file)
    fresh.replace(path)
