"""Invocation counters, reserved ahead: none is ever used twice under a key, not even after a crash."""

from collections.abc import Callable

from wattkeeper.drivers.api import DeviceRefused

RESERVED_COUNT = 64
MAX_JUMP = 1 << 20


class Counters:
    """Hands out counters of durable reservations; `reserve(count)` returns the first of `count` new ones."""

    def __init__(self, reserve: Callable[[int], int]) -> None:
        self._reserve = reserve
        self._next = 0
        self._end = 0
        self._jumped_count = 0

    def take(self) -> int:
        """Return a counter that was never returned before."""
        if self._next >= self._end:
            self._take_over(RESERVED_COUNT)
        counter = self._next
        self._next += 1
        return counter

    def skip_past(self, latest: int) -> None:
        """
        Make the next counter higher than `latest`, which the meter says it has seen. Never lower ours.

        :raises DeviceRefused: ``drivers.counter-jump`` if that would burn more than 2**20 of them, at once or
            little by little: nobody who speaks for the meter may use its counters up
        """
        if self._next >= self._end:
            self._take_over(RESERVED_COUNT)
        jump = latest + 1 - self._next
        if self._jumped_count + jump > MAX_JUMP:
            raise DeviceRefused("drivers.counter-jump", latest=latest, ours=self._next)
        if jump > self._end - self._next:
            self._take_over(jump + RESERVED_COUNT)
        self._jumped_count += max(jump, 0)
        self._next = max(self._next, latest + 1)

    def _take_over(self, count: int) -> None:
        self._next = self._reserve(count)
        self._end = self._next + count
