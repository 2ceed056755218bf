"""What is left of a gap with cuts where something else holds some of its intervals."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap


def find_rest(
    gap: Gap, is_held: NDArray[np.bool_], value_milliwh: Int64s, interval_s: int
) -> tuple[Gap, ...] | None:
    """Return the runs of a gap's intervals that nothing holds, with what its cuts tell of each.

    `is_held` and `value_milliwh` are those of the gap, shape (its intervals,). What was read between two
    cuts, less what is held there, lies in the others there, by their length; an interval that a cut lies in
    is shared by time. None where more is held between two cuts than was read, or nothing is open there for
    what is left.
    """
    edges = np.flatnonzero(np.diff(~is_held, prepend=False, append=False)).tolist()
    marks = sorted({*(edge * interval_s for edge in edges), *(at_s for at_s, _ in gap.cuts)})
    held_milliwh = _Sum(np.where(is_held, value_milliwh, 0), interval_s)
    open_s = _Sum(np.where(is_held, 0, interval_s), interval_s)
    rest_milliwh = {0: 0}
    whole = len(is_held) * interval_s, gap.energy_milliwh or 0
    for (from_s, before), (to_s, until) in pairwise([(0, 0), *gap.cuts, whole]):
        rest = until - before - held_milliwh.between(from_s, to_s)
        width_s = open_s.between(from_s, to_s)
        if rest < 0 or (rest and not width_s):
            return None
        for at_s in (*(each for each in marks if from_s < each < to_s), to_s):
            part = rest * open_s.between(from_s, at_s) // max(1, width_s)
            rest_milliwh[at_s] = rest_milliwh[from_s] + part
    return tuple(
        Gap(
            gap.first_index + first,
            gap.first_index + end,
            rest_milliwh[end * interval_s] - rest_milliwh[first * interval_s],
            gap.is_exact,
            tuple(
                (at_s - first * interval_s, rest_milliwh[at_s] - rest_milliwh[first * interval_s])
                for at_s, _ in gap.cuts
                if first * interval_s < at_s < end * interval_s
            ),
        )
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    )


class _Sum:
    """The sum of what intervals hold up to any second of them, by time within one."""

    def __init__(self, values: Int64s, interval_s: int) -> None:
        self._values, self._interval_s = [*values.tolist(), 0], interval_s
        self._before = [0, *np.cumsum(values).tolist()]

    def between(self, from_s: int, to_s: int) -> int:
        return self._until(to_s) - self._until(from_s)

    def _until(self, at_s: int) -> int:
        place, part_s = divmod(at_s, self._interval_s)
        return int(self._before[place] + self._values[place] * part_s // self._interval_s)
