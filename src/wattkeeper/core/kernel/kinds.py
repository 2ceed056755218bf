"""Which rows of some columns are alike, column by column: sorting whole rows costs many times as much."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def find_kinds(columns: Iterable[NDArray[np.int64]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first place of each kind of row, in lexical order, and the kind of each row, shape (rows,).

    `columns`: at least one, int64, each of shape (rows,).
    """
    kind_of: NDArray[np.intp] | None = None
    count = 1
    for column in columns:
        if kind_of is None:
            kind_of = np.zeros(len(column), dtype=np.intp)
        if not len(column) or bool((column == column[0]).all()):
            continue
        values, place = np.unique(column, return_inverse=True)
        known, kind_of = np.unique(kind_of * len(values) + place, return_inverse=True)
        count = len(known)
    if kind_of is None or not len(kind_of):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    firsts = np.full(count, len(kind_of), dtype=np.intp)
    np.minimum.at(firsts, kind_of, np.arange(len(kind_of)))
    return firsts, kind_of
