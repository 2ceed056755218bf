"""How far a change of reads reaches: what reads beside it say depends on it, and a stray may be among them.

A position between two reads lies on the line between them, whether a read follows is judged from the one
before it, and beside what a meter recorded what it showed does not count: so a read that comes, goes or
changes may change the interval and the finding of the next one, on the next local day, too.
"""

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s

NEAR_COUNT = 2  # instants on each side beyond an interval: the nearer one may be of a read that is rejected

Places = NDArray[np.intp]


def find_near(
    at_s: Int64s, firsts: Places, ends: Places, changed_s: tuple[Int64s, Int64s], interval_s: int, now_s: int
) -> tuple[Int64s, Int64s]:
    """Return the instants of the reads beside what changed, each of shape (series,): before it and after it.

    The reads of a series are at ``at_s[first:end]``, in order of time; those in the half-open span
    `changed_s` came, went or changed. Each is the farther one of `NEAR_COUNT` beyond an interval; where there
    is none the farthest, or the first or last instant of what changed. Reads after `now_s` are none.
    """
    before_s, after_s = changed_s[0], changed_s[1] - 1
    place = _places_of(before_s - interval_s, at_s, firsts, ends)
    before_s = np.where(place < ends, np.minimum(_at(at_s, place), before_s), before_s)
    place = _places_of(np.minimum(after_s + interval_s, now_s) + 1, at_s, firsts, ends) - 1
    after_s = np.where(place >= firsts, np.maximum(_at(at_s, place), after_s), after_s)
    for _ in range(NEAR_COUNT):
        place = _places_of(before_s, at_s, firsts, ends) - 1
        before_s = np.where(place >= firsts, _at(at_s, place), before_s)
        place = _places_of(after_s + 1, at_s, firsts, ends)
        next_s = _at(at_s, place)
        after_s = np.where((place < ends) & (next_s <= now_s), next_s, after_s)
    return before_s, after_s


def _at(at_s: Int64s, place: Places) -> Int64s:
    result: Int64s = at_s.take(place, mode="clip")
    return result


def _places_of(sought: Int64s, values: Int64s, firsts: Places, ends: Places) -> Places:
    """Return in each ``values[first:end]``, which rise, the first place of no less than what is sought."""
    if len(firsts) == 1:
        return firsts + np.searchsorted(values[firsts[0] : ends[0]], sought)
    low, high = firsts, ends
    while (is_open := low < high).any():
        middle = (low + high) // 2
        is_less = is_open & (_at(values, middle) < sought)
        low = np.where(is_less, middle + 1, low)
        high = np.where(is_open & ~is_less, middle, high)
    return low
