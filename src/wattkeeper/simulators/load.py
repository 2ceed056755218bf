"""Physical energy of every load, in whole milliwatt-hours a minute; the ground everything else stands on.

Days are made one at a time from (seed, day), so the same world always draws the same and time may go on for
ever. Positions are exact integers in sixtieths of a milliwatt-hour, linear within a minute.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from wattkeeper.simulators.load_shapes import DAY_MINUTES, Homes, Machines, Shops, Watts

Int64s = NDArray[np.int64]

DAY_S = 86_400
LOCAL_OFFSET_S = 8 * 3600  # Asia/Shanghai, the same all year
PARTS_PER_MILLIWH = 60  # positions count sixtieths, since a second is the sixtieth of a minute

HOME_COUNT = 40
MACHINES_W = (18_000, 9_500, 12_000, 22_000, 7_000, 15_000)
REST_W = (26_000, 19_000)
PULSED_W = (1_900, 1_200, 2_600, 3_400, 900, 2_100, 1_500, 4_200, 2_800, 1_100)
COMMON_W = (11_000, 6_500, 14_000, 3_800, 8_200)


class _Group(Protocol):
    def day_w(self, day: date, rng: Generator) -> Watts: ...


def load_names() -> tuple[str, ...]:
    """Return the name of each row of energy, in order."""
    return (
        *(f"home-{i}" for i in range(1, HOME_COUNT + 1)),
        *(f"machine-{i}" for i in range(1, len(MACHINES_W) + 1)),
        *(f"rest-{i}" for i in range(1, len(REST_W) + 1)),
        *(f"shop-{i}" for i in range(1, len(PULSED_W) + 1)),
        *(f"common-{i}" for i in range(1, len(COMMON_W) + 1)),
        "transformer-loss",
    )


class Loads:
    """Cumulative energy of each load since `starts_at_s`, a local midnight; days are made when asked for."""

    def __init__(self, *, seed: int, starts_at_s: int) -> None:
        if (starts_at_s + LOCAL_OFFSET_S) % DAY_S:
            raise ValueError("loads start at a local midnight")
        self.starts_at_s = starts_at_s
        self._seed = seed
        self._rows = {name: row for row, name in enumerate(load_names())}
        rng = default_rng((seed, 0))
        self._groups: tuple[_Group, ...] = (
            Homes.draw(HOME_COUNT, rng),
            Machines.draw(list(MACHINES_W), rng),
            Machines.draw(list(REST_W), rng),
            Shops.draw(list(PULSED_W), rng),
            Shops.draw(list(COMMON_W), rng),
        )
        self._total = np.zeros((len(self._rows), 1), dtype=np.int64)

    def row(self, name: str) -> int:
        """Return the row of the load `name`."""
        return self._rows[name]

    def positions(self, row: int, at_s: Int64s) -> Int64s:
        """Return the energy used since the start at each instant, in sixtieths of mWh; before the start 0."""
        elapsed = np.maximum(at_s - self.starts_at_s, 0)
        self._make_until(int(elapsed.max(initial=0)))
        minute, second = elapsed // 60, elapsed % 60
        total = self._total[row]
        return np.asarray(60 * total[minute] + second * (total[minute + 1] - total[minute]))

    def power_w(self, row: int, at_s: int) -> int:
        """Return the power in the minute of `at_s`, whole watts."""
        minute = max(at_s - self.starts_at_s, 0) // 60
        self._make_until(60 * minute)
        return int(self._total[row, minute + 1] - self._total[row, minute]) * 60 // 1000

    def _make_until(self, elapsed_s: int) -> None:
        days = (self._total.shape[1] - 1) // DAY_MINUTES
        wanted = elapsed_s // DAY_S + 1
        if wanted <= days:
            return
        blocks = [self._total]
        last = self._total[:, -1:]
        for day_index in range(days, wanted):
            blocks.append(last + np.cumsum(self._day_milliwh(day_index), axis=1))
            last = blocks[-1][:, -1:]
        self._total = np.concatenate(blocks, axis=1)

    def _day_milliwh(self, day_index: int) -> Int64s:
        local_s = self.starts_at_s + LOCAL_OFFSET_S + day_index * DAY_S
        day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=local_s)).date()
        rng = default_rng((self._seed, 1, local_s // DAY_S))
        power_w = np.concatenate([group.day_w(day, rng) for group in self._groups])
        energy = np.rint(np.maximum(power_w, 1.0) * (1000 / 60)).astype(np.int64)
        homes = energy[:HOME_COUNT].sum(axis=0)
        loss = 3_000 + homes // 120 + rng.integers(0, 500, DAY_MINUTES)
        return np.concatenate([energy, loss[None, :]])
