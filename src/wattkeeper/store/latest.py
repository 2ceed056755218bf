"""The latest read of each channel in a file that is mapped into memory: one probe, no query, no scan.

The file is a header of 4096 bytes and a hash table of records of 64, open addressing, at most half full. All
are int64 words, those of a record:

    sequence | tenant_id | channel_id | measured_at_s | value | flags | source | check

The sequence is odd while a record is written and rises by two each time; `check` is a mix of the six words
before it. A reader that meets a record half written tries again, then calls it unsure: the store knows. The
header:

    mark | slots | records | boot | is_whole | is_replaced | doubts | intents (a process each: pid and start)

Writers take turns (a lock on a file beside). Who stores reads leaves an intent first and takes it back after
the records are written; an intent whose process is gone, another boot (memory that never reached the disk)
and a missing file all mean: not whole, ask the store and rebuild. Taking a read is idempotent and does not
depend on order: the newest stays.
"""

import errno
import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wattkeeper.store.api import LatestRead
from wattkeeper.store.mixing import mix_columns, mix_row
from wattkeeper.store.newest import Newest, is_newer
from wattkeeper.store.ranges import StoreOutOfRange

_MARK = int.from_bytes(b"WKLATST1", "little")
_HEADER_BYTES = 4096
_RECORD = struct.Struct("<8q")
_WORDS_COUNT = 8
_SLOTS_MIN_COUNT = 4096
_MARK_AT, _SLOTS_AT, _RECORDS_AT, _BOOT_AT, _WHOLE_AT, _REPLACED_AT, _DOUBTS_AT, _INTENTS_AT = range(8)
_INTENTS_COUNT = 256
_TRIES_COUNT = 200


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A table as it is mapped: its header and its records, shape (slots, 8)."""

    mapped: mmap.mmap
    header: NDArray[np.int64]
    records: NDArray[np.int64]


class LatestTable:
    """The table at a path. Reading needs no lock. One that is not there is empty, and not whole.

    :raises OSError: from every call that writes, if the file cannot be made
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._boot = _boot()
        self._view = self._open()

    @property
    def is_whole(self) -> bool:
        """Whether every read in the store has been taken."""
        view = self._current()
        return view is not None and _is_whole(view)

    def find(self, tenant_id: int, channel_ids: Sequence[int]) -> tuple[dict[int, LatestRead], list[int]]:
        """Return the channels' newest reads, and the channels whose record cannot be read: ask the store.

        All are unsure while the table is not whole; a channel in neither has no read.
        """
        view = self._current()
        if view is None or not _is_whole(view):
            return {}, list(channel_ids)
        found, unsure = {}, []
        for channel_id in channel_ids:
            record = _probe(view, tenant_id, int(channel_id))
            if record is None:
                unsure.append(channel_id)
            elif record[0]:
                found[channel_id] = LatestRead(record[2], record[3], record[4], record[5], record[6])
        return found, unsure

    def everything(self) -> Newest:
        """Return all records that are whole, in no order."""
        view = self._current()
        words = np.zeros((0, _WORDS_COUNT), np.int64) if view is None else view.records
        words = words[words[:, 0] != 0]
        checks = mix_columns([words[:, word] for word in range(1, 7)]).view(np.int64)
        words = words[(words[:, 0] % 2 == 0) & (words[:, 7] == checks)]
        return Newest(*(words[:, word].copy() for word in range(1, 7)))

    def counts(self) -> tuple[int, int]:
        """Return how many records the header tells of, and how many there are; nobody writes meanwhile."""
        with self._locked() as view:
            return int(view.header[_RECORDS_AT]), int(np.count_nonzero(view.records[:, 0]))

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Leave an intent while reads are stored and taken; an error leaves a doubt: what was stored?"""
        with self._locked() as view:
            slot = _leave_intent(view)
        try:
            yield
        except BaseException as error:
            with self._locked() as view:
                view.header[slot] = 0
                if not isinstance(error, StoreOutOfRange):
                    _doubt(view)
            raise
        with self._locked() as view:
            view.header[slot] = 0

    def take(self, newest: Newest) -> None:
        """Keep what is newer than what is known; each channel at most once."""
        with self._locked() as view:
            view = self._with_room(view, len(newest.channel_id))
            slots, is_known = _slots_of(view, newest)
            _update(view, slots[is_known], newest.rows(is_known))
            _add(view, newest.rows(~is_known))

    def start_anew(self) -> int:
        """Begin an empty table that is not whole; return how often this was doubted so far."""
        with self._locked() as view:
            _forget_the_dead(_intents_of(view))
            self._replace(view, _SLOTS_MIN_COUNT)
            return int(view.header[_DOUBTS_AT])

    def declare_whole(self, doubts_count: int) -> None:
        """Say that every read stored so far has been taken, unless there was another doubt meanwhile."""
        with self._locked() as view:
            view.header[_WHOLE_AT] = int(view.header[_DOUBTS_AT] == doubts_count)

    @contextmanager
    def _locked(self) -> Iterator[_View]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self._current() or self._replace(None, _SLOTS_MIN_COUNT)
        finally:
            os.close(descriptor)

    def _current(self) -> _View | None:
        view = self._view
        if view is None or view.header[_REPLACED_AT]:
            view = self._view = self._open()
        return view

    def _open(self) -> _View | None:
        """Map the file; None where it is missing, no table, or of another boot."""
        try:
            with self._path.open("r+b") as file:
                mapped = mmap.mmap(file.fileno(), 0)
        except (OSError, ValueError):
            return None
        words = np.frombuffer(mapped, np.int64) if len(mapped) % _RECORD.size == 0 else np.empty(0, np.int64)
        header, records = words[: _HEADER_BYTES // 8], words[_HEADER_BYTES // 8 :].reshape(-1, _WORDS_COUNT)
        if not len(records) or header[[_MARK_AT, _SLOTS_AT, _BOOT_AT]].tolist() != [
            _MARK,
            len(records),
            self._boot,
        ]:
            return None
        return _View(mapped, header, records)

    def _replace(self, old: _View | None, slots_count: int) -> _View:
        """Put an empty table in the place of this one; who has the old one mapped is told."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            fresh.chmod(0o600)
            os.posix_fallocate(file.fileno(), 0, _HEADER_BYTES + slots_count * _RECORD.size)
            header = np.zeros(_HEADER_BYTES // 8, np.int64)
            if old is not None:
                header[_DOUBTS_AT:] = old.header[_DOUBTS_AT:]
            header[[_MARK_AT, _SLOTS_AT, _BOOT_AT]] = _MARK, slots_count, self._boot
            file.write(header.tobytes())
        fresh.replace(self._path)
        if old is not None:
            old.header[_REPLACED_AT] = 1
        view = self._view = self._open()
        if view is None:
            raise OSError(errno.EIO, "the table cannot be mapped", str(self._path))
        return view

    def _with_room(self, view: _View, more_count: int) -> _View:
        """Return the table, or a larger one of the same records in its place, with room for more."""
        slots_count, needed_count = len(view.records), 2 * (int(view.header[_RECORDS_AT]) + more_count)
        if needed_count <= slots_count:
            return view
        kept, is_whole = self.everything(), view.header[_WHOLE_AT]
        larger = self._replace(view, 1 << (needed_count - 1).bit_length())
        _add(larger, kept)
        larger.header[_WHOLE_AT] = is_whole
        return larger


def _is_whole(view: _View) -> bool:
    return bool(view.header[_WHOLE_AT]) and not _dead_among(_intents_of(view))


def _doubt(view: _View) -> None:
    view.header[_WHOLE_AT] = 0
    view.header[_DOUBTS_AT] += 1


def _leave_intent(view: _View) -> int:
    """Return the header's word that says this process is storing; who died while storing leaves a doubt."""
    intents = _intents_of(view)
    if _forget_the_dead(intents):
        _doubt(view)
    free = np.flatnonzero(intents == 0)
    if not len(free):
        raise OSError(errno.EAGAIN, "too many store at the same time")
    intents[free[0]] = _process(os.getpid())
    return _INTENTS_AT + int(free[0])


def _intents_of(view: _View) -> NDArray[np.int64]:
    return view.header[_INTENTS_AT : _INTENTS_AT + _INTENTS_COUNT]


def _dead_among(intents: NDArray[np.int64]) -> list[int]:
    """Return the slots whose process is gone; one that is taken back meanwhile is not."""
    is_taken = intents != 0  # a copy: to search what others write meanwhile fails where their number changes
    left = {slot: int(intents[slot]) for slot in np.flatnonzero(is_taken).tolist()}
    return [slot for slot, process in left.items() if process and not _is_alive(process)]


def _forget_the_dead(intents: NDArray[np.int64]) -> int:
    dead = _dead_among(intents)
    intents[dead] = 0
    return len(dead)


def _slots_of(view: _View, newest: Newest) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return where each channel's record is, and whether it is there; else the first free place."""
    slots_count = len(view.records)
    home = mix_columns((newest.tenant_id, newest.channel_id)) % np.uint64(slots_count)
    slots = home.astype(np.int64)
    is_known = np.zeros(len(slots), np.bool_)
    left = np.arange(len(slots))
    while len(left):
        words = view.records[slots[left]]
        is_free = words[:, 0] == 0
        is_own = (words[:, 1] == newest.tenant_id[left]) & (words[:, 2] == newest.channel_id[left]) & ~is_free
        is_known[left[is_own]] = True
        left = left[~is_own & ~is_free]
        slots[left] = (slots[left] + 1) % slots_count
    return slots, is_known


def _update(view: _View, slots: NDArray[np.int64], newest: Newest) -> None:
    words = view.records[slots]
    is_kept = is_newer(newest, Newest(*(words[:, word] for word in range(1, 7))))
    _write(view, slots[is_kept], newest.rows(is_kept))


def _add(view: _View, newest: Newest) -> None:
    """Write records of channels that have none; of those that want one place, one gets it at a time."""
    while len(newest.channel_id):
        chosen, first = np.unique(_slots_of(view, newest)[0], return_index=True)
        _write(view, chosen, newest.rows(first))
        view.header[_RECORDS_AT] += len(first)
        newest = newest.rows(np.delete(np.arange(len(newest.channel_id)), first))


def _write(view: _View, slots: NDArray[np.int64], newest: Newest) -> None:
    columns = [getattr(newest, name) for name in Newest.__slots__]
    odd = view.records[slots, 0] | 1
    view.records[slots, 0] = odd
    for word, column in enumerate(columns, 1):
        view.records[slots, word] = column
    view.records[slots, 7] = mix_columns(columns).view(np.int64)
    view.records[slots, 0] = odd + 1


def _probe(view: _View, tenant_id: int, channel_id: int) -> tuple[int, ...] | None:
    """Return the channel's record; one of sequence 0 where there is none; None where that is unsure."""
    slots_count = len(view.records)
    slot = mix_row((tenant_id, channel_id)) % slots_count
    for _ in range(slots_count):
        record = _read(view.mapped, _HEADER_BYTES + slot * _RECORD.size)
        if record is None or not record[0] or record[1:3] == (tenant_id, channel_id):
            return record
        slot = (slot + 1) % slots_count
    return None


def _read(mapped: mmap.mmap, at: int) -> tuple[int, ...] | None:
    for attempt in range(_TRIES_COUNT):
        record = _RECORD.unpack_from(mapped, at)
        if not record[0] or (record[0] % 2 == 0 and mix_row(record[1:7]) == record[7] % 2**64):
            return record
        if attempt > _TRIES_COUNT // 2:
            time.sleep(0.0001)
    return None


def _boot() -> int:
    text = Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")
    return int(text[:15], 16)


def _process(pid: int) -> int:
    """Return a number for a process that no other of this boot has; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else pid << 32 | int(fields[19]) & 0xFFFFFFFF


def _is_alive(process: int) -> bool:
    return process == _process(process >> 32)
