"""Who sleeps until when: wakes actors on the one clock and tells it when nothing due is left undone."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from wattkeeper.headend.ports import Clock

FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
_TICK_S = 0.02


class Sleeper:
    """One actor's place in the timetable. It counts as busy whenever it does not sleep here."""

    def __init__(self, changed: asyncio.Event) -> None:
        self.due_at: datetime | None = None
        self._changed = changed
        self._woken = asyncio.Event()
        self._is_poked = False

    async def sleep_until(self, instant: datetime) -> None:
        """Sleep until `instant`, or until poked."""
        if self._is_poked:
            self._is_poked = False
            return
        self._woken.clear()
        self.due_at = instant
        self._changed.set()
        try:
            await self._woken.wait()
        finally:
            self.due_at = None
            self._is_poked = False

    def poke(self) -> None:
        """Wake the actor now; if it is busy, its next sleep ends at once."""
        self._is_poked = True
        self.wake()

    def wake(self) -> None:
        """Wake the actor if it sleeps; from this moment it counts as busy."""
        if self.due_at is not None:
            self.due_at = None
            self._woken.set()


class Timetable:
    """Runs actors by the clock; reports an instant as settled once all of them sleep beyond it."""

    def __init__(self, clock: Clock, *, on_moved: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._on_moved = on_moved
        self._changed = asyncio.Event()
        self._sleepers: list[Sleeper] = []
        self._busy_count = 0

    def add(self) -> Sleeper:
        """Return a place for one more actor; it counts as busy until it sleeps."""
        sleeper = Sleeper(self._changed)
        self._sleepers.append(sleeper)
        return sleeper

    def remove(self, sleeper: Sleeper) -> None:
        """Take an actor out."""
        self._sleepers.remove(sleeper)
        self._changed.set()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Nothing is settled during the block."""
        self._busy_count += 1
        try:
            yield
        finally:
            self._busy_count -= 1
            self._changed.set()

    async def run(self) -> None:
        """Wake actors when they are due, for ever."""
        reached = None
        while True:
            now = self._clock.now()
            if now != reached:
                await self._on_moved()
                reached = now
            self._wake_due(now)
            self._changed.clear()
            if self._is_settled(now):
                self._clock.report_settled(now)
            await self._wait(now)

    def _wake_due(self, now: datetime) -> None:
        for sleeper in self._sleepers:
            if sleeper.due_at is not None and sleeper.due_at <= now:
                sleeper.wake()

    def _is_settled(self, now: datetime) -> bool:
        return self._busy_count == 0 and all(
            sleeper.due_at is not None and sleeper.due_at > now for sleeper in self._sleepers
        )

    async def _wait(self, now: datetime) -> None:
        """Wait for the clock to move or an actor to change: a clock that stands still is watched closely."""
        is_still = self._clock.now() == now
        if not is_still:
            await asyncio.sleep(_TICK_S)
        due_at = min((s.due_at for s in self._sleepers if s.due_at is not None), default=FAR_FUTURE)
        target = now + _INSTANT if is_still else min(due_at, now + _STEP)
        waits = [
            asyncio.ensure_future(self._clock.sleep_until(target)),
            asyncio.ensure_future(self._changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
