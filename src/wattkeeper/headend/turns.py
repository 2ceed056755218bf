"""Whose turn it is on a line: the most urgent first, first come first served among equals."""

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from itertools import count


class Priority(IntEnum):
    """How urgent a session is; the lowest number goes first."""

    CONTROL = 0
    ON_DEMAND = 1
    SCHEDULE = 2
    BACKFILL = 3


class Turns:
    """A lock that is handed to the most urgent of those who wait."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._order = count()
        self._is_taken = False

    @asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Hold the line for the duration of the block."""
        await self._take(priority)
        try:
            yield
        finally:
            self._hand_over()

    def is_wanted(self, priority: Priority) -> bool:
        """Whether somebody more urgent than `priority` waits."""
        return any(waiting < priority and not future.done() for waiting, _, future in self._waiting)

    async def _take(self, priority: Priority) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._hand_over()
            raise

    def _hand_over(self) -> None:
        while self._waiting:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)
                return
        self._is_taken = False
