"""What is less than a milliwatt-hour, carried from interval to interval so that none of it is ever lost."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def carry_remainders(
    numerator: NDArray[Any], denominator: int, day_first_index: NDArray[np.signedinteger[Any]]
) -> NDArray[np.int64]:
    """Return whole parts of ``numerator / denominator``, shape (n,), that sum as the exact ones do.

    Each is the difference of two floors: of the exact sum since its day began, and of the same without it. So
    any first part of a day is the floor of its exact sum, whatever other days are looked at with it, and no
    part is a whole one away from its own. `day_first_index` (n,): the place at which the day of each begins.
    `numerator` may be of Python's integers (object) where sums of it do not fit 64 bits.
    """
    running = np.cumsum(numerator)
    since_day = running - (running - numerator)[day_first_index]
    whole: NDArray[np.int64] = (since_day // denominator - (since_day - numerator) // denominator).astype(
        np.int64
    )
    return whole
