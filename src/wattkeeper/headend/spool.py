"""The durable spool: what was collected and is not yet in the store survives kill, power cut and full disks.

A folder of segments (`segment.py`). One process holds the folder. Each start begins a new segment and so does
each failure (what failed is never written again) and each one that has grown long. Delivered oldest first, at
least once, and forgotten in that order.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import structlog

from wattkeeper.headend.dead_letters import DeadLetters
from wattkeeper.headend.errors import SpoolBusy, SpoolFailed, SpoolFull
from wattkeeper.headend.segment import Segment, StoredRow, fsync_folder

CAPACITY_BYTES = 2 * 1024**3
PEEK_MAX_BYTES = 16 * 1024**2  # about two million reads
ALARM_RATIO = 0.8
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """One batch on its way: where it lies and its bytes."""

    segment_index: int
    row: StoredRow

    @property
    def content(self) -> bytes:
        """The bytes as they were appended."""
        return self.row.content


class Spool:
    """Bounded, durable queue of byte strings. Safe to call from several threads; every call blocks."""

    def __init__(self, folder: Path, *, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """
        Take the folder.

        :raises SpoolBusy: if another process holds it
        :raises SpoolFailed: if it cannot be used
        """
        self.capacity_bytes = capacity_bytes
        self.quarantined_count = 0
        self.failures_count = 0
        self.is_refusing = False  # a batch did not fit and would not yet, or the spool is not below its alarm
        self.is_failing = False  # the newest batch could not be made durable
        self.dead_letters = DeadLetters(folder)
        self._folder = folder
        self._mutex = threading.Lock()
        self._segments: dict[int, Segment] = {}
        self._is_alarmed = False
        self._refused_bytes = 0  # the largest that did not fit since the spool is full
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(folder / "lock")
        except OSError as error:
            raise SpoolFailed("headend.spool-failed", path=str(folder), reason=str(error)) from error
        self._open_sealed()

    @property
    def content_bytes(self) -> int:
        """How many bytes wait."""
        return sum(segment.content_bytes for segment in list(self._segments.values()))

    @property
    def batches_count(self) -> int:
        """How many batches wait."""
        return sum(segment.rows_count for segment in list(self._segments.values()))

    @property
    def is_alarmed(self) -> bool:
        """Whether the spool is filled to 80 % or more."""
        return self.content_bytes >= ALARM_RATIO * self.capacity_bytes

    def append(self, contents: Sequence[bytes]) -> None:
        """
        Keep the byte strings, all or none; they are durable when this returns.

        :raises SpoolFull: if they do not fit: drain first
        :raises SpoolFailed: if they may not be on disk: do not acknowledge
        """
        with self._mutex:
            added_bytes, room_bytes = sum(map(len, contents)), self.capacity_bytes - self.content_bytes
            if added_bytes > room_bytes:
                self.is_refusing = True
                self._refused_bytes = max(self._refused_bytes, min(added_bytes, self.capacity_bytes))
                raise SpoolFull("headend.spool-full", is_permanent=False, capacity_bytes=self.capacity_bytes)
            try:
                self._writable().append(contents)
            except SpoolFailed:
                self.failures_count += 1
                self.is_failing = True
                raise
            self.is_failing = False
            self.is_refusing &= self.is_alarmed or self._refused_bytes > room_bytes
            if not self.is_refusing:
                self._refused_bytes = 0
            self._watch_level()

    def peek(self, limit_count: int, limit_bytes: int = PEEK_MAX_BYTES) -> list[SpooledBatch]:
        """
        Return the oldest whole batches; damaged ones are quarantined and counted, never returned.

        The last may reach beyond `limit_bytes`.

        :raises SpoolFailed: if they cannot be read now
        """
        with self._mutex:
            for index in sorted(self._segments):
                batches = self._peek_segment(index, limit_count, limit_bytes)
                if batches:
                    return batches
            return []

    def delete(self, batches: Sequence[SpooledBatch]) -> None:
        """Forget batches that have been delivered, as `peek` returned them."""
        with self._mutex:
            for index in sorted({batch.segment_index for batch in batches}):
                rows = [batch.row for batch in batches if batch.segment_index == index]
                self._segments[index].delete(rows)
                self._remove_if_done(index)

    def quarantine(self, batch: SpooledBatch, reason: str) -> None:
        """
        Set a batch aside that nobody can take: it becomes a dead letter and is never returned again.

        :raises SpoolFailed: if the letter may not be on disk; the batch stays
        """
        with self._mutex:
            self._set_aside(batch.segment_index, [batch.row], reason)
            self._remove_if_done(batch.segment_index)

    def close(self) -> None:
        """Let go of the folder."""
        with self._mutex:
            for segment in self._segments.values():
                segment.close()
            os.close(self._lock)

    def _open_sealed(self) -> None:
        for path in sorted(self._folder.glob("segment-*.sqlite")):
            index = int(path.stem.removeprefix("segment-"))
            try:
                self._segments[index] = Segment(path, is_sealed=True)
            except SpoolFailed as error:
                if not error.is_permanent:
                    raise
                self._quarantine_file(path)
                continue
            self._remove_if_done(index)

    def _writable(self) -> Segment:
        newest = max(self._segments, default=0)
        segment = self._segments.get(newest)
        if segment is not None and not segment.is_sealed:
            return segment
        path = self._folder / f"segment-{newest + 1:010d}.sqlite"
        self._segments[newest + 1] = Segment(path, is_sealed=False)
        return self._segments[newest + 1]

    def _peek_segment(self, index: int, limit_count: int, limit_bytes: int) -> list[SpooledBatch]:
        segment = self._segments[index]
        while True:
            try:
                rows = segment.peek(limit_count, limit_bytes)
            except SpoolFailed as error:
                if not error.is_permanent:
                    raise
                segment.set_aside()
                del self._segments[index]
                self._count_quarantined(1, segment.path)
                return []
            whole = list(takewhile(lambda row: row.is_whole, rows))
            if whole or not rows:
                self._remove_if_done(index)
                return [SpooledBatch(index, row) for row in whole]
            damaged = list(takewhile(lambda row: not row.is_whole, rows))
            self._set_aside(index, damaged, "headend.spool-row-damaged")

    def _set_aside(self, index: int, rows: Sequence[StoredRow], reason: str) -> None:
        for row in rows:
            name = f"dead-{index:010d}-{row.row_id}-{secrets.token_hex(4)}"
            self.dead_letters.put(name, row.content, reason)
            self._count_quarantined(1, self._folder / name)
        self._segments[index].delete(rows)

    def _quarantine_file(self, path: Path) -> None:
        for each in (path, path.with_name(path.name + "-wal")):
            with suppress(OSError):
                each.rename(each.with_name(f"damaged-{each.name}"))
        self._count_quarantined(1, path)

    def _count_quarantined(self, count: int, path: Path) -> None:
        self.quarantined_count += count
        _log.error("headend.spool-quarantined", path=str(path))

    def _remove_if_done(self, index: int) -> None:
        segment = self._segments[index]
        if segment.is_sealed and segment.rows_count <= 0:
            segment.remove()
            del self._segments[index]
            with suppress(SpoolFailed):
                fsync_folder(self._folder)

    def _watch_level(self) -> None:
        if self.is_alarmed != self._is_alarmed:
            self._is_alarmed = self.is_alarmed
            if self._is_alarmed:
                _log.warning("headend.spool-alarm", spool_bytes=self.content_bytes, of=self.capacity_bytes)


def _lock(path: Path) -> int:
    """Lock the file for this process; the lock goes with the process, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolBusy("headend.spool-busy", path=str(path.parent)) from error
    return descriptor
