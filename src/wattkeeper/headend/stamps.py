"""Which load profile stamps of a device are held: one bit each, ten thousand memories in a few MB."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive stamps of the grid, both ends included."""

    first_s: int
    last_s: int
    interval_s: int

    def __len__(self) -> int:
        return (self.last_s - self.first_s) // self.interval_s + 1

    @property
    def stamps(self) -> range:
        """The stamps, ascending."""
        return range(self.first_s, self.last_s + 1, self.interval_s)

    @property
    def ends_at_s(self) -> int:
        """The end of the half-open span that holds exactly these stamps of the grid."""
        return self.last_s + self.interval_s


class HeldStamps:
    """Intervals of a device's memory: held, asked for in vain, and given up; each is named by its start.

    They begin at multiples of `interval_s` plus `offset_s`: hours of India are no hours of UTC. A device
    that never stamps on this grid holds an interval by any stamp in it.
    """

    def __init__(self, interval_s: int, offset_s: int = 0) -> None:
        if interval_s <= 0:
            raise ValueError("an interval is longer than nothing")
        self.interval_s = interval_s
        self._offset_s = offset_s
        self._base_index = 0
        self._bits = 0
        self._is_on_grid = False
        self._misses: dict[int, int] = {}

    def start_of(self, stamp_s: int) -> int:
        """Return when the interval begins that holds a stamp."""
        return self._start(self._index(stamp_s))

    def add(self, stamps_s: Iterable[int]) -> None:
        """Note stamps as held."""
        stamps_s = list(stamps_s)
        on_grid = [stamp for stamp in stamps_s if self.start_of(stamp) == stamp]
        self._is_on_grid |= bool(on_grid)
        indexes = [self._index(stamp) for stamp in (on_grid if self._is_on_grid else stamps_s)]
        if not indexes:
            return
        self._rebase(min(indexes))
        marks = bytearray((max(indexes) - self._base_index) // 8 + 1)
        for index in indexes:
            offset = index - self._base_index
            marks[offset >> 3] |= 1 << (offset & 7)
            self._misses.pop(index, None)
        self._bits |= int.from_bytes(marks, "little")

    def drop(self, stamps_s: Iterable[int]) -> None:
        """Note that the intervals of stamps are not held after all."""
        for offset in {self._index(stamp) - self._base_index for stamp in stamps_s}:
            if offset >= 0:
                self._bits &= ~(1 << offset)

    def is_held(self, stamp_s: int) -> bool:
        """Whether the interval of a stamp is held."""
        return self._has(self._index(stamp_s))

    def miss(self, stamps_s: Iterable[int]) -> list[int]:
        """Note what the device was asked for and did not have; return what is now given up."""
        given_up = []
        for stamp in stamps_s:
            index = self._index(stamp)
            self._misses[index] = self._misses.get(index, 0) + 1
            if self._misses[index] == ATTEMPTS_MAX:
                given_up.append(stamp)
        return given_up

    def missing(self, from_s: int, until_s: int) -> list[int]:
        """Return what begins in [from_s, until_s] and is neither held nor given up."""
        first, last = self._index(from_s + self.interval_s - 1), self._index(until_s)
        if last < first:
            return []
        absent = first + np.flatnonzero(self._absent_bits(first, last - first + 1))
        return [self._start(index) for index in absent.tolist() if self._misses.get(index, 0) < ATTEMPTS_MAX]

    def forget_before(self, instant_s: int) -> None:
        """Forget what lies before `instant_s`: the device no longer has it either."""
        shift = self._index(instant_s) - self._base_index
        if shift > 0:
            self._bits >>= shift
            self._base_index += shift
            self._misses = {i: n for i, n in self._misses.items() if i >= self._base_index}

    def _index(self, stamp_s: int) -> int:
        return (stamp_s - self._offset_s) // self.interval_s

    def _start(self, index: int) -> int:
        return index * self.interval_s + self._offset_s

    def _has(self, index: int) -> bool:
        offset = index - self._base_index
        return offset >= 0 and bool(self._bits >> offset & 1)

    def _absent_bits(self, first: int, count: int) -> NDArray[np.uint8]:
        """Return one element a grid index from `first` on: 1 where it is not held."""
        shift = first - self._base_index
        held = self._bits >> shift if shift >= 0 else self._bits << -shift
        absent = ~held & ((1 << count) - 1)
        content = np.frombuffer(absent.to_bytes(-(-count // 8), "little"), np.uint8)
        return np.unpackbits(content, bitorder="little", count=count)

    def _rebase(self, index: int) -> None:
        if self._bits == 0:
            self._base_index = index
        elif index < self._base_index:
            self._bits <<= self._base_index - index
            self._base_index = index


def to_runs(stamps_s: Iterable[int], interval_s: int, *, run_max_s: int) -> Iterator[Run]:
    """Yield contiguous runs of ascending stamps, each at most `run_max_s` long."""
    first = last = None
    for stamp in stamps_s:
        if first is not None and last is not None:
            if stamp == last + interval_s and stamp - first < run_max_s:
                last = stamp
                continue
            yield Run(first, last, interval_s)
        first = last = stamp
    if first is not None and last is not None:
        yield Run(first, last, interval_s)
