"""Raw reads as columns: what devices, files and people said, unaltered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ReadColumns:
    """Reads of one channel, one row each, all int64 arrays of the same shape (n,).

    `measured_at_s` in UTC seconds by the device's clock; `value` in counts of the channel's step; `flags` a
    `Flag` set; `source` a `Source`.
    """

    measured_at_s: Int64s
    value: Int64s
    flags: Int64s
    source: Int64s

    @classmethod
    def of(cls, rows: "list[tuple[int, int, int, int]]") -> "ReadColumns":
        """Return the columns of rows (measured_at_s, value, flags, source)."""
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        return cls(*(np.ascontiguousarray(table[:, i]) for i in range(4)))

    def __len__(self) -> int:
        return len(self.measured_at_s)
