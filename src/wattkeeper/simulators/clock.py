"""One clock for several processes: eight-byte slots in a small mapped file, moved by hand.

Slot 0 is now (microseconds since the epoch); each further slot belongs to a follower that writes there the
instant up to which it has finished everything due. The one who moves time waits for the followers, so that
days can be lived in minutes and nothing depends on how fast the machine is.
"""

import asyncio
import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

FOLLOWERS = ("headend", "simulators", "worker")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POLL_S = 0.002


class SharedClock:
    """A clock that stands still until `advance_to` moves it; opened by path in each process."""

    def __init__(self, path: Path, *, follower: str | None = None) -> None:
        self._file = path.open("r+b")
        self._map = mmap.mmap(self._file.fileno(), 8 * (1 + len(FOLLOWERS)))
        self._follower = follower

    @classmethod
    def create(cls, path: Path, *, starts_at: datetime) -> "SharedClock":
        """Make the file with time standing at `starts_at`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(8 * (1 + len(FOLLOWERS))))
        clock = cls(path)
        clock.advance_to(starts_at)
        return clock

    def now(self) -> datetime:
        """Return the instant at which time stands."""
        return _EPOCH + timedelta(microseconds=self._read(0))

    async def sleep_until(self, instant: datetime) -> None:
        """Return once time has reached `instant`."""
        while self.now() < instant:  # noqa: ASYNC110 - the clock is moved by another process
            await asyncio.sleep(_POLL_S)

    def report_settled(self, instant: datetime) -> None:
        """Say that everything due up to `instant` is finished."""
        if self._follower is not None:
            self._write(1 + FOLLOWERS.index(self._follower), _microseconds(instant))

    def advance_to(self, instant: datetime) -> None:
        """Move time forward."""
        self._write(0, _microseconds(instant))

    def wait_settled(self, followers: tuple[str, ...], *, timeout_s: float) -> bool:
        """Wait, in real time, until the followers have finished what is due now; False when they did not."""
        deadline_s = time.monotonic() + timeout_s
        now_us = self._read(0)
        while any(self._read(1 + FOLLOWERS.index(name)) < now_us for name in followers):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(_POLL_S)
        return True

    def _read(self, slot_index: int) -> int:
        return int(struct.unpack_from("<q", self._map, 8 * slot_index)[0])

    def _write(self, slot_index: int, value: int) -> None:
        struct.pack_into("<q", self._map, 8 * slot_index, value)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
