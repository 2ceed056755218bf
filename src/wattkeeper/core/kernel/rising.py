"""Ids in rising order, each once: most are given so, and to see that takes a hundredth of sorting them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rising(ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distinct ids, rising; what is given where that is what it is."""
    numbers = np.asarray(ids, dtype=np.int64)
    return numbers if bool((numbers[1:] > numbers[:-1]).all()) else np.unique(numbers)
