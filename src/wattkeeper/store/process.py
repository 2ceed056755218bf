"""The store process: owns the embedded engine's folder, serves it in ClickHouse's HTTP dialect.

The engine answers one query at a time on each of its connections, so there are three lanes: interactive
queries, bulk queries and inserts. Callers of one lane take turns; no lane waits for another. The address and
a secret made at each start are written to a file only the owner may read. A request without the secret is
refused before its body is read. An insert is answered after the engine has synced it to disk.

Inserts are read from a file in memory, not through the engine's streaming inserter: that one reports rows as
written when the write behind it failed (a full disk, too many partitions), and so loses what it acknowledged.
"""

import faulthandler
import fcntl
import json
import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, LifoQueue
from urllib.parse import parse_qs, urlsplit

# memory is kept for a minute instead of five seconds and for all threads together: fresh pages took up to a
# third of the time, and huge ones, which are cleared whole, take more than they save
os.environ.setdefault(  # before the engine and its allocator are loaded
    "JE_MALLOC_CONF",
    "dirty_decay_ms:60000,oversize_threshold:0,lg_extent_max_active_fit:20,percpu_arena:disabled,narenas:1",
)

from chdb import ChdbError
from chdb.state.sqlitelike import Connection, connect

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.schema import INSERT_SETTINGS, TABLES, TABLES_NOW, retunings
from wattkeeper.store.transport import FORM_HEADER

BODY_MAX_BYTES = 1 << 30
_INSERT = re.compile(r"(?s)\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)\s*$", re.IGNORECASE)
_PLAIN = re.compile(r"\s*[(A-Za-z][\t\n\r -~]*")  # the engine takes other text for nothing, and says "done"
_FREEZE = re.compile(r"ALTER TABLE \w+ FREEZE ")
_FORM = re.compile(r"\sFORMAT (\w+)\s*\Z")
_CODE = re.compile(r"Code: (\d+)")
_LANES = {"interactive": 2, "bulk": 1, "insert": 1}  # connections of each
_PIECE_BYTES = 1 << 20
_KEPT_LEAST_BYTES, _KEPT_MOST_BYTES = 8 << 20, 64 << 20  # of what is inserted


