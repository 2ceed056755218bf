"""Which ids were seen before: a byte for each of millions, in pages that stay where they are once made.

An array of the ids that grows is another array each time, and what the earlier ones leave fits nobody.
"""

from collections import defaultdict
from collections.abc import Iterator
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

    def missing(self, ids: Int64s) -> Int64s:
        """Return those of some ids, which rise, that are not there."""
        is_missing = np.ones(len(ids), dtype=np.bool_)
        for page, run, place in _runs(ids):
            if page in self._pages:
                is_missing[run] = ~self._pages[page][place]
        return ids[is_missing]

    def add(self, ids: Int64s) -> None:
        """Let some ids, which rise, be there."""
        for page, _, place in _runs(ids):
            self._pages[page][place] = True


def _runs(ids: Int64s) -> Iterator[tuple[int, slice, Int64s]]:
    """Yield the pages of ids that rise, which of the ids are in each, and their places there."""
    page, place = np.divmod(ids, _PAGE_COUNT)
    edges = np.flatnonzero(np.diff(page, prepend=-1, append=-1)).tolist()
    for first, end in pairwise(edges):
        yield int(page[first]), slice(first, end), place[first:end]
