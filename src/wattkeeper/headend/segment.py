"""One file of the spool: an SQLite database with one row a batch, its CRC32C beside it.

Write-ahead log, `synchronous=FULL`: a commit returns after its fsync. A segment whose log has grown long
and one that failed are *sealed*: read to their end, never written again, removed whole. So what comes in
large batches is written once, to the log, and never folded into the file. A log that is mostly the rest of
pages, as a commit of one small batch leaves it, is folded: else contents took a hundred times their size. A
failed fsync is not repeated: the kernel may have forgotten what it did not write, so a second one proves
nothing; what a fold that failed should have put into the file is still in the log, which is read first.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastcrc import crc32

from wattkeeper.headend.errors import SpoolBusy, SpoolFailed

_LOG_MAX_BYTES = 8 * 1024 * 1024
_FOLD_RATIO = 2  # a log so many times as long as what was appended to it is mostly the rest of pages
_PAGE_BYTES = 16_384  # a blob of many small pages costs twice as much
_SCHEMA = """CREATE TABLE IF NOT EXISTS batch (
    row_id INTEGER PRIMARY KEY AUTOINCREMENT, crc32c INTEGER NOT NULL, content BLOB NOT NULL)"""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it lies on disk; `is_whole` tells whether its checksum holds."""

    row_id: int
    content: bytes
    is_whole: bool


class Segment:
    """One spool file. Not thread-safe: its owner serialises."""

    def __init__(self, path: Path, *, is_sealed: bool) -> None:
        """
        Open or create the file.

        :raises SpoolBusy: if another process holds it
        :raises SpoolFailed: if it cannot be opened; permanent if it is damaged
        """
        self.path = path
        self.is_sealed = is_sealed
        self.rows_count = 0
        self.content_bytes = 0
        self._delivered_row_id = 0
        self._logged_bytes = 0  # contents in the log
        try:
            self._connection = self._connect()
            self._count()
        except (sqlite3.Error, OSError) as error:
            raise _explain(error, path) from error

    def append(self, contents: Sequence[bytes]) -> None:
        """
        Add rows in one transaction; they are durable when this returns.

        :raises SpoolFailed: if they may not be; the segment is sealed then
        """
        try:
            with self._transaction():
                self._connection.executemany(
                    "INSERT INTO batch (crc32c, content) VALUES (?, ?)",
                    [(crc32.iscsi(content), content) for content in contents],
                )
        except sqlite3.Error as error:
            self.seal()
            raise _explain(error, self.path) from error
        size_bytes = sum(map(len, contents))
        self.rows_count += len(contents)
        self.content_bytes += size_bytes
        self._logged_bytes += size_bytes
        self._end_log_if_long()

    def peek(self, limit_count: int, limit_bytes: int) -> list[StoredRow]:
        """
        Return the oldest rows that were not delivered yet; the last may reach beyond `limit_bytes`.

        :raises SpoolFailed: if the file cannot be read; permanent if it is damaged
        """
        rows: list[StoredRow] = []
        left_bytes = limit_bytes
        try:
            for row_id, crc, content in self._connection.execute(
                "SELECT row_id, crc32c, content FROM batch WHERE row_id > ? ORDER BY row_id LIMIT ?",
                (self._delivered_row_id, limit_count),
            ):
                rows.append(StoredRow(row_id, content, crc32.iscsi(content) == crc))
                left_bytes -= len(content)
                if left_bytes <= 0:
                    break
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error
        return rows

    def delete(self, rows: Sequence[StoredRow]) -> None:
        """Forget delivered rows: the oldest there are, without a gap. A sealed segment only remembers."""
        first, self._delivered_row_id = rows[0].row_id, rows[-1].row_id
        self.rows_count -= len(rows)
        self.content_bytes -= sum(len(row.content) for row in rows)
        if self.is_sealed:
            return
        try:
            with self._transaction():
                self._connection.execute(
                    "DELETE FROM batch WHERE row_id BETWEEN ? AND ?", (first, self._delivered_row_id)
                )
        except sqlite3.Error:
            self.seal()
        self._end_log_if_long()

    def seal(self) -> None:
        """Write no more: open the file anew, for reading only, and only then let go of it for writing."""
        self.is_sealed = True
        with contextlib.suppress(sqlite3.Error):
            writable, self._connection = self._connection, self._connect()
            self._count()  # from its first look on it holds the file: the last to leave would fold the log in
            writable.close()

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def remove(self) -> None:
        """Delete the file and its companions."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Rename the file and its companions, for somebody to look at."""
        self.close()
        for suffix in ("", "-wal"):
            path = self.path.with_name(self.path.name + suffix)
            if path.exists():
                path.rename(path.with_name(f"damaged-{path.name}"))

    def _count(self) -> None:
        if not self._has_begun():
            return
        self.rows_count, self.content_bytes = self._connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(content)), 0) FROM batch WHERE row_id > ?",
            (self._delivered_row_id,),
        ).fetchone()

    def _has_begun(self) -> bool:
        """Whether the table is there: a process of an older release may have ended before its first commit.

        A log beside a file without it may hold more than that.

        :raises SpoolFailed: permanent, if there is one
        """
        if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'batch'").fetchone():
            return True
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise SpoolFailed("headend.spool-failed", path=str(self.path), reason="no table")
        return False

    def _connect(self) -> sqlite3.Connection:
        if not self.is_sealed and not self.path.exists():
            self._begin()
        mode = "ro" if self.is_sealed else "rw"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
        )
        if not self.is_sealed:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
        return connection

    def _begin(self) -> None:
        """Make the file, durably, and only then name it: whoever is killed before leaves no segment."""
        begun = self.path.with_name("begun.sqlite")
        for suffix in ("", "-wal", "-shm", "-journal"):
            begun.with_name(begun.name + suffix).unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(begun, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
                raise sqlite3.OperationalError("this file system takes no write-ahead log")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(_SCHEMA)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        begun.rename(self.path)
        fsync_folder(self.path.parent)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        yield
        self._connection.execute("COMMIT")

    def _end_log_if_long(self) -> None:
        log = self.path.with_name(self.path.name + "-wal")
        if self.is_sealed or not log.exists() or log.stat().st_size < _LOG_MAX_BYTES:
            return
        is_folded = self._logged_bytes * _FOLD_RATIO < _LOG_MAX_BYTES and self._fold()
        self._logged_bytes = 0
        if not is_folded or self.content_bytes >= _LOG_MAX_BYTES:
            self.seal()

    def _fold(self) -> bool:
        """Put the log into the file, durably, and begin another; whether that was done."""
        try:
            (is_busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        return not is_busy


def fsync_folder(folder: Path) -> None:
    """
    Make the names in a folder durable.

    :raises SpoolFailed: if that fails
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SpoolFailed("headend.spool-failed", is_permanent=False, path=str(folder)) from error


def _explain(error: sqlite3.Error | OSError, path: Path) -> SpoolFailed | SpoolBusy:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return SpoolBusy("headend.spool-busy", path=str(path))
    is_damaged = code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return SpoolFailed("headend.spool-failed", is_permanent=is_damaged, path=str(path), reason=str(error))
