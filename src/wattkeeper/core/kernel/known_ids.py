"""Which ids were seen before: a byte for each of millions, in pages that stay where they are once made.

An array of the ids that grows is another array each time, and what the earlier ones leave fits nobody.
"""

from collections import defaultdict
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.reads import Int64s

_PAGE_COUNT = 1 << 16


def _page() -> NDArray[np.bool_]:
    return np.zeros(_PAGE_COUNT, dtype=np.bool_)


class KnownIds:
    """A set of ids that only grows."""

    def __init__(self) -> None:
        self._pages: defaultdict[int, NDArray[np.bool_]] = defaultdict(_page)

    def add(self, ids: Int64s) -> Int64s:
        """Return those of some ids, which rise, that were not there; now they are."""
        page, place = np.divmod(ids, _PAGE_COUNT)
        is_fresh = np.zeros(len(ids), dtype=np.bool_)
        edges = np.flatnonzero(np.diff(page, prepend=-1, append=-1)).tolist()
        for first, end in pairwise(edges):
            own, inside = self._pages[int(page[first])], place[first:end]
            is_fresh[first:end] = ~own[inside]
            own[inside] = True
        return ids[is_fresh]
