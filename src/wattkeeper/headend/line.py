"""One bus: one connection, one request at a time, answers matched to their questions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from wattkeeper.drivers.api import Answer, Driver, Request, Steps
from wattkeeper.headend.errors import LinkDown, NoAnswer
from wattkeeper.headend.metrics import HeadendMetrics
from wattkeeper.headend.tcp import Connect, Wire
from wattkeeper.headend.turns import Priority, Turns

T = TypeVar("T")
_QUIET_LEAST_S = 0.05  # a gateway sends what a slow bus says in pieces, at most this far apart
OnStray = Callable[[bytes], None]
BeforeOrder = Callable[[Request], Awaitable[None]]


class Line:
    """Runs the steps of drivers over one wire. Hold a `turn` before running any.

    `on_stray` takes the frames nobody waits for, where devices may speak first; elsewhere they are discarded.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        timeout_s: float,
        retries_count: int,
        metrics: HeadendMetrics,
        on_stray: OnStray | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self.retries_count = retries_count
        self._connect = connect
        self._metrics = metrics
        self._on_stray = on_stray
        self._turns = Turns()
        self._wire: Wire | None = None
        self._quiet_s = max(_QUIET_LEAST_S, timeout_s / 5)
        self._damaged_count = 0

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        return self._wire is not None and self._wire.is_open

    @asynccontextmanager
    async def turn(self, priority: Priority) -> AsyncIterator[None]:
        """Hold the line; the more urgent go first."""
        async with self._turns.turn(priority):
            yield

    def is_wanted(self, priority: Priority) -> bool:
        """Whether somebody more urgent waits for the line."""
        return self._turns.is_wanted(priority)

    async def ensure_connected(self) -> None:
        """Connect if the connection does not stand. Raises LinkDown where nobody answers."""
        if self._wire is None or not self._wire.is_open:
            self._wire = None
            self._wire = await self._connect()

    def close(self) -> None:
        """Let go of the connection."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def send_unasked(self, frame: bytes) -> None:
        """Send a frame that no answer is waited for. Raises LinkDown if the connection is gone."""
        self._standing_wire().send(frame)

    async def listen(self, driver: Driver) -> None:
        """
        Hand frames that come unasked to `on_stray`; `driver` tells where they end.

        :raises LinkDown: when the connection is lost
        """
        while True:
            async with self.turn(Priority.SCHEDULE):
                wire = self._standing_wire()
                while (frame := self._next_frame(driver, wire)) is not None:
                    self._stray(frame)
            await wire.wait()

    async def run_steps(
        self,
        driver: Driver,
        steps: Steps[T],
        *,
        keep: Callable[[bytes], int],
        retries_count: int | None = None,
        before_order: BeforeOrder | None = None,
    ) -> T:
        """
        Return what the steps return; `keep` stores each answer and returns its index.

        With `before_order` what is no question is an order: it is told before, and sent once.

        :raises NoAnswer: if the device is silent after every repetition
        :raises LinkDown: if the connection is lost
        """
        repeat_count = self.retries_count if retries_count is None else retries_count
        try:
            request = next(steps)
            while True:
                is_order = before_order is not None and not request.is_question
                if before_order is not None and is_order:
                    await before_order(request)
                frame = await self._exchange(driver, request, 0 if is_order else repeat_count)
                request = steps.send(Answer(frame, keep(frame)))
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    async def _exchange(self, driver: Driver, request: Request, repeat_count: int) -> bytes:
        for repetition in range(1 + repeat_count):
            wire = self._standing_wire()
            self._discard_stale(driver, wire)
            wire.send(request.frame if repetition == 0 or request.renew is None else request.renew())
            self._metrics.count("requests")
            frame = await self._await_answer(driver, wire, request)
            if frame is not None:
                self._metrics.count("frames_ok")
                return frame
            self._metrics.count("timeouts")
        self._metrics.count("no_answer")
        raise NoAnswer("headend.no-answer", is_permanent=False)

    def _standing_wire(self) -> Wire:
        if self._wire is None or not self._wire.is_open:
            raise LinkDown("headend.link-lost", is_permanent=False)
        return self._wire

    async def _await_answer(self, driver: Driver, wire: Wire, request: Request) -> bytes | None:
        """Return the answer, or None: nothing came in time, or damaged bytes and then silence."""
        loop = asyncio.get_running_loop()
        deadline_s, damaged_count = loop.time() + self.timeout_s, self._damaged_count
        try:
            async with asyncio.timeout_at(deadline_s) as limit:
                while True:
                    frame = self._next_frame(driver, wire)
                    if self._damaged_count != damaged_count:
                        limit.reschedule(min(deadline_s, loop.time() + self._quiet_s))
                    if frame is None:
                        await wire.wait()
                    elif request.matches(frame):
                        return frame
                    else:
                        self._stray(frame)
        except TimeoutError:
            return None

    def _discard_stale(self, driver: Driver, wire: Wire) -> None:
        """Throw away what came before the question was asked: it cannot be its answer."""
        while (frame := self._next_frame(driver, wire)) is not None:
            self._stray(frame)
        if wire.buffer and self._on_stray is None:
            self._count_garbage(len(wire.buffer))
            wire.buffer.clear()

    def _stray(self, frame: bytes) -> None:
        if self._on_stray is None:
            self._metrics.count("answers_late")
        else:
            self._on_stray(frame)

    def _next_frame(self, driver: Driver, wire: Wire) -> bytes | None:
        if wire.overflow_bytes:
            self._count_garbage(wire.overflow_bytes)
            wire.overflow_bytes = 0
        while wire.buffer:
            split = driver.split(bytes(wire.buffer))
            if split.used_bytes == 0:
                return None
            del wire.buffer[: split.used_bytes]
            if split.frame is not None:
                return split.frame
            self._count_garbage(split.used_bytes)
        return None

    def _count_garbage(self, dropped_bytes: int) -> None:
        self._damaged_count += 1
        self._metrics.count("frames_damaged")
        self._metrics.count("bytes_dropped", dropped_bytes)
