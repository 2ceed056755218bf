"""Supplies: the energy that really flows at a usage point, also when a switch cuts it off. Exact integers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wattkeeper.simulators.load import Loads

Int64s = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Supply:
    """What flows through one point: its own loads and everything below it.

    `openings`: [from, to) during which the switch is open, `to` None while it lasts; only own loads stop.
    """

    loads: Loads
    rows: tuple[int, ...]
    below: tuple["Supply", ...] = ()
    openings: list[tuple[int, int | None]] = field(default_factory=list)

    def positions(self, at_s: Int64s) -> Int64s:
        """Return the energy passed at each instant since the loads' start, in sixtieths of mWh."""
        total = np.zeros(at_s.shape, dtype=np.int64)
        for row in self.rows:
            total += self._own(row, at_s)
        for supply in self.below:
            total += supply.positions(at_s)
        return total

    def _own(self, row: int, at_s: Int64s) -> Int64s:
        total = self.loads.positions(row, at_s)
        for opened_s, closed_s in self.openings:
            until = at_s if closed_s is None else np.minimum(at_s, closed_s)
            span = np.maximum(until, opened_s)
            total -= self.loads.positions(row, span) - self.loads.positions(row, np.full_like(span, opened_s))
        return total

    def power_w(self, at_s: int) -> int:
        """Return the power flowing at `at_s`, whole watts."""
        own = 0 if self.is_open(at_s) else sum(self.loads.power_w(row, at_s) for row in self.rows)
        return own + sum(supply.power_w(at_s) for supply in self.below)

    def is_open(self, at_s: int) -> bool:
        """Whether the switch is open at `at_s`."""
        return any(start <= at_s and (end is None or at_s < end) for start, end in self.openings)

    def open_switch(self, at_s: int) -> None:
        """Cut the own loads off from `at_s` on."""
        if not self.is_open(at_s):
            self.openings.append((at_s, None))

    def close_switch(self, at_s: int) -> None:
        """Let the own loads flow again from `at_s` on."""
        self.openings[:] = [
            (start, at_s if end is None else end)
            for start, end in self.openings
            if end is not None or start < at_s
        ]
