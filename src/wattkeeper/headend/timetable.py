"""Who sleeps until when: wakes actors on the one clock and tells it when nothing due is left undone."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from wattkeeper.headend.ports import Clock

FAR_FUTURE = datetime(9999, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
_TICK_S = 0.02
_LOOK_REAL_S = 1.0  # a clock that was set back does not reach what is waited for
_LEFT_MAX_COUNT = 64  # entries of those who were woken early, before the heap is made anew


class Dues:
    """When those who sleep are due, the soonest first, and how many do not sleep."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.awake_count = 0
        self._heap: list[tuple[datetime, int, Sleeper]] = []
        self._order = count()
        self._asleep_count = 0

    def enter(self, sleeper: "Sleeper", due_at: datetime) -> None:
        """Note that somebody sleeps from now on."""
        sleeper.due_at, sleeper.entry = due_at, next(self._order)
        self.awake_count -= 1
        self._asleep_count += 1
        heapq.heappush(self._heap, (due_at, sleeper.entry, sleeper))
        if len(self._heap) > 2 * self._asleep_count + _LEFT_MAX_COUNT:
            self._heap = [each for each in self._heap if _stands(each)]
            heapq.heapify(self._heap)
        self.changed.set()

    def leave(self, sleeper: "Sleeper") -> None:
        """Note that somebody is awake; what is left in the heap no longer stands."""
        sleeper.due_at = None
        self.awake_count += 1
        self._asleep_count -= 1

    def first(self) -> "Sleeper | None":
        """Return who is due first."""
        while self._heap and not _stands(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None


class Sleeper:
    """One actor's place in the timetable. It counts as busy whenever it does not sleep here."""

    def __init__(self, dues: Dues) -> None:
        self.due_at: datetime | None = None
        self.entry = -1
        self._dues = dues
        self._woken = asyncio.Event()
        self._is_poked = False

    async def sleep_until(self, instant: datetime) -> None:
        """Sleep until `instant`, or until poked."""
        if self._is_poked:
            self._is_poked = False
            return
        self._woken.clear()
        self._dues.enter(self, instant)
        try:
            await self._woken.wait()
        finally:
            self.wake()
            self._is_poked = False

    def poke(self) -> None:
        """Wake the actor now; if it is busy, its next sleep ends at once."""
        self._is_poked = True
        self.wake()

    def wake(self) -> None:
        """Wake the actor if it sleeps; from this moment it counts as busy."""
        if self.due_at is not None:
            self._dues.leave(self)
            self._woken.set()


class Timetable:
    """Runs actors by the clock; reports an instant as settled once all of them sleep beyond it."""

    def __init__(self, clock: Clock, *, on_moved: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._on_moved = on_moved
        self._dues = Dues()
        self._busy_count = 0

    def add(self) -> Sleeper:
        """Return a place for one more actor; it counts as busy until it sleeps."""
        self._dues.awake_count += 1
        return Sleeper(self._dues)

    def remove(self, sleeper: Sleeper) -> None:
        """Take an actor out."""
        sleeper.wake()
        self._dues.awake_count -= 1
        self._dues.changed.set()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Nothing is settled during the block."""
        self._busy_count += 1
        try:
            yield
        finally:
            self._busy_count -= 1
            self._dues.changed.set()

    async def run(self) -> None:
        """Wake actors when they are due, for ever; all of them when the clock was set back."""
        reached = None
        while True:
            now = self._clock.now()
            if now != reached:
                await self._on_moved()
                self._wake_due(now if reached is None or now > reached else FAR_FUTURE)
                reached = now
            self._wake_due(now)
            self._dues.changed.clear()
            if self._is_settled(now):
                self._clock.report_settled(now)
            await self._wait(now)

    def _wake_due(self, now: datetime) -> None:
        while self._first_due_at() <= now and (sleeper := self._dues.first()) is not None:
            sleeper.wake()

    def _is_settled(self, now: datetime) -> bool:
        return self._busy_count == self._dues.awake_count == 0 and self._first_due_at() > now

    def _first_due_at(self) -> datetime:
        sleeper = self._dues.first()
        return FAR_FUTURE if sleeper is None or sleeper.due_at is None else sleeper.due_at

    async def _wait(self, now: datetime) -> None:
        """Wait for the clock to move or an actor to change: a clock that stands still is watched closely."""
        is_still = self._clock.now() == now
        if not is_still:
            await asyncio.sleep(_TICK_S)
        target = now + _INSTANT if is_still else min(self._first_due_at(), now + _STEP)
        waits = [
            asyncio.ensure_future(self._clock.sleep_until(target)),
            asyncio.ensure_future(self._dues.changed.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=_LOOK_REAL_S)
        finally:
            for wait in waits:
                wait.cancel()


def _stands(entry: tuple[datetime, int, Sleeper]) -> bool:
    due_at, number, sleeper = entry
    return sleeper.due_at == due_at and sleeper.entry == number
