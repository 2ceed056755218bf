"""Boundaries beside reads off the grid, for many series at once, as `add_boundaries` interpolates them (E7).

Of each such read these are the boundary before it and the one after it, where another read lies beyond that.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.plain_table import IntervalTable


def find_between(
    table: IntervalTable,
    row: NDArray[np.int64],
    at_s: Int64s,
    position_milliwh: Int64s,
    place: NDArray[np.signedinteger[Any]],
    is_beside: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], Int64s, Int64s]:
    """Return row, boundary and position of each point on a line to or from a read off the grid.

    Of each read, shape (reads,), in order of row and time: its position, the last boundary of `table` that is
    not after it, and whether it lies off the grid.
    """
    pairs = np.flatnonzero(row[1:] == row[:-1])
    starts, ends = pairs[is_beside[pairs]], pairs[is_beside[pairs + 1]]
    left = np.concatenate((starts, ends))
    bound = np.concatenate((place[starts] + 1, place[ends + 1])).astype(np.int64)
    elapsed_s = table.from_s + bound * table.interval_s - at_s[left]
    span_s = at_s[left + 1] - at_s[left]
    is_own = (elapsed_s > 0) & (elapsed_s < span_s) & (bound >= 0) & (bound < table.position_chain.shape[1])
    left, bound, elapsed_s, span_s = (each[is_own] for each in (left, bound, elapsed_s, span_s))
    start = position_milliwh[left]
    whole, rest = np.divmod(position_milliwh[left + 1] - start, span_s)
    return row[left], bound, start + whole * elapsed_s + rest * elapsed_s // span_s