class Lane:
    """Some connections to the engine; who finds none free waits."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self._free: LifoQueue[Connection] = LifoQueue()
        for connection in connections:
            self._free.put(connection)

    def query(self, text: str) -> bytes:
        """Return the answer, tab-separated where the query names no format.

        :raises ChdbError: what the engine says
        """
        connection = self._free.get()
        try:
            answer: bytes = connection.query(text, "TabSeparated").bytes()
            return answer  # a copy: what the engine said is let go of before another thread asks here
        except (ChdbError, RuntimeError):
            connection.query("SELECT 1")  # takes with it what the failed query had begun to say
            raise
        finally:
            self._free.put(connection)

    def close(self) -> None:
        """Close the connections, each once it is free; none is free again."""
        for _ in self._connections:
            self._free.get().close()


class Engine:
    """The embedded engine with its folder locked.

    :raises WattkeeperError: ``store.folder-locked``, ``store.folder-unusable``
    """

    def __init__(self, folder: Path) -> None:
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
            self._lanes = {name: Lane(_connect(folder, count)) for name, count in _LANES.items()}
            for statement in TABLES.values():
                self._lanes["insert"].query(statement)
            for statement in retunings(self._lanes["insert"].query(TABLES_NOW).decode()):
                self._lanes["insert"].query(statement)
        except (ChdbError, RuntimeError) as error:
            raise WattkeeperError(
                "store.folder-unusable", folder=str(folder), reason=str(error)[:300]
            ) from error

    def ask(self, query: str, *, is_bulk: bool) -> bytes:
        """Return the answer to `query`; to freeze a table is no time for an insert.

        The engine commits what an insert brings month by month: in between, half of it would be frozen.

        :raises ChdbError: what the engine says
        """
        lane = "insert" if _FREEZE.match(query) else "bulk" if is_bulk else "interactive"
        return self._lanes[lane].query(query)

    def insert(self, statement: str, format_name: str, body: int) -> None:
        """Insert what the file of descriptor `body` holds, durably.

        :raises ChdbError: what the engine says
        """
        self._lanes["insert"].query(f"{statement} FROM INFILE '/proc/self/fd/{body}' FORMAT {format_name}")

    def close(self) -> None:
        """Close the engine and let go of the folder."""
        for lane in self._lanes.values():
            lane.close()
        self._lock.close()


def _connect(folder: Path, count: int) -> list[Connection]:
    connections = [connect(str(folder / "engine")) for _ in range(count)]
    for connection in connections:
        for name, value in INSERT_SETTINGS.items():
            connection.query(f"SET {name} = {value}")
    return connections


class Bodies:
    """Files in memory for what is to be inserted. One for large ones is kept: its pages are what costs."""

    def __init__(self) -> None:
        self._kept: LifoQueue[int] = LifoQueue()
        self._kept.put(_new_file())

    @contextmanager
    def lend(self, length: int) -> Iterator[int]:
        """Yield the descriptor of a file of so many bytes, to be written from its start."""
        try:
            if not _KEPT_LEAST_BYTES <= length <= _KEPT_MOST_BYTES:
                raise Empty
            body, is_kept = self._kept.get_nowait(), True
        except Empty:
            body, is_kept = _new_file(), False
        try:
            os.truncate(body, length)
            os.lseek(body, 0, os.SEEK_SET)
            yield body
        finally:
            if is_kept:
                self._kept.put(body)
            else:
                os.close(body)


def _new_file() -> int:
    return os.memfd_create("insert", os.MFD_CLOEXEC)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, engine: Engine, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.engine = engine
        self.secret = secret
        self.bodies = Bodies()

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
        told = parse_qs(urlsplit(self.path).query).get("query", [""])[0]
        if told and int(length):
            with self.server.bodies.lend(int(length)) as body:
                if self._has_read(int(length), body):
                    self._ask(told, body)
            return
        content = told.encode() or self.rfile.read(int(length))
        if told or len(content) == int(length):
            self._ask(content.decode("latin-1"))
        else:
            self.close_connection = True

    def _has_read(self, length: int, body: int) -> bool:
        """Copy the body to a file by its descriptor; whether all of it came."""
        piece = memoryview(bytearray(min(length, _PIECE_BYTES)))
        left = length
        while left:
            count = self.rfile.readinto1(piece[: min(left, len(piece))])
            if not count or os.write(body, piece[:count]) != count:
                self.close_connection = True
                return False
            left -= count
        return True

    def _ask(self, query: str, body: int | None = None) -> None:
        insert = None if body is None else _INSERT.fullmatch(query)
        if not _PLAIN.fullmatch(query) or (insert is None and body is not None):
            self._answer(400, b"Code: 62. DB::Exception: not a query of this dialect", "62")
            return
        engine = self.server.engine
        try:
            if insert is None or body is None:
                is_bulk = self.headers.get("X-Wattkeeper-Lane") == "bulk"
                answer = engine.ask(query, is_bulk=is_bulk)
            else:
                answer = b""
                engine.insert(insert[1], insert[2], body)
        except (ChdbError, RuntimeError) as error:
            text = str(error)
            code = _CODE.search(text)
            self._answer(500, text.encode(), code[1] if code else "1000")
            return
        form = _FORM.search(query)
        self._answer(200, answer, form=form[1] if form else "")

    def _answer(self, status: int, content: bytes, exception_code: str = "", form: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if exception_code:
            self.send_header("X-ClickHouse-Exception-Code", exception_code)
        if form:
            self.send_header(FORM_HEADER, form)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet: queries are nobody's log line."""


def run_store(folder: Path, address_file: Path) -> None:
    """Serve the engine in `folder` until SIGTERM; its address and secret are in `address_file` meanwhile.

    :raises WattkeeperError: ``store.folder-locked``, ``store.folder-unusable``
    """
    engine = Engine(folder)
    _die_of_crashes()
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


def _die_of_crashes() -> None:
    """End at once, with the place in the log, when the engine crashes: whoever watches starts another.

    The engine's own handlers keep a process that refuses every question and cannot be ended by SIGTERM.
    Only the thread that crashed is told: the frames of the others move, and to walk them can crash anew.
    """
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
        signal.signal(number, signal.SIG_DFL)
    faulthandler.enable(all_threads=False)


def _write_address(path: Path, url: str, secret: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "secret": secret, "pid": os.getpid()}, file)
    fresh.replace(path)
